//! From the relation's Arrow types to the ones that DuckDB's appender loads exactly, and back.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::types::{
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, RecordBatch, StringArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, i256};

use crate::sql_target::{Dialect, storage_type};

/// A column in the type that is loaded. A value that does not fit becomes NULL; the caller compares the nulls.
///
/// # Errors
/// `Schema` for a type that DuckDB columns cannot hold.
pub(super) fn to_storage(column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let wanted = storage_type(Dialect::DuckDb, column, array.data_type())?.arrow;
    let failed = |error| {
        Error::bug(format!("cannot convert column {column} from {} to {wanted}", array.data_type())).with_source(error)
    };
    let stored = match (array.data_type(), &wanted) {
        // A cast would move the wall clock.
        (DataType::Timestamp(..), DataType::Timestamp(unit, None)) => without_zone(array, *unit),
        (DataType::Date64, DataType::Timestamp(..)) => {
            cast(&cast(array, &DataType::Int64).map_err(failed)?, &wanted).map_err(failed)?
        }
        (DataType::Null, _) => arrow::array::new_null_array(&wanted, array.len()),
        (from, to) if from == to => array.clone(),
        _ => {
            cast_with_options(array, &wanted, &CastOptions { safe: true, ..CastOptions::default() }).map_err(failed)?
        }
    };
    Ok(match stored.data_type() {
        DataType::Decimal128(precision, _) => within_precision(&stored, *precision),
        _ => stored,
    })
}

/// Drops the time zone and keeps the number.
fn without_zone(array: &ArrayRef, unit: TimeUnit) -> ArrayRef {
    fn bare<T: arrow::datatypes::ArrowTimestampType>(array: &ArrayRef) -> ArrayRef {
        Arc::new(array.as_primitive::<T>().clone().with_timezone_opt(None::<Arc<str>>))
    }
    match unit {
        TimeUnit::Second => bare::<TimestampSecondType>(array),
        TimeUnit::Millisecond => bare::<TimestampMillisecondType>(array),
        TimeUnit::Microsecond => bare::<TimestampMicrosecondType>(array),
        TimeUnit::Nanosecond => bare::<TimestampNanosecondType>(array),
    }
}

/// Makes values beyond the precision NULL and clears what lies under NULLs: the appender narrows every slot to the width
/// of the precision, and panics on one that does not fit.
fn within_precision(array: &ArrayRef, precision: u8) -> ArrayRef {
    let decimals = array.as_primitive::<arrow::datatypes::Decimal128Type>();
    let limit = 10i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
    let fits = |value: i128| value < limit && value > -limit;
    if decimals.values().iter().all(|&value| fits(value)) {
        return array.clone();
    }
    let mended: Decimal128Array = decimals.iter().map(|value| value.filter(|&value| fits(value))).collect();
    Arc::new(mended.with_data_type(decimals.data_type().clone()))
}

/// Rows that have a value which became NULL on the way.
pub(super) fn lost(before: &ArrayRef, after: &ArrayRef) -> Vec<usize> {
    if before.logical_null_count() == after.null_count() {
        return Vec::new();
    }
    let nulls: Option<NullBuffer> = before.logical_nulls();
    let was_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    (0..before.len()).filter(|&row| after.is_null(row) && !was_null(row)).collect()
}

/// A batch as DuckDB returns it, in the types that were written.
///
/// # Errors
/// `Data` when a value does not fit its column's type.
pub(super) fn restore(rows: &RecordBatch, first: usize, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for (i, field) in schema.fields().iter().enumerate() {
        let array = rows.column(first + i);
        let restored = restore_column(array, field.data_type()).map_err(|_| {
            Error::new(
                ErrorKind::Data,
                format!("column {} of the target holds a value that was not written by this flow", field.name()),
            )
            .with_hint("someone else changed the table: repair it, or write elsewhere with `table`")
        })?;
        columns.push(restored);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| Error::bug("cannot assemble rows that were read back").with_source(error))
}

fn restore_column(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, arrow::error::ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    match (array.data_type(), wanted) {
        (from, to) if from == to => Ok(array.clone()),
        (DataType::Timestamp(_, None), DataType::Timestamp(unit, Some(zone))) => {
            let bare = cast_with_options(array, &DataType::Timestamp(*unit, None), &strict)?;
            Ok(with_zone(&bare, *unit, zone))
        }
        (DataType::Timestamp(..), DataType::Date64) => {
            let ms = cast_with_options(array, &DataType::Timestamp(TimeUnit::Millisecond, None), &strict)?;
            cast_with_options(&cast(&ms, &DataType::Int64)?, wanted, &strict)
        }
        (DataType::Utf8, DataType::Decimal256(_, scale)) => decimal256(array.as_string::<i32>(), wanted, *scale),
        _ => cast_with_options(array, wanted, &strict),
    }
}

fn with_zone(array: &ArrayRef, unit: TimeUnit, zone: &Arc<str>) -> ArrayRef {
    fn zoned<T: arrow::datatypes::ArrowTimestampType>(array: &ArrayRef, zone: &Arc<str>) -> ArrayRef {
        Arc::new(array.as_primitive::<T>().clone().with_timezone(zone.clone()))
    }
    match unit {
        TimeUnit::Second => zoned::<TimestampSecondType>(array, zone),
        TimeUnit::Millisecond => zoned::<TimestampMillisecondType>(array, zone),
        TimeUnit::Microsecond => zoned::<TimestampMicrosecondType>(array, zone),
        TimeUnit::Nanosecond => zoned::<TimestampNanosecondType>(array, zone),
    }
}

/// Digits written as text, back as they were: a cast goes through fewer digits than 256 bits have.
fn decimal256(text: &StringArray, wanted: &DataType, scale: i8) -> Result<ArrayRef, arrow::error::ArrowError> {
    let bad = || arrow::error::ArrowError::ParseError("not a decimal".to_owned());
    let mut values = Vec::with_capacity(text.len());
    for cell in text {
        values.push(match cell {
            None => None,
            Some(cell) => {
                let (whole, fraction) = cell.split_once('.').unwrap_or((cell, ""));
                let zeros = usize::try_from(scale).unwrap_or(0).checked_sub(fraction.len()).ok_or_else(bad)?;
                let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
                let value = i256::from_string(&digits).ok_or_else(bad)?;
                Some(match scale {
                    ..0 => value.wrapping_div(i256::from_i128(10).wrapping_pow(u32::from(scale.unsigned_abs()))),
                    _ => value,
                })
            }
        });
    }
    let array: arrow::array::Decimal256Array = values.into_iter().collect();
    Ok(Arc::new(array.with_data_type(wanted.clone())))
}

/// True in every row but the given ones.
pub(super) fn all_but(length: usize, rows: &[usize]) -> BooleanArray {
    let mut keep = vec![true; length];
    for &row in rows {
        keep[row] = false;
    }
    BooleanArray::from(keep)
}
