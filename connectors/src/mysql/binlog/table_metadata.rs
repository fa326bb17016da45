//! The optional part of TABLE_MAP events (`binlog_row_metadata`).

use super::bytes::{Bytes, Decoded, Malformed, bit};
use super::table_map::Packing;

/// What is known of the columns beyond their packing. Each list is empty, or has an entry per column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableMetadata {
    /// For numeric columns: is it unsigned?
    pub unsigned: Vec<Option<bool>>,
    /// For text columns, ENUM and SET: the id of the collation.
    pub collations: Vec<Option<u16>>,
    /// The columns' names (`FULL`).
    pub names: Vec<String>,
    /// The primary key's columns by index, in key order (`FULL`).
    pub primary_key: Vec<usize>,
}

const SIGNEDNESS: u8 = 1;
const DEFAULT_CHARSET: u8 = 2;
const COLUMN_CHARSET: u8 = 3;
const COLUMN_NAME: u8 = 4;
const SIMPLE_PRIMARY_KEY: u8 = 8;
const PRIMARY_KEY_WITH_PREFIX: u8 = 9;
const ENUM_AND_SET_DEFAULT_CHARSET: u8 = 10;
const ENUM_AND_SET_COLUMN_CHARSET: u8 = 11;

/// Reads the fields; those that are not needed, or not known, are skipped: each carries its length.
pub(super) fn parse(bytes: &[u8], columns: &[Packing]) -> Decoded<TableMetadata> {
    let mut metadata = TableMetadata::default();
    let mut bytes = Bytes(bytes);
    while !bytes.is_empty() {
        let field = bytes.u8()?;
        let mut value = Bytes(bytes.packed_bytes()?);
        match field {
            SIGNEDNESS => metadata.unsigned = signedness(value.0, columns),
            DEFAULT_CHARSET => default_charset(&mut value, columns, is_text, &mut metadata.collations)?,
            COLUMN_CHARSET => column_charset(&mut value, columns, is_text, &mut metadata.collations)?,
            ENUM_AND_SET_DEFAULT_CHARSET => default_charset(&mut value, columns, is_label, &mut metadata.collations)?,
            ENUM_AND_SET_COLUMN_CHARSET => column_charset(&mut value, columns, is_label, &mut metadata.collations)?,
            COLUMN_NAME => metadata.names = names(&mut value, columns.len())?,
            SIMPLE_PRIMARY_KEY | PRIMARY_KEY_WITH_PREFIX => {
                metadata.primary_key = key(&mut value, columns.len(), field == PRIMARY_KEY_WITH_PREFIX)?;
            }
            _ => {}
        }
    }
    Ok(metadata)
}

fn is_number(packing: &Packing) -> bool {
    matches!(packing, Packing::Int(_) | Packing::Float | Packing::Double | Packing::Decimal { .. } | Packing::Year)
}

fn is_text(packing: &Packing) -> bool {
    matches!(
        packing,
        Packing::String { .. } | Packing::Blob(_) | Packing::CompressedString { .. } | Packing::CompressedBlob(_)
    )
}

fn is_label(packing: &Packing) -> bool {
    matches!(packing, Packing::Enum(_) | Packing::Set(_))
}

/// A bit per numeric column, the first in the highest bit.
fn signedness(bits: &[u8], columns: &[Packing]) -> Vec<Option<bool>> {
    let mut number = 0;
    let unsigned = |packing: &Packing| {
        is_number(packing).then(|| {
            let in_byte = 7 - number % 8;
            let unsigned = bit(bits, number / 8 * 8 + in_byte);
            number += 1;
            unsigned
        })
    };
    columns.iter().map(unsigned).collect()
}

/// One collation for all, and pairs of (number among its like, collation) for the others.
fn default_charset(
    value: &mut Bytes<'_>,
    columns: &[Packing],
    is_kind: fn(&Packing) -> bool,
    collations: &mut Vec<Option<u16>>,
) -> Decoded<()> {
    let default = collation(value)?;
    collations.resize(columns.len(), None);
    let mut of_kind: Vec<usize> = Vec::new();
    for (i, packing) in columns.iter().enumerate() {
        if is_kind(packing) {
            collations[i] = Some(default);
            of_kind.push(i);
        }
    }
    while !value.is_empty() {
        let number = value.packed_len()?;
        let other = collation(value)?;
        if let Some(&i) = of_kind.get(number) {
            collations[i] = Some(other);
        }
    }
    Ok(())
}

/// A collation for each.
fn column_charset(
    value: &mut Bytes<'_>,
    columns: &[Packing],
    is_kind: fn(&Packing) -> bool,
    collations: &mut Vec<Option<u16>>,
) -> Decoded<()> {
    collations.resize(columns.len(), None);
    for (i, packing) in columns.iter().enumerate() {
        if is_kind(packing) && !value.is_empty() {
            collations[i] = Some(collation(value)?);
        }
    }
    Ok(())
}

fn collation(value: &mut Bytes<'_>) -> Decoded<u16> {
    u16::try_from(value.packed()?).map_err(|_| Malformed("a collation's number is too large"))
}

fn names(value: &mut Bytes<'_>, columns: usize) -> Decoded<Vec<String>> {
    let mut names = Vec::with_capacity(columns.min(value.len()));
    while !value.is_empty() {
        let name = value.packed_bytes()?;
        names.push(String::from_utf8(name.to_vec()).map_err(|_| Malformed("a column's name is not UTF-8"))?);
    }
    if names.len() == columns { Ok(names) } else { Err(Malformed("a table has other names than columns")) }
}

fn key(value: &mut Bytes<'_>, columns: usize, with_prefix: bool) -> Decoded<Vec<usize>> {
    let mut key = Vec::new();
    while !value.is_empty() {
        let column = value.packed_len()?;
        if column >= columns {
            return Err(Malformed("a key has a column that the table has not"));
        }
        key.push(column);
        if with_prefix {
            value.packed()?;
        }
    }
    Ok(key)
}
