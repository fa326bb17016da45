//! Cells as values for a component, and back.

use aqueduct_model::{Error, Result};
use aqueduct_wasm::{Moment, Value};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};

use super::super::decimal::Decimal;
use super::super::value::Value as Given;

const SECOND_NS: u32 = 1_000_000_000;

/// True when a component can get values of this type.
pub(super) fn is_visible(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::FixedSizeBinary(_)
                | DataType::Date32
                | DataType::Date64
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Timestamp(..)
        )
}

/// The cells of one column.
pub(super) enum Cells {
    Flags(BooleanArray),
    Integers(Int64Array),
    Floats(Float64Array),
    /// Decimals, and whole numbers that are none of a component, as digits.
    Decimals(StringArray),
    Texts(StringArray),
    Bytes(BinaryArray),
    /// Days.
    Dates(Int64Array),
    /// Nanoseconds.
    Times(Int64Array),
    /// Moments in a unit, in UTC or without a zone.
    Moments(Int64Array, TimeUnit, bool),
}

impl Cells {
    /// Prepares a column of a type that is visible.
    pub(super) fn of(column: &ArrayRef) -> Result<Self> {
        let through = |types: &[DataType]| {
            types.iter().try_fold(column.clone(), |column, data_type| {
                // The cause would quote a value.
                cast(&column, data_type).map_err(|_| Error::bug("a column cannot be shown to a component"))
            })
        };
        let numbers = |types: &[DataType]| Ok(through(types)?.as_primitive::<Int64Type>().clone());
        Ok(match column.data_type() {
            DataType::Boolean => Self::Flags(column.as_boolean().clone()),
            DataType::UInt64 | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Self::Decimals(through(&[DataType::Utf8])?.as_string::<i32>().clone())
            }
            kind if kind.is_integer() => Self::Integers(numbers(&[DataType::Int64])?),
            DataType::Float32 | DataType::Float64 => {
                Self::Floats(through(&[DataType::Float64])?.as_primitive::<Float64Type>().clone())
            }
            DataType::Date32 | DataType::Date64 => {
                Self::Dates(numbers(&[DataType::Date32, DataType::Int32, DataType::Int64])?)
            }
            DataType::Time32(_) | DataType::Time64(_) => {
                Self::Times(numbers(&[DataType::Time64(TimeUnit::Nanosecond), DataType::Int64])?)
            }
            DataType::Timestamp(unit, zone) => Self::Moments(numbers(&[DataType::Int64])?, *unit, zone.is_some()),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes(through(&[DataType::Binary])?.as_binary::<i32>().clone())
            }
            _ => Self::Texts(through(&[DataType::Utf8])?.as_string::<i32>().clone()),
        })
    }

    /// The value of a row.
    ///
    /// # Errors
    /// Why it is none, which is so for dates and times outside of their type.
    pub(super) fn value(&self, row: usize) -> Result<Value, &'static str> {
        let array: &dyn Array = match self {
            Self::Flags(cells) => cells,
            Self::Integers(cells) | Self::Dates(cells) | Self::Times(cells) | Self::Moments(cells, ..) => cells,
            Self::Floats(cells) => cells,
            Self::Decimals(cells) | Self::Texts(cells) => cells,
            Self::Bytes(cells) => cells,
        };
        if array.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match self {
            Self::Flags(cells) => Value::Boolean(cells.value(row)),
            Self::Integers(cells) => Value::Integer(cells.value(row)),
            Self::Floats(cells) => Value::Float(cells.value(row)),
            Self::Decimals(cells) => Value::Decimal(cells.value(row).to_owned()),
            Self::Texts(cells) => Value::Text(cells.value(row).to_owned()),
            Self::Bytes(cells) => Value::Bytes(cells.value(row).to_vec()),
            Self::Dates(cells) => Value::Date(i32::try_from(cells.value(row)).map_err(|_| "a date that is none")?),
            Self::Times(cells) => Value::Time(u64::try_from(cells.value(row)).map_err(|_| "a time that is none")?),
            Self::Moments(cells, unit, is_instant) => {
                let moment = moment(cells.value(row), *unit);
                if *is_instant { Value::Instant(moment) } else { Value::DateTime(moment) }
            }
        })
    }
}

fn moment(time: i64, unit: TimeUnit) -> Moment {
    let (per_second, nanoseconds) = match unit {
        TimeUnit::Second => (1, SECOND_NS),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (i64::from(SECOND_NS), 1),
    };
    // Less than a second's worth, so it fits.
    Moment { seconds: time.div_euclid(per_second), nanoseconds: time.rem_euclid(per_second) as u32 * nanoseconds }
}

/// What a component gave, as a value of a column.
pub(super) fn given(value: Value) -> Given {
    let nanoseconds = |moment: Moment| {
        let whole = i128::from(moment.seconds) * i128::from(SECOND_NS);
        (moment.nanoseconds < SECOND_NS).then_some(whole + i128::from(moment.nanoseconds))
    };
    let no_moment = Given::Other("a moment of more nanoseconds than a second has");
    match value {
        Value::Null => Given::Null,
        Value::Boolean(flag) => Given::Flag(flag),
        Value::Integer(number) => Given::Integer(number),
        Value::Float(number) => Given::Float(number),
        Value::Decimal(digits) => {
            Decimal::parse(&digits).map_or(Given::Other("a decimal that is none"), Given::Decimal)
        }
        Value::Text(text) => Given::Text(text),
        Value::Bytes(bytes) => Given::Bytes(bytes),
        Value::Date(days) => Given::Date(days),
        Value::Time(time) => Given::Time(time),
        Value::Instant(moment) => nanoseconds(moment).map_or(no_moment, Given::Instant),
        Value::DateTime(moment) => nanoseconds(moment).map_or(no_moment, Given::DateTime),
    }
}
