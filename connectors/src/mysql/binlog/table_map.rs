//! TABLE_MAP events: the layout of the rows that follow.

use aqueduct_model::Result;

use super::bytes::{Bytes, Decoded, Malformed};
use super::table_metadata::{self, TableMetadata};

/// The most columns that a table of either server can have is 4,096; a few more are let pass.
const COLUMNS_MAX: usize = 8_192;

/// How one column's values are packed in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// A whole number of this many bytes.
    Int(u8),
    Float,
    Double,
    /// Packed decimal.
    Decimal {
        precision: u8,
        scale: u8,
    },
    Year,
    Date,
    /// Three bytes, without a fraction (before MySQL 5.6).
    OldTime,
    OldDateTime,
    OldTimestamp,
    /// With this many digits of a fraction.
    Time(u8),
    DateTime(u8),
    Timestamp(u8),
    /// This many bytes, most significant first.
    Bit(u8),
    /// Bytes behind a length of one or two bytes. The length is at most `max`.
    String {
        length_bytes: u8,
        max: u16,
    },
    /// Bytes behind a length of one to four bytes.
    Blob(u8),
    /// MariaDB's compressed columns.
    CompressedString {
        length_bytes: u8,
    },
    CompressedBlob(u8),
    /// The number of a label.
    Enum(u8),
    /// A bit per label.
    Set(u8),
    /// MySQL's binary JSON behind a length of that many bytes.
    Json(u8),
    Geometry(u8),
    Vector(u8),
}

/// A table as the events behind it have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableMap {
    /// The number that row events name it by; valid up to the end of the statement or file.
    pub table_id: u64,
    /// The database, as bytes of UTF-8.
    pub database: String,
    /// The table.
    pub table: String,
    /// The columns' packing, in the table's order.
    pub columns: Vec<Packing>,
    /// What the server adds with `binlog_row_metadata`.
    pub metadata: TableMetadata,
}

/// Reads only the number and the names, which is enough to pass over tables that are not captured.
///
/// # Errors
/// When the bytes are too few.
pub(crate) fn table_of(body: &[u8]) -> Decoded<(u64, &[u8], &[u8])> {
    let mut bytes = Bytes(body);
    let table_id = bytes.u48()?;
    bytes.u16()?;
    let database = name(&mut bytes)?;
    let table = name(&mut bytes)?;
    Ok((table_id, database, table))
}

/// A name behind its length, with a zero behind it.
fn name<'a>(bytes: &mut Bytes<'a>) -> Decoded<&'a [u8]> {
    let length = usize::from(bytes.u8()?);
    let name = bytes.take(length)?;
    bytes.take(1)?;
    Ok(name)
}

impl TableMap {
    /// Reads the body of the event.
    ///
    /// # Errors
    /// `Data` when the bytes are too few or a column's type is not known.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(body);
        let table_id = bytes.u48()?;
        bytes.u16()?;
        let database = text(name(&mut bytes)?)?;
        let table = text(name(&mut bytes)?)?;
        let count = bytes.packed_len()?;
        if count > COLUMNS_MAX {
            return Err(Malformed("a table has more columns than a table can have").into());
        }
        let types = bytes.take(count)?;
        let mut type_metadata = Bytes(bytes.packed_bytes()?);
        let columns = types.iter().map(|&number| packing(number, &mut type_metadata)).collect::<Decoded<Vec<_>>>()?;
        // A bit per column that may be NULL; relations know it.
        bytes.take(count.div_ceil(8))?;
        let metadata = table_metadata::parse(bytes.rest(), &columns)?;
        Ok(Self { table_id, database, table, columns, metadata })
    }
}

fn text(bytes: &[u8]) -> Decoded<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Malformed("a name is not UTF-8"))
}

/// The packing of a column from its type's number and what stands in the metadata for it (MySQL `Field::do_save_field_
/// metadata` and its overrides, MariaDB `Binlog_type_info`).
fn packing(number: u8, metadata: &mut Bytes<'_>) -> Decoded<Packing> {
    Ok(match number {
        1 => Packing::Int(1),
        2 => Packing::Int(2),
        3 => Packing::Int(4),
        4 => sized(metadata, 4, Packing::Float)?,
        5 => sized(metadata, 8, Packing::Double)?,
        7 => Packing::OldTimestamp,
        8 => Packing::Int(8),
        9 => Packing::Int(3),
        10 | 14 => Packing::Date,
        11 => Packing::OldTime,
        12 => Packing::OldDateTime,
        13 => Packing::Year,
        15 | 253 => string(usize::from(metadata.u16()?))?,
        16 => {
            let (bits, bytes) = (metadata.u8()?, metadata.u8()?);
            if bits > 7 || usize::from(bytes) * 8 + usize::from(bits) > 64 {
                return Err(Malformed("a BIT column is too long"));
            }
            Packing::Bit(bytes + u8::from(bits > 0))
        }
        17 => Packing::Timestamp(fraction(metadata)?),
        18 => Packing::DateTime(fraction(metadata)?),
        19 => Packing::Time(fraction(metadata)?),
        140 => Packing::CompressedBlob(blob_length(metadata)?),
        141 => Packing::CompressedString { length_bytes: if metadata.u16()? > 255 { 2 } else { 1 } },
        242 => Packing::Vector(blob_length(metadata)?),
        245 => Packing::Json(blob_length(metadata)?),
        246 => {
            let (precision, scale) = (metadata.u8()?, metadata.u8()?);
            if precision == 0 || precision > 65 || scale > precision {
                return Err(Malformed("a DECIMAL column has impossible digits"));
            }
            Packing::Decimal { precision, scale }
        }
        247 | 248 | 254 => fixed_string(metadata.u8()?, metadata.u8()?)?,
        249..=252 => Packing::Blob(blob_length(metadata)?),
        255 => Packing::Geometry(blob_length(metadata)?),
        _ => return Err(Malformed("a column has a type that is not known")),
    })
}

fn sized(metadata: &mut Bytes<'_>, size: u8, packing: Packing) -> Decoded<Packing> {
    if metadata.u8()? == size { Ok(packing) } else { Err(Malformed("a FLOAT or DOUBLE column has another size")) }
}

fn fraction(metadata: &mut Bytes<'_>) -> Decoded<u8> {
    match metadata.u8()? {
        digits @ 0..=6 => Ok(digits),
        _ => Err(Malformed("a time has more than six digits of a fraction")),
    }
}

fn blob_length(metadata: &mut Bytes<'_>) -> Decoded<u8> {
    match metadata.u8()? {
        bytes @ 1..=4 => Ok(bytes),
        _ => Err(Malformed("a BLOB column has an impossible length")),
    }
}

fn string(max: usize) -> Decoded<Packing> {
    let max = u16::try_from(max).map_err(|_| Malformed("a text column is too long"))?;
    Ok(Packing::String { length_bytes: if max > 255 { 2 } else { 1 }, max })
}

/// CHAR, BINARY, ENUM and SET share a number. The real one is in the first byte, together with the two highest bits of
/// a length above 255, inverted (MySQL bug 37426).
fn fixed_string(first: u8, second: u8) -> Decoded<Packing> {
    match first {
        247 if matches!(second, 1 | 2) => Ok(Packing::Enum(second)),
        248 if matches!(second, 1..=8) => Ok(Packing::Set(second)),
        247 | 248 => Err(Malformed("an ENUM or SET column has an impossible length")),
        _ if first & 0x30 == 0x30 => string(usize::from(second)),
        _ => string(usize::from(second) | (usize::from((first & 0x30) ^ 0x30) << 4)),
    }
}
