//! From Arrow columns to SQLite's cells and back, exactly.
//!
//! Both ways go through six plain kinds of column; what SQLite has no type for is text: decimals with all their digits,
//! dates and times in ISO 8601, NaN, and integers beyond 64 bits with a sign.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, BooleanBuilder, Float64Array, Float64Builder,
    Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder, UInt64Array, UInt64Builder,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, SchemaRef, TimeUnit, UInt64Type};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Row};

use crate::sql_target::{
    format_date, format_time, format_timestamp, parse_date, parse_time, parse_timestamp,
};

/// NaN as text: SQLite stores a NaN as NULL.
const NAN: &str = "NaN";

/// Which plain column stands for a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plain {
    Boolean,
    Int,
    UInt64,
    Float,
    Text,
    Blob,
}

fn plain(data_type: &DataType) -> Plain {
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
        let columns = rows.columns().iter().map(|array| to_plain(array)).collect::<Result<_>>()?;
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

/// A column of text, dates, times or decimals as text.
fn to_text(array: &ArrayRef) -> Result<StringArray> {
    use DataType::*;
    let write: Box<dyn Fn(i64, &mut String)> = match array.data_type().clone() {
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

enum Builder {
    Boolean(BooleanBuilder),
    Int(Int64Builder),
    UInt64(UInt64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Blob(BinaryBuilder),
}

/// Builds a batch of a given schema from SQLite's rows.
pub(super) struct Reader {
    schema: SchemaRef,
    builders: Vec<Builder>,
    rows: usize,
}

impl Reader {
    /// A reader for rows of these columns.
    pub fn new(schema: &SchemaRef) -> Result<Self> {
        let builders = schema.fields().iter().map(|field| builder(plain(field.data_type()))).collect();
        Ok(Self { schema: schema.clone(), builders, rows: 0 })
    }

    /// Takes a row whose columns begin at `first`.
    ///
    /// # Errors
    /// `Data` when a cell holds something that its column was not written with.
    pub fn push(&mut self, row: &Row<'_>, first: usize) -> Result<()> {
        for (i, builder) in self.builders.iter_mut().enumerate() {
            let cell = row.get_ref(first + i).map_err(|error| Error::bug("a column is not in the result").with_source(error))?;
            if !push_cell(builder, cell) {
                return Err(foreign_value(self.schema.field(i).name()));
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// The rows, in the schema's types.
    pub fn finish(self) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.builders.len());
        for (builder, field) in self.builders.into_iter().zip(self.schema.fields()) {
            columns.push(from_plain(builder, field.name(), field.data_type())?);
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(self.schema, columns, &options)
            .map_err(|error| Error::bug("cannot assemble rows that were read back").with_source(error))
    }
}

fn foreign_value(column: &str) -> Error {
    Error::new(ErrorKind::Data, format!("column {column} of the target holds a value that was not written by this flow"))
        .with_hint("someone else changed the table: repair it, or write elsewhere with `table`")
}

fn builder(plain: Plain) -> Builder {
    match plain {
        Plain::Boolean => Builder::Boolean(BooleanBuilder::new()),
        Plain::Int => Builder::Int(Int64Builder::new()),
        Plain::UInt64 => Builder::UInt64(UInt64Builder::new()),
        Plain::Float => Builder::Float(Float64Builder::new()),
        Plain::Text => Builder::Text(StringBuilder::new()),
        Plain::Blob => Builder::Blob(BinaryBuilder::new()),
    }
}

/// Takes a cell; false when its kind is not one that the column was written with.
fn push_cell(builder: &mut Builder, cell: ValueRef<'_>) -> bool {
    match (builder, cell) {
        (Builder::Boolean(builder), ValueRef::Integer(value @ (0 | 1))) => builder.append_value(value == 1),
        (Builder::Boolean(builder), ValueRef::Null) => builder.append_null(),
        (Builder::Int(builder), ValueRef::Integer(value)) => builder.append_value(value),
        (Builder::Int(builder), ValueRef::Null) => builder.append_null(),
        (Builder::UInt64(builder), ValueRef::Integer(value)) => match u64::try_from(value) {
            Ok(value) => builder.append_value(value),
            Err(_) => return false,
        },
        (Builder::UInt64(builder), ValueRef::Text(text)) => {
            match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
                Some(value) => builder.append_value(value),
                None => return false,
            }
        }
        (Builder::UInt64(builder), ValueRef::Null) => builder.append_null(),
        (Builder::Float(builder), ValueRef::Real(value)) => builder.append_value(value),
        (Builder::Float(builder), ValueRef::Integer(value)) => builder.append_value(value as f64),
        (Builder::Float(builder), ValueRef::Text(text)) if text == NAN.as_bytes() => builder.append_value(f64::NAN),
        (Builder::Float(builder), ValueRef::Null) => builder.append_null(),
        (Builder::Text(builder), ValueRef::Text(text)) => match std::str::from_utf8(text) {
            Ok(text) => builder.append_value(text),
            Err(_) => return false,
        },
        (Builder::Text(builder), ValueRef::Null) => builder.append_null(),
        (Builder::Blob(builder), ValueRef::Blob(value)) => builder.append_value(value),
        (Builder::Blob(builder), ValueRef::Null) => builder.append_null(),
        _ => return false,
    }
    true
}

fn from_plain(builder: Builder, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    let array: ArrayRef = match builder {
        Builder::Boolean(mut builder) => Arc::new(builder.finish()),
        Builder::Int(mut builder) => Arc::new(builder.finish()),
        Builder::UInt64(mut builder) => Arc::new(builder.finish()),
        Builder::Float(mut builder) => Arc::new(builder.finish()),
        Builder::Blob(mut builder) => Arc::new(builder.finish()),
        Builder::Text(mut builder) => from_text(&builder.finish(), name, data_type)?,
    };
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&array, data_type, &strict).map_err(|_| foreign_value(name))
}

/// Dates and times from their text; any other text as it is.
fn from_text(text: &StringArray, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    use DataType::*;
    let read: Box<dyn Fn(&str) -> Option<i64>> = match data_type {
        Date32 => Box::new(parse_date),
        Date64 => Box::new(|text| parse_timestamp(text, TimeUnit::Millisecond)),
        Timestamp(unit, _) => {
            let unit = *unit;
            Box::new(move |text| parse_timestamp(text, unit))
        }
        Time32(unit) | Time64(unit) => {
            let unit = *unit;
            Box::new(move |text| parse_time(text, unit))
        }
        _ => return Ok(Arc::new(text.clone())),
    };
    let numbers: Int64Array = text
        .iter()
        .map(|cell| cell.map(|text| read(text).ok_or_else(|| foreign_value(name))).transpose())
        .collect::<Result<_>>()?;
    let narrow = |array: ArrayRef, data_type: &DataType| {
        cast_with_options(&array, data_type, &CastOptions { safe: false, ..CastOptions::default() })
            .map_err(|_| foreign_value(name))
    };
    Ok(match data_type {
        Date32 => Arc::new(narrow(Arc::new(numbers), &Int32)?.as_primitive::<arrow::datatypes::Int32Type>().reinterpret_cast::<Date32Type>()),
        Time32(_) => narrow(Arc::new(numbers), &Int32)?,
        _ => Arc::new(numbers),
    })
}
