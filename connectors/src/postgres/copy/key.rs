//! Ranges of a table's key, as SQL that the database compares in its own order.
//!
//! COPY takes no parameters: values are written as literals, each a text that is cast to the column's own type.

use aqueduct_model::{Error, ErrorKind, Relation, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Field, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt32Type,
};
use chrono::{DateTime, Datelike, Utc};

use super::select::quoted;
use crate::postgres::column_type::SOURCE_TYPE;
use crate::sql_input::Side;

const DAY_US: i64 = 86_400_000_000;

/// What orders rows by these columns, to stand behind ORDER BY.
pub(crate) fn order_by(relation: &Relation, columns: &[usize]) -> String {
    columns.iter().map(|&column| quoted(relation.columns().field(column).name())).collect::<Vec<_>>().join(",")
}

/// The condition for rows on one side of `edge`: one row with the values of `columns` in that order.
///
/// # Errors
/// `Data` when the edge holds a NULL; `Bug` for a type that cannot be a key.
pub(crate) fn beside(relation: &Relation, columns: &[usize], side: Side, edge: &RecordBatch) -> Result<String> {
    let sign = match side {
        Side::Above => ">",
        Side::From => ">=",
        Side::UpTo => "<=",
    };
    Ok(format!("({}) {sign} ({})", order_by(relation, columns), literals(relation, columns, edge)?.join(",")))
}

/// The condition for rows that have the values of one row of `keys` in `columns`.
///
/// # Errors
/// As [`beside`].
pub(crate) fn among(relation: &Relation, columns: &[usize], keys: &RecordBatch) -> Result<String> {
    let mut all = Vec::with_capacity(keys.num_rows());
    for row in 0..keys.num_rows() {
        let one = literals(relation, columns, &keys.slice(row, 1))?.join(",");
        all.push(if columns.len() == 1 { one } else { format!("({one})") });
    }
    let expressions = order_by(relation, columns);
    let all = all.join(",");
    Ok(if columns.len() == 1 { format!("{expressions} IN ({all})") } else { format!("({expressions}) IN ({all})") })
}

/// The values of `edge`, one row with the values of `columns` in that order, each cast to its column's type.
///
/// # Errors
/// As [`beside`].
pub(crate) fn literals(relation: &Relation, columns: &[usize], edge: &RecordBatch) -> Result<Vec<String>> {
    let fields = columns.iter().map(|&column| relation.columns().field(column));
    fields.zip(edge.columns()).map(|(field, cell)| literal(field, cell.as_ref())).collect()
}

/// The only cell of an array, cast to its column's type.
fn literal(field: &Field, cell: &dyn Array) -> Result<String> {
    if cell.is_empty() || cell.is_null(0) {
        return Err(Error::new(
            ErrorKind::Data,
            format!("key column {} holds NULL, or a date that Arrow cannot hold", field.name()),
        )
        .with_setting("key")
        .with_hint("order the reading by columns that are never NULL: `key`"));
    }
    let text = match cell.data_type() {
        DataType::Boolean => cell.as_boolean().value(0).to_string(),
        DataType::Int16 => cell.as_primitive::<Int16Type>().value(0).to_string(),
        DataType::Int32 => cell.as_primitive::<Int32Type>().value(0).to_string(),
        DataType::Int64 => cell.as_primitive::<Int64Type>().value(0).to_string(),
        DataType::UInt32 => cell.as_primitive::<UInt32Type>().value(0).to_string(),
        // The shortest text that reads back as the same number; infinities and NaN are spelled as PostgreSQL reads them.
        DataType::Float32 => cell.as_primitive::<Float32Type>().value(0).to_string(),
        DataType::Float64 => cell.as_primitive::<Float64Type>().value(0).to_string(),
        DataType::Decimal128(..) => cell.as_primitive::<Decimal128Type>().value_as_string(0),
        DataType::Decimal256(..) => cell.as_primitive::<Decimal256Type>().value_as_string(0),
        DataType::Date32 => instant(i64::from(cell.as_primitive::<Date32Type>().value(0)) * DAY_US, "%m-%d", "")?,
        DataType::Time64(TimeUnit::Microsecond) => {
            let us = cell.as_primitive::<Time64MicrosecondType>().value(0);
            let seconds = us / 1_000_000;
            format!("{:02}:{:02}:{:02}.{:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60, us % 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let us = cell.as_primitive::<TimestampMicrosecondType>().value(0);
            instant(us, "%m-%d %H:%M:%S%.6f", if zone.is_some() { "+00" } else { "" })?
        }
        DataType::Utf8 => cell.as_string::<i32>().value(0).to_owned(),
        DataType::Binary => {
            let hex: String = cell.as_binary::<i32>().value(0).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("\\x{hex}")
        }
        other => return Err(Error::bug(format!("key column {} has the type {other}", field.name()))),
    };
    // With E'' backslashes mean the same whatever standard_conforming_strings is.
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    Ok(match field.metadata().get(SOURCE_TYPE) {
        Some(declared) => format!("E'{text}'::{declared}"),
        None => format!("E'{text}'"),
    })
}

/// A date as PostgreSQL reads it: years before 1 are BC, and the year 0 is 1 BC.
fn instant(us: i64, rest: &str, zone: &str) -> Result<String> {
    let at: DateTime<Utc> = DateTime::from_timestamp_micros(us)
        .ok_or_else(|| Error::new(ErrorKind::Data, "a key's date is beyond the year 262142"))?;
    let (year, era) = if at.year() > 0 { (at.year(), "") } else { (1 - at.year(), " BC") };
    Ok(format!("{year:04}-{}{zone}{era}", at.format(rest)))
}
