//! Values of a row in settings: `${row.day}`.

use arrow_array::{Array, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

const BEGIN: &str = "${row.";

/// True when some text in `settings` names a column of a row.
pub fn names_row(settings: &Value) -> bool {
    match settings {
        Value::String(text) => text.contains(BEGIN),
        Value::Array(items) => items.iter().any(names_row),
        Value::Object(entries) => entries.values().any(names_row),
        _ => false,
    }
}

/// The settings with the values of a row in them. A text that is nothing but `${row.column}` becomes a value of the
/// column's kind: a number, `true` or `false`, `null`, else text; inside a longer text NULL is nothing.
///
/// # Errors
/// `Config` when there is no such column, or an expansion is not closed.
pub fn bind_row(settings: &Value, rows: &RecordBatch, row: usize) -> Result<Value> {
    Ok(match settings {
        Value::String(text) if text.contains(BEGIN) => bind_text(text, rows, row)?,
        Value::Array(items) => Value::Array(items.iter().map(|item| bind_row(item, rows, row)).collect::<Result<_>>()?),
        Value::Object(entries) => {
            let bound = entries.iter().map(|(key, value)| Ok((key.clone(), bind_row(value, rows, row)?)));
            Value::Object(bound.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}

fn bind_text(text: &str, rows: &RecordBatch, row: usize) -> Result<Value> {
    let (mut bound, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(BEGIN) {
        let inner = &rest[at + BEGIN.len()..];
        let end = inner.find('}').ok_or_else(|| {
            Error::config(format!("`{text}`: `${{` is not closed")).with_hint("write `${row.column}`")
        })?;
        let value = value_of(&inner[..end], rows, row)?;
        if at == 0 && bound.is_empty() && end + 1 == inner.len() {
            return Ok(value);
        }
        bound.push_str(&rest[..at]);
        match value {
            Value::Null => {}
            Value::String(text) => bound.push_str(&text),
            other => bound.push_str(&other.to_string()),
        }
        rest = &inner[end + 1..];
    }
    bound.push_str(rest);
    Ok(Value::String(bound))
}

fn value_of(column: &str, rows: &RecordBatch, row: usize) -> Result<Value> {
    let Some(cells) = rows.column_by_name(column) else {
        let names: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        return Err(Error::config(format!("the row has no column `{column}`"))
            .with_hint(format!("its columns are: {}", names.join(", "))));
    };
    cell_value(cells, row)
}

/// A cell as a value: numbers that JSON has without loss, `true` or `false`, `null`, else text.
///
/// # Errors
/// `Data` when the type has no text.
pub fn cell_value(cells: &dyn Array, row: usize) -> Result<Value> {
    if cells.is_null(row) {
        return Ok(Value::Null);
    }
    let text = cell_text(cells, row)?;
    Ok(match cells.data_type() {
        DataType::Boolean => Value::Bool(text == "true"),
        kind if kind.is_integer() => text.parse().map_or(Value::String(text), Value::Number),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            text.parse().map_or(Value::String(text), Value::Number)
        }
        _ => Value::String(text),
    })
}

/// A cell as text; NULL is empty.
///
/// # Errors
/// `Data` when the type has no text.
pub fn cell_text(cells: &dyn Array, row: usize) -> Result<String> {
    let failed = |error| Error::new(ErrorKind::Data, "a value has no text").with_source(error);
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(cells, &options).map_err(failed)?;
    formatter.value(row).try_to_string().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
    use serde_json::json;

    use super::*;

    fn rows() -> RecordBatch {
        let columns: [(&str, ArrayRef); 4] = [
            ("n", Arc::new(Int64Array::from(vec![Some(7), None]))),
            ("day", Arc::new(StringArray::from(vec!["2026-01-02", "x"]))),
            ("yes", Arc::new(BooleanArray::from(vec![true, false]))),
            ("part", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, cells)| (name, cells, true))).unwrap()
    }

    #[test]
    fn a_text_that_is_one_column_takes_its_kind() {
        let settings =
            json!({ "a": "${row.n}", "b": ["${row.yes}", "${row.part}"], "c": "day=${row.day}/${row.n}", "d": 3 });
        assert!(names_row(&settings));
        let bound = bind_row(&settings, &rows(), 0).unwrap();
        assert_eq!(bound, json!({ "a": 7, "b": [true, 0.5], "c": "day=2026-01-02/7", "d": 3 }));
        let bound = bind_row(&settings, &rows(), 1).unwrap();
        assert_eq!(bound, json!({ "a": null, "b": [false, "NaN"], "c": "day=x/", "d": 3 }));
    }

    #[test]
    fn a_column_that_is_not_there_is_named() {
        let error = bind_row(&json!("${row.dya}"), &rows(), 0).unwrap_err();
        assert!(error.to_string().contains("dya") && error.hint().unwrap().contains("day"));
        assert!(bind_row(&json!("${row.day"), &rows(), 0).is_err());
    }
}
