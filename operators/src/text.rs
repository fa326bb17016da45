//! Values of any type as text.

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

/// The type of text made of a column: the column's own when it is text, else `Utf8`.
pub(crate) fn text_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeUtf8 | DataType::Utf8View => data_type.clone(),
        _ => DataType::Utf8,
    }
}

/// True when values of the type can be shown as text, so that equal values give equal texts.
pub(crate) fn has_text(data_type: &DataType) -> bool {
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

/// Every value as text; NULL stays NULL. Instants are shown in UTC.
///
/// # Errors
/// `Data` for a type without text, or when the texts of one batch do not fit into one array.
pub(crate) fn as_text(column: &ArrayRef) -> Result<StringArray> {
    // The cause would quote a value.
    let failed = |_| {
        let text = format!("values of type {} cannot be shown as text", column.data_type());
        Error::new(aqueduct_model::ErrorKind::Data, text)
    };
    let shown = match column.data_type() {
        // Arrow shows no zone that has a name, because this build has no time zone database.
        DataType::Timestamp(unit, Some(_)) => {
            cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))).map_err(failed)?
        }
        _ => column.clone(),
    };
    Ok(cast(&shown, &DataType::Utf8).map_err(failed)?.as_string::<i32>().clone())
}
