//! From Arrow columns to SQLite's cells, exactly; `sink_reader` is the way back.
//!
//! Both ways go through six plain kinds of column; what SQLite has no type for is text: decimals with all their digits,
//! dates and times in ISO 8601, NaN, and integers beyond 64 bits with a sign.

use aqueduct_model::{Error, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    StringBuilder, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use rusqlite::CachedStatement;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::sql_target::{format_date, format_time, format_timestamp};

/// NaN as text: SQLite stores a NaN as NULL.
pub(super) const NAN: &str = "NaN";

/// Which plain column stands for a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    Boolean,
    Int,
    UInt64,
    Float,
    Text,
    Blob,
}

/// The plain column that stands for a type.
pub(super) fn plain(data_type: &DataType) -> Plain {
    use DataType::*;
    match data_type {
        Boolean => Plain::Boolean,
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Duration(_) => Plain::Int,
        UInt64 => Plain::UInt64,
        Float16 | Float32 | Float64 => Plain::Float,
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Plain::Blob,
        Dictionary(_, values) => plain(values),
        _ => Plain::Text,
    }
}

enum Column {
    Boolean(BooleanArray),
    Int(Int64Array),
    UInt64(UInt64Array),
    Float(Float64Array),
    Text(StringArray),
    Blob(BinaryArray),
}

/// The columns of a batch, ready to be bound row by row.
pub(super) struct Cells {
    columns: Vec<Column>,
}

impl Cells {
    /// Turns a batch into plain columns.
    pub fn new(rows: &RecordBatch) -> Result<Self> {
        let columns = rows.columns().iter().map(to_plain).collect::<Result<_>>()?;
        Ok(Self { columns })
    }

    /// Binds one row to the parameters from `first` on.
    pub fn bind(&self, statement: &mut CachedStatement<'_>, row: usize, first: usize) -> rusqlite::Result<()> {
        for (i, column) in self.columns.iter().enumerate() {
            let place = first + i;
            match column {
                Column::Boolean(array) if array.is_valid(row) => {
                    statement.raw_bind_parameter(place, i64::from(array.value(row)))?;
                }
                Column::Int(array) if array.is_valid(row) => statement.raw_bind_parameter(place, array.value(row))?,
                Column::UInt64(array) if array.is_valid(row) => match i64::try_from(array.value(row)) {
                    Ok(value) => statement.raw_bind_parameter(place, value)?,
                    Err(_) => statement.raw_bind_parameter(place, array.value(row).to_string())?,
                },
                Column::Float(array) if array.is_valid(row) => match array.value(row) {
                    value if value.is_nan() => statement.raw_bind_parameter(place, NAN)?,
                    value => statement.raw_bind_parameter(place, value)?,
                },
                Column::Text(array) if array.is_valid(row) => statement.raw_bind_parameter(place, array.value(row))?,
                Column::Blob(array) if array.is_valid(row) => statement.raw_bind_parameter(place, array.value(row))?,
                _ => statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(ValueRef::Null))?,
            }
        }
        Ok(())
    }
}

fn to_plain(array: &ArrayRef) -> Result<Column> {
    let to = |data_type| cast(array, &data_type).map_err(|error| cannot_convert(array.data_type(), error));
    Ok(match plain(array.data_type()) {
        Plain::Boolean => Column::Boolean(to(DataType::Boolean)?.as_boolean().clone()),
        Plain::Int => Column::Int(to(DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        Plain::UInt64 => Column::UInt64(to(DataType::UInt64)?.as_primitive::<UInt64Type>().clone()),
        Plain::Float => Column::Float(to(DataType::Float64)?.as_primitive::<Float64Type>().clone()),
        Plain::Blob => Column::Blob(to(DataType::Binary)?.as_binary::<i32>().clone()),
        Plain::Text => Column::Text(to_text(array)?),
    })
}

fn cannot_convert(data_type: &DataType, error: arrow::error::ArrowError) -> Error {
    Error::bug(format!("cannot convert a column of type {data_type} for SQLite")).with_source(error)
}

/// Appends the text of a date's or time's number.
type Format = Box<dyn Fn(i64, &mut String)>;

/// A column of text, dates, times or decimals as text.
fn to_text(array: &ArrayRef) -> Result<StringArray> {
    use DataType::*;
    let write: Format = match array.data_type().clone() {
        Date32 => Box::new(format_date),
        Date64 => Box::new(|value, out| format_timestamp(value, TimeUnit::Millisecond, false, out)),
        Timestamp(unit, zone) => Box::new(move |value, out| format_timestamp(value, unit, zone.is_some(), out)),
        Time32(unit) | Time64(unit) => Box::new(move |value, out| format_time(value, unit, out)),
        other => {
            let text = cast(array, &Utf8).map_err(|error| cannot_convert(&other, error))?;
            return Ok(text.as_string::<i32>().clone());
        }
    };
    let numbers = to_numbers(array)?;
    let mut builder = StringBuilder::with_capacity(numbers.len(), numbers.len() * 27);
    let mut scratch = String::with_capacity(32);
    for value in &numbers {
        match value {
            Some(value) => {
                scratch.clear();
                write(value, &mut scratch);
                builder.append_value(&scratch);
            }
            None => builder.append_null(),
        }
    }
    Ok(builder.finish())
}

/// The numbers behind dates and times.
fn to_numbers(array: &ArrayRef) -> Result<Int64Array> {
    let failed = |error| cannot_convert(array.data_type(), error);
    // Arrow casts them to integers of their own width as they are.
    let own_width = match array.data_type() {
        DataType::Date32 | DataType::Time32(_) => cast(array, &DataType::Int32).map_err(failed)?,
        _ => array.clone(),
    };
    Ok(cast(&own_width, &DataType::Int64).map_err(failed)?.as_primitive::<Int64Type>().clone())
}
