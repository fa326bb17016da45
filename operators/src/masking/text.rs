//! Values as text: rules that show a part of it.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

/// Shows the first and last characters of a text; one that is not longer than what would be shown is hidden whole.
/// Counts characters, not bytes.
pub(super) fn keep(text: &str, first: usize, last: usize, with: char) -> String {
    let length = text.chars().count();
    let whole = length <= first.saturating_add(last);
    let shown = |i: usize| !whole && (i < first || i >= length - last);
    text.chars().enumerate().map(|(i, c)| if shown(i) { c } else { with }).collect()
}

/// The type of masked text: the column's own when it is text, else `Utf8`.
pub(super) fn text_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => data_type.clone(),
        _ => DataType::Utf8,
    }
}

/// Applies a rule to every value as text; NULL stays NULL. The result has the type [`text_type`].
pub(super) fn map_text(column: &ArrayRef, rule: impl Fn(&str) -> String) -> Result<ArrayRef> {
    let text = match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => column.clone(),
        // The cause would quote a value.
        other => cast(column, &DataType::Utf8).map_err(|_| Error::bug(format!("cannot show {other} as text")))?,
    };
    Ok(match text.data_type() {
        DataType::LargeUtf8 => {
            Arc::new(text.as_string::<i64>().iter().map(|value| value.map(&rule)).collect::<LargeStringArray>())
        }
        DataType::Utf8View => {
            Arc::new(text.as_string_view().iter().map(|value| value.map(&rule)).collect::<StringViewArray>())
        }
        _ => Arc::new(text.as_string::<i32>().iter().map(|value| value.map(&rule)).collect::<StringArray>()),
    })
}

/// True when values of the type can be shown as text, so that equal values give equal texts.
pub(super) fn has_text(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_temporal()
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
        )
}
