//! Texts of values, and digests of rows' texts.

use std::io::Write;

use aqueduct_model::{Checksum, Error, Relation, Result};
use arrow::datatypes::{DataType, Field, TimeUnit};
use md5::{Digest, Md5};

/// How a column's values are written; see the module's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellText {
    Bool,
    Int,
    Decimal { scale: u8 },
    Date,
    Stamp { utc: bool },
    Time,
    Duration,
    Text,
    Padded,
    Bytes,
}

impl CellText {
    /// How the values of a column are written; `None` where systems do not agree on a text.
    pub fn of(field: &Field) -> Option<Self> {
        use DataType::*;
        let metadata = |name: &str| field.metadata().get(name).map(String::as_str).unwrap_or_default();
        Some(match field.data_type() {
            Boolean => Self::Bool,
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Self::Int,
            Decimal128(_, scale) | Decimal256(_, scale) => Self::Decimal { scale: u8::try_from(*scale).ok()? },
            Date32 => Self::Date,
            Timestamp(TimeUnit::Microsecond, zone) => Self::Stamp { utc: zone.is_some() },
            Time64(TimeUnit::Microsecond) => Self::Time,
            Duration(TimeUnit::Microsecond) => Self::Duration,
            Utf8 if metadata("ARROW:extension:name") == "arrow.json" => return None,
            Utf8 if metadata("source.type").starts_with("character(") => Self::Padded,
            Utf8 => Self::Text,
            Binary => Self::Bytes,
            _ => return None,
        })
    }
}

/// How each column of a relation is written; `None` when one cannot be.
pub(crate) fn cell_texts(relation: &Relation) -> Option<Vec<CellText>> {
    relation.columns().fields().iter().map(|field| CellText::of(field)).collect()
}

/// The checksum that a query answered: a count, and a sum of digests as integers with or without a sign.
///
/// # Errors
/// `Bug` for another answer.
pub(crate) fn checksum_of(rows: i64, sum: &str) -> Result<Checksum> {
    let sum: i128 = sum.parse().map_err(|error| Error::bug("a sum of digests is not a number").with_source(error))?;
    // Modulo 2^64, whether the digests were taken with a sign or without.
    Ok(Checksum { rows, sum: sum.rem_euclid(1 << 64) as u64 })
}

/// The text of one row as it grows.
#[derive(Debug, Default)]
pub(crate) struct RowText {
    bytes: Vec<u8>,
}

impl RowText {
    /// Writes a NULL.
    pub fn null(&mut self, column: CellText) {
        let text: &[u8] = if matches!(column, CellText::Text | CellText::Padded) { b":," } else { b"," };
        self.bytes.extend_from_slice(text);
    }

    /// Writes a value whose text is the table's already.
    pub fn plain(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.bytes.push(b',');
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: impl std::fmt::Display) {
        write!(self.bytes, "{value},").expect("writing to a Vec does not fail");
    }

    /// Writes a date, timestamp or time of day from its parts: a fraction of whatever length.
    pub fn moment(&mut self, before: &[u8], fraction: &[u8]) {
        self.bytes.extend_from_slice(before);
        let digits = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        if digits > 0 {
            self.bytes.push(b'.');
            self.bytes.extend_from_slice(&fraction[..digits]);
        }
        self.bytes.push(b',');
    }

    /// Writes a text.
    pub fn text(&mut self, column: CellText, text: &str) {
        let text = if column == CellText::Padded { text.trim_end_matches(' ') } else { text };
        write!(self.bytes, "{}:", text.len()).expect("writing to a Vec does not fail");
        self.plain(text.as_bytes());
    }

    /// Writes bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        for byte in Md5::digest(value) {
            write!(self.bytes, "{byte:02x}").expect("writing to a Vec does not fail");
        }
        self.bytes.push(b',');
    }

    /// The digest; a new row begins.
    pub fn digest(&mut self) -> u64 {
        let digest = Md5::digest(&self.bytes);
        self.bytes.clear();
        digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// The text so far; a new row begins.
    #[cfg(test)]
    pub fn take(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.bytes)).expect("texts are UTF-8")
    }
}
