//! From SQLite's cells back to Arrow columns, as they were written by `sink_values`.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::{
    ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Float64Builder, Int64Array, Int64Builder, RecordBatch,
    StringArray, StringBuilder, UInt64Builder,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Date32Type, Int32Type, SchemaRef, TimeUnit};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::sink_values::{NAN, Plain, plain};
use crate::sql_target::{parse_date, parse_time, parse_timestamp};

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
            let cell = row
                .get_ref(first + i)
                .map_err(|error| Error::bug("a column is not in the result").with_source(error))?;
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
    Error::new(
        ErrorKind::Data,
        format!("column {column} of the target holds a value that was not written by this flow"),
    )
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

/// The number of a date's or time's text.
type Parse = Box<dyn Fn(&str) -> Option<i64>>;

/// Dates and times from their text; any other text as it is.
fn from_text(text: &StringArray, name: &str, data_type: &DataType) -> Result<ArrayRef> {
    use DataType::*;
    let read: Parse = match data_type {
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
        Date32 => {
            Arc::new(narrow(Arc::new(numbers), &Int32)?.as_primitive::<Int32Type>().reinterpret_cast::<Date32Type>())
        }
        Time32(_) => narrow(Arc::new(numbers), &Int32)?,
        _ => Arc::new(numbers),
    })
}
