//! Which columns have texts, and what a sum of digests is.

use aqueduct_model::Relation;
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres"))]
use aqueduct_model::{Checksum, Error, Result};
use arrow::datatypes::{DataType, Field, TimeUnit};

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
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres"))]
pub(crate) fn checksum_of(rows: i64, sum: &str) -> Result<Checksum> {
    let sum: i128 = sum.parse().map_err(|error| Error::bug("a sum of digests is not a number").with_source(error))?;
    // Modulo 2^64, whether the digests were taken with a sign or without.
    Ok(Checksum { rows, sum: sum.rem_euclid(1 << 64) as u64 })
}
