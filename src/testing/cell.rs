//! One value on its way from a test file into a column, and from a column into text that can be compared.

use std::sync::Arc;

use aqueduct_engine::definition::{Node, Source, Value};
use arrow::array::{Array, ArrayRef, StringArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::column_type;

/// The text of a value as the file has it: numbers keep every digit that was written. `None` for NULL; an error says what
/// stands there instead of a value.
pub(super) fn written(node: &Node, source: &Source) -> Result<Option<String>, String> {
    Ok(match &node.value {
        Value::Null | Value::Unknown => None,
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => {
            let raw = source.slice(node.span).trim();
            let is_same = raw.parse::<f64>().is_ok_and(|parsed| parsed == *number);
            Some(if is_same { raw.to_owned() } else { number.to_string() })
        }
        Value::String(text) => Some(text.clone()),
        Value::List(_) | Value::Map(_) => return Err(node.describe()),
    })
}

/// A column of texts as a column of a type; nothing is rounded or cut to make it fit. The error names no value.
pub(super) fn column(texts: &[Option<String>], data_type: &DataType) -> Result<ArrayRef, String> {
    let unfit = || format!("the value does not fit the type {}", column_type::name(data_type));
    if let DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) = data_type {
        let digits =
            |text: &String| text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len());
        if texts.iter().flatten().any(|text| text.contains(['e', 'E']) || digits(text) > *scale as usize) {
            return Err(format!("the value has more digits than {} holds", column_type::name(data_type)));
        }
    }
    let texts: ArrayRef = Arc::new(StringArray::from_iter(texts.iter().map(Option::as_deref)));
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&texts, data_type, &strict).map_err(|_| unfit())
}

/// The values of a column as texts: one spelling per value. `None` for NULL.
pub(crate) fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    // Zones other than offsets need tables that are not there; the instant is the same.
    let column = match column.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))).unwrap_or_else(|_| column.clone())
        }
        _ => column.clone(),
    };
    let options = FormatOptions::default();
    let Ok(formatter) = ArrayFormatter::try_new(column.as_ref(), &options) else {
        return vec![Some(format!("a value of type {}", column.data_type())); column.len()];
    };
    let text = |row| match formatter.value(row).to_string() {
        text if text == "-0.0" => "0.0".to_owned(),
        text => text,
    };
    (0..column.len()).map(|row| column.is_valid(row).then(|| text(row))).collect()
}

/// The text of an expected value in the spelling of a column of that type; as it is written where it does not fit it, so
/// that it differs.
pub(super) fn expected(text: Option<String>, data_type: &DataType) -> Option<String> {
    let text = text?;
    match column(&[Some(text.clone())], data_type) {
        Ok(column) => texts(&column).pop().flatten(),
        Err(_) => Some(text),
    }
}
