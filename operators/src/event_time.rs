//! When a row happened, as its own values say: milliseconds since 1970-01-01 UTC.

use std::sync::Arc;

use aqueduct_model::{Error, HumanDuration, Relation, Result};
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use crate::sql::{BoundExpression, Expression};

const MS_OF_A_DAY: i64 = 86_400_000;

/// An SQL expression that says when a row happened.
#[derive(Debug)]
pub(crate) struct EventTime(pub(crate) BoundExpression);

impl EventTime {
    /// Binds the expression of a setting.
    ///
    /// # Errors
    /// `Config` for unknown columns and for values that are no instants.
    pub(crate) fn bind(expression: &Expression, relation: &Relation, setting: &str) -> Result<Self> {
        let bound = expression.bind(relation).map_err(|error| error.with_setting(setting))?;
        check(bound.data_type(), setting)?;
        Ok(Self(bound))
    }
}

/// # Errors
/// `Config`, with the setting, when values of this type are no instants.
pub(crate) fn check(data_type: &DataType, setting: &str) -> Result<()> {
    match data_type {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Ok(()),
        other => Err(Error::config(format!("an event time has to be a timestamp or a date, and this is {other}"))
            .with_setting(setting)
            .with_hint("convert it: `to_timestamp_millis(x)` for milliseconds since 1970, `to_timestamp(x)` for text")),
    }
}

/// Instants as milliseconds, rounded down; `None` for NULL.
///
/// # Errors
/// `Data`, with the setting that they are of, when one is too far away.
pub(crate) fn millis(values: &ArrayRef, setting: &str) -> Result<Vec<Option<i64>>> {
    let wide = |value: i64, factor: i64| value.checked_mul(factor).ok_or_else(|| too_far(setting));
    match values.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            let values = values.as_primitive::<TimestampSecondType>().iter();
            values.map(|value| value.map(|value| wide(value, 1_000)).transpose()).collect()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Ok(values.as_primitive::<TimestampMillisecondType>().iter().collect())
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = values.as_primitive::<TimestampMicrosecondType>().iter();
            Ok(values.map(|value| value.map(|value| value.div_euclid(1_000))).collect())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let values = values.as_primitive::<TimestampNanosecondType>().iter();
            Ok(values.map(|value| value.map(|value| value.div_euclid(1_000_000))).collect())
        }
        DataType::Date32 => {
            let values = values.as_primitive::<Date32Type>().iter();
            Ok(values.map(|value| value.map(|value| i64::from(value) * MS_OF_A_DAY)).collect())
        }
        DataType::Date64 => Ok(values.as_primitive::<Date64Type>().iter().collect()),
        other => Err(Error::bug(format!("an event time of type {other}"))),
    }
}

/// The type of the edges of windows over such times: microseconds, with a zone where the times have one.
pub(crate) fn edge_type(times: &DataType) -> DataType {
    let zone = if let DataType::Timestamp(_, zone) = times { zone.clone() } else { None };
    DataType::Timestamp(TimeUnit::Microsecond, zone)
}

/// Milliseconds as a column of [`edge_type`].
///
/// # Errors
/// `Data` when one is too far away.
pub(crate) fn edges(ms: impl Iterator<Item = i64>, data_type: &DataType) -> Result<ArrayRef> {
    let values: Vec<i64> = ms.map(|ms| ms.checked_mul(1_000).ok_or_else(|| too_far("time"))).collect::<Result<_>>()?;
    let array = TimestampMicrosecondArray::from(values);
    Ok(match data_type {
        DataType::Timestamp(_, Some(zone)) => Arc::new(array.with_timezone(zone.clone())),
        _ => Arc::new(array),
    })
}

/// A setting as whole milliseconds.
///
/// # Errors
/// `Config` when it is less than one.
pub(crate) fn at_least_one_ms(duration: HumanDuration, setting: &str) -> Result<i64> {
    match whole_ms(duration) {
        0 => Err(Error::config("less than a millisecond").with_setting(setting).with_hint("write for example `10s`")),
        ms => Ok(ms),
    }
}

/// A setting as whole milliseconds, rounded down.
pub(crate) fn whole_ms(duration: HumanDuration) -> i64 {
    i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX)
}

/// The length of an instant in the key of a state.
pub(crate) const INSTANT_BYTES: usize = 8;

/// An instant as bytes that sort as instants do.
pub(crate) fn instant(ms: i64) -> [u8; INSTANT_BYTES] {
    ((ms as u64) ^ (1 << 63)).to_be_bytes()
}

/// The opposite of [`instant`]; `None` for what is none.
pub(crate) fn number(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(|bytes| (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
}

fn too_far(setting: &str) -> Error {
    Error::new(aqueduct_model::ErrorKind::Data, "an event time is too far away for a timestamp")
        .with_setting(setting)
        .with_hint("leave such rows out before: `Filter` with a sensible range of years")
}
