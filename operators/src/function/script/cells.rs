//! Cells as values of a script.

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use rhai::Dynamic;

use super::super::decimal::Decimal;
use crate::text::{as_text, has_text};

/// True when a script can see values of this type.
pub(super) fn is_visible(data_type: &DataType) -> bool {
    match data_type {
        DataType::Decimal128(_, scale) => *scale >= 0,
        DataType::Decimal256(..) => false,
        other => has_text(other),
    }
}

/// The cells of one column.
pub(super) enum Cells {
    Flags(BooleanArray),
    Integers(Int64Array),
    Floats(Float64Array),
    Decimals(Decimal128Array, u32),
    /// Texts, dates and times.
    Texts(StringArray),
}

impl Cells {
    /// Prepares a column of a type that is visible.
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        let converted = |data_type: DataType| {
            cast(column, &data_type)
                .map_err(|error| Error::bug("a column cannot be shown to a script").with_source(error))
        };
        Ok(match column.data_type() {
            DataType::Boolean => Self::Flags(column.as_boolean().clone()),
            // Not all of them are numbers of a script.
            DataType::UInt64 => {
                let decimals = converted(DataType::Decimal128(20, 0))?;
                Self::Decimals(decimals.as_primitive::<Decimal128Type>().clone(), 0)
            }
            kind if kind.is_integer() => {
                Self::Integers(converted(DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Float32 | DataType::Float64 => {
                Self::Floats(converted(DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Decimal128(_, scale) => {
                Self::Decimals(column.as_primitive::<Decimal128Type>().clone(), u32::from(scale.unsigned_abs()))
            }
            _ => Self::Texts(as_text(column)?),
        })
    }

    /// The value of a row; NULL is `()`.
    pub(super) fn value(&self, row: usize) -> Dynamic {
        let is_null = match self {
            Self::Flags(cells) => cells.is_null(row),
            Self::Integers(cells) => cells.is_null(row),
            Self::Floats(cells) => cells.is_null(row),
            Self::Decimals(cells, _) => cells.is_null(row),
            Self::Texts(cells) => cells.is_null(row),
        };
        if is_null {
            return Dynamic::UNIT;
        }
        match self {
            Self::Flags(cells) => cells.value(row).into(),
            Self::Integers(cells) => cells.value(row).into(),
            Self::Floats(cells) => cells.value(row).into(),
            Self::Decimals(cells, scale) => Dynamic::from(Decimal { units: cells.value(row), scale: *scale }),
            Self::Texts(cells) => cells.value(row).into(),
        }
    }
}
