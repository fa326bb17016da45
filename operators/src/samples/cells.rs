//! Values of some columns as bytes, the same in every run, version and batch.

use std::ops::Range;

use aqueduct_model::{Batch, Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::text::{as_text, has_text};

/// A column as texts or bytes.
enum Values {
    Text(StringArray),
    Bytes(BinaryArray),
}

/// The values of some columns of a batch.
pub(super) struct Cells(Vec<Values>);

/// True when values of the type can be told apart by their bytes.
pub(super) fn has_bytes(data_type: &DataType) -> bool {
    has_text(data_type)
        || matches!(
            data_type,
            DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
                | DataType::Null
        )
}

fn values(column: &ArrayRef) -> Result<Values> {
    if has_text(column.data_type()) {
        return as_text(column).map(Values::Text);
    }
    // The cause would quote a value.
    let bytes = cast(column, &DataType::Binary).map_err(|_| {
        Error::new(ErrorKind::Data, format!("values of type {} cannot be told apart", column.data_type()))
    })?;
    Ok(Values::Bytes(bytes.as_binary::<i32>().clone()))
}

impl Cells {
    pub(super) fn new(batch: &Batch, columns: &[usize]) -> Result<Self> {
        columns.iter().map(|column| values(batch.rows().column(*column))).collect::<Result<_>>().map(Self)
    }

    /// Writes the values of one row in place of what `into` holds; different values give different bytes.
    pub(super) fn write(&self, row: usize, into: &mut Vec<u8>) {
        into.clear();
        for values in &self.0 {
            let value = match values {
                Values::Text(texts) => texts.is_valid(row).then(|| texts.value(row).as_bytes()),
                Values::Bytes(bytes) => bytes.is_valid(row).then(|| bytes.value(row)),
            };
            match value {
                None => into.push(0),
                Some(value) => {
                    into.push(1);
                    into.extend_from_slice(&(value.len() as u64).to_le_bytes());
                    into.extend_from_slice(value);
                }
            }
        }
    }
}

/// Rows `0..length` in pieces of at most `size`.
pub(super) fn pieces(length: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(size).map(move |from| from..length.min(from + size))
}
