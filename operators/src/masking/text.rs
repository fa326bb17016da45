//! Values as text: rules that show a part of it.

use std::sync::Arc;

use aqueduct_model::Result;
use arrow::array::{ArrayRef, AsArray, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::DataType;

use crate::text::as_text;

/// Shows the first and last characters of a text; one that is not longer than what would be shown is hidden whole.
/// Counts characters, not bytes.
pub(super) fn keep(text: &str, first: usize, last: usize, with: char) -> String {
    let length = text.chars().count();
    let whole = length <= first.saturating_add(last);
    let shown = |i: usize| !whole && (i < first || i >= length - last);
    text.chars().enumerate().map(|(i, c)| if shown(i) { c } else { with }).collect()
}

/// Applies a rule to every value as text; NULL stays NULL. The result has the type [`crate::text::text_type`].
pub(super) fn map_text(column: &ArrayRef, rule: impl Fn(&str) -> String) -> Result<ArrayRef> {
    let text: ArrayRef = match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => column.clone(),
        _ => Arc::new(as_text(column)?),
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
