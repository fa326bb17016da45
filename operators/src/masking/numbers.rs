//! Numbers and dates that are moved by amounts that follow from the value and a key.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, DecimalType, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::keyed::Keyed;

const SECONDS_PER_DAY: i64 = 86_400;
/// A part of a number is counted in millionths.
const MILLION: i128 = 1_000_000;

/// True for types that noise can be put on.
pub(super) fn takes_noise(data_type: &DataType) -> bool {
    data_type.is_integer() || matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Decimal128(..))
}

/// True for types that can be moved by days.
pub(super) fn takes_days(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// A number from -1,000,000 to 1,000,000 that follows from the value.
fn millionths(keyed: &Keyed, value: &[u8]) -> i128 {
    i128::from(keyed.number(value)) % (2 * MILLION + 1) - MILLION
}

/// Moves each number by up to `percent` of itself. A result that does not fit its type goes the other way.
pub(super) fn noise(column: &ArrayRef, percent: f64, keyed: &Keyed) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Int8 => whole::<Int8Type>(column, percent, keyed, i128::from(i8::MAX)),
        DataType::Int16 => whole::<Int16Type>(column, percent, keyed, i128::from(i16::MAX)),
        DataType::Int32 => whole::<Int32Type>(column, percent, keyed, i128::from(i32::MAX)),
        DataType::Int64 => whole::<Int64Type>(column, percent, keyed, i128::from(i64::MAX)),
        DataType::UInt8 => whole::<UInt8Type>(column, percent, keyed, i128::from(u8::MAX)),
        DataType::UInt16 => whole::<UInt16Type>(column, percent, keyed, i128::from(u16::MAX)),
        DataType::UInt32 => whole::<UInt32Type>(column, percent, keyed, i128::from(u32::MAX)),
        DataType::UInt64 => whole::<UInt64Type>(column, percent, keyed, i128::from(u64::MAX)),
        DataType::Decimal128(precision, _) => {
            let max = i128::pow(10, u32::from(*precision).min(u32::from(Decimal128Type::MAX_PRECISION))) - 1;
            whole::<Decimal128Type>(column, percent, keyed, max)
        }
        DataType::Float32 => {
            let moved =
                |value: f32| (f64::from(value) * factor(percent, keyed, &f64::from(value).to_be_bytes())) as f32;
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(moved))
        }
        DataType::Float64 => {
            let moved = |value: f64| value * factor(percent, keyed, &value.to_be_bytes());
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(moved))
        }
        other => return Err(Error::bug(format!("noise on {other}"))),
    })
}

fn factor(percent: f64, keyed: &Keyed, value: &[u8]) -> f64 {
    1.0 + percent / 100.0 * (millionths(keyed, value) as f64 / MILLION as f64)
}

/// Noise on whole numbers, decimals in units of their last digit.
fn whole<T: ArrowPrimitiveType>(column: &ArrayRef, percent: f64, keyed: &Keyed, max: i128) -> ArrayRef
where
    T::Native: TryInto<i128> + TryFrom<i128> + Copy,
{
    let percent_millionths = (percent / 100.0 * MILLION as f64) as i128;
    let moved = |native: T::Native| -> T::Native {
        let Ok(value) = native.try_into() else { return native };
        let part = percent_millionths * millionths(keyed, &value.to_be_bytes());
        let by = scaled(value, part);
        let near = if value.saturating_add(by).saturating_abs() <= max { value + by } else { value - by };
        T::Native::try_from(near).unwrap_or(native)
    };
    Arc::new(column.as_primitive::<T>().unary::<_, T>(moved).with_data_type(column.data_type().clone()))
}

/// `value * part / 10^12`, rounded towards zero; wide values are divided first, where the last digits do not count.
fn scaled(value: i128, part: i128) -> i128 {
    const UNIT: i128 = MILLION * MILLION;
    match value.checked_mul(part) {
        Some(product) => product / UNIT,
        None => value / UNIT * part,
    }
}

/// Moves each date or time by the days that `days_of` gives for its row; one that leaves the calendar becomes NULL.
pub(super) fn shift(column: &ArrayRef, days_of: impl Fn(usize) -> i64) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        DataType::Date32 => {
            let dates = column.as_primitive::<Date32Type>();
            let moved =
                |i: usize| i64::from(dates.value(i)).checked_add(days_of(i)).and_then(|days| i32::try_from(days).ok());
            let values = (0..dates.len()).map(|i| if dates.is_null(i) { None } else { moved(i) });
            Arc::new(values.collect::<PrimitiveArray<Date32Type>>())
        }
        DataType::Date64 => ticks::<Date64Type>(column, 1_000, days_of),
        DataType::Timestamp(TimeUnit::Second, _) => ticks::<TimestampSecondType>(column, 1, days_of),
        DataType::Timestamp(TimeUnit::Millisecond, _) => ticks::<TimestampMillisecondType>(column, 1_000, days_of),
        DataType::Timestamp(TimeUnit::Microsecond, _) => ticks::<TimestampMicrosecondType>(column, 1_000_000, days_of),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            ticks::<TimestampNanosecondType>(column, 1_000_000_000, days_of)
        }
        other => return Err(Error::bug(format!("a shift by days of {other}"))),
    })
}

fn ticks<T: ArrowPrimitiveType<Native = i64>>(
    column: &ArrayRef,
    per_second: i64,
    days_of: impl Fn(usize) -> i64,
) -> ArrayRef {
    let times = column.as_primitive::<T>();
    let moved = |i: usize| times.value(i).checked_add(days_of(i) * SECONDS_PER_DAY * per_second);
    let values = (0..times.len()).map(|i| if times.is_null(i) { None } else { moved(i) });
    Arc::new(values.collect::<PrimitiveArray<T>>().with_data_type(column.data_type().clone()))
}

/// Days from `-most` to `most` that follow from the value.
pub(super) fn days(keyed: &Keyed, most: u32, value: &[u8]) -> i64 {
    (i128::from(keyed.number(value)) % (2 * i128::from(most) + 1)) as i64 - i64::from(most)
}
