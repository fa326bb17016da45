//! Keys of rows as JSON, for positions.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result};
use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use serde_json::Value;

/// One row's values of some columns.
///
/// # Errors
/// `Data` when one of them is NULL: reading cannot go on behind it.
pub(super) fn edge_of(relation: &Relation, columns: &[usize], row: &RecordBatch) -> Result<RecordBatch> {
    for &column in columns {
        if row.column(column).is_null(0) {
            let name = relation.columns().field(column).name();
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "{} is read in the order of {name}, which holds NULL or a date that cannot be kept",
                    relation.name()
                ),
            )
            .with_setting("key")
            .with_hint("order the reading by columns that are never NULL: `key`"));
        }
    }
    row.project(columns).map_err(|error| Error::bug("a key has no such column").with_source(error))
}

/// The cells of an edge as a position keeps them.
pub(super) fn to_json(edge: &RecordBatch) -> Result<Vec<Value>> {
    edge.columns().iter().map(cell_to_json).collect()
}

/// The edge of a position; `columns` may be longer than the cells.
pub(super) fn from_json(relation: &Relation, columns: &[usize], cells: &[Value]) -> Option<RecordBatch> {
    let fields: Vec<Arc<Field>> =
        columns.iter().zip(cells).map(|(&column, _)| relation.columns().fields()[column].clone()).collect();
    let values: Option<Vec<ArrayRef>> =
        fields.iter().zip(cells).map(|(field, cell)| cell_from_json(cell, field.data_type())).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), values?).ok()
}

/// A value that a person wrote (`from`), in a column's type.
pub(super) fn from_text(text: &str, field: &Field) -> Option<ArrayRef> {
    let given: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let value = match field.data_type() {
        // Without a time zone database Arrow cannot cast to a zone that has a name; the texts are read as UTC.
        wanted @ DataType::Timestamp(unit, Some(_)) => {
            let plain = cast(&given, &DataType::Timestamp(*unit, None)).ok()?;
            with_type(&plain, wanted)?
        }
        wanted => cast(&given, wanted).ok()?,
    };
    (value.null_count() == 0).then_some(value)
}

/// The whole numbers behind dates and times.
fn as_number(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Date32 => Some(DataType::Int32),
        DataType::Timestamp(TimeUnit::Microsecond, _)
        | DataType::Duration(TimeUnit::Microsecond)
        | DataType::Time64(TimeUnit::Microsecond) => Some(DataType::Int64),
        _ => None,
    }
}

/// The same bits as another type.
fn with_type(array: &ArrayRef, data_type: &DataType) -> Option<ArrayRef> {
    let data = array.to_data().into_builder().data_type(data_type.clone()).build().ok()?;
    Some(arrow::array::make_array(data))
}

fn cell_to_json(cell: &ArrayRef) -> Result<Value> {
    if let Some(number) = as_number(cell.data_type()) {
        let bits = with_type(cell, &number).ok_or_else(|| Error::bug("a time is not a number"))?;
        return cell_to_json(&bits);
    }
    if let Some(bytes) = cell.as_any().downcast_ref::<BinaryArray>() {
        return Ok(bytes.value(0).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into());
    }
    let text = cast(cell, &DataType::Utf8).map_err(|error| Error::bug("a key cannot be written").with_source(error))?;
    let text = text.as_any().downcast_ref::<StringArray>().map(|text| text.value(0).to_owned()).unwrap_or_default();
    Ok(match cell.data_type() {
        DataType::Boolean => Value::Bool(text == "true"),
        number if number.is_integer() => text.parse::<serde_json::Number>().map_or(Value::String(text), Value::Number),
        _ => Value::String(text),
    })
}

fn cell_from_json(cell: &Value, data_type: &DataType) -> Option<ArrayRef> {
    if let Some(number) = as_number(data_type) {
        return with_type(&cell_from_json(cell, &number)?, data_type);
    }
    let text = match cell {
        Value::String(text) if *data_type == DataType::Binary => {
            let digits: Option<Vec<u8>> = (0..text.len())
                .step_by(2)
                .map(|at| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()))
                .collect();
            return Some(Arc::new(BinaryArray::from(vec![digits?.as_slice()])));
        }
        Value::String(text) => text.clone(),
        Value::Number(number) if data_type.is_integer() => number.to_string(),
        Value::Bool(value) if *data_type == DataType::Boolean => value.to_string(),
        _ => return None,
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let value = cast(&text, data_type).ok()?;
    (value.null_count() == 0).then_some(value)
}
