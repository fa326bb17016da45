//! Dates and times of MySQL as Arrow has them, and what becomes of dates that do not exist.

use arrow::datatypes::Field;
use chrono::{Datelike, NaiveDate};
use schemars::JsonSchema;
use serde::Deserialize;

/// Days from 0001-01-01, which is day 1 of the common era, to 1970-01-01.
const EPOCH_DAYS_FROM_CE: i32 = 719_163;
const DAY_US: i64 = 86_400_000_000;

/// What becomes of dates that do not exist: `0000-00-00`, `2024-00-10`, `2024-02-30`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDates {
    /// They become NULL; in a key column they make a bad row.
    #[default]
    Null,
    /// They make a bad row.
    Error,
    /// They become 1970-01-01 00:00:00.
    Epoch,
    /// Columns of type DATE, DATETIME and TIMESTAMP become texts, written as MySQL writes them.
    Text,
}

/// Why a date or time has no Arrow value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// There is no such date, and the policy is to make it NULL.
    Null,
    /// There is no such date.
    NoSuchDate,
}

/// A date as the server sends it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Civil {
    pub year: u16,
    pub month: u8,
    pub day: u8,
}

impl ZeroDates {
    /// Days since 1970-01-01.
    pub(crate) fn days(self, date: Civil) -> Result<i32, Unfit> {
        date.days().map_or_else(|| self.substitute().map(|_| 0), Ok)
    }

    /// Microseconds since 1970-01-01 00:00:00; a date that does not exist loses its time of day under `epoch`.
    pub(crate) fn micros(self, date: Civil, time_us: i64) -> Result<i64, Unfit> {
        date.days().map_or_else(|| self.substitute(), |days| Ok(i64::from(days) * DAY_US + time_us))
    }

    fn substitute(self) -> Result<i64, Unfit> {
        match self {
            Self::Epoch => Ok(0),
            Self::Null => Err(Unfit::Null),
            Self::Error | Self::Text => Err(Unfit::NoSuchDate),
        }
    }
}

impl Civil {
    fn days(self) -> Option<i32> {
        let date = NaiveDate::from_ymd_opt(i32::from(self.year), u32::from(self.month), u32::from(self.day))?;
        Some(date.num_days_from_ce() - EPOCH_DAYS_FROM_CE)
    }
}

/// Microseconds of a time of day.
pub(crate) fn time_us(hour: u8, minute: u8, second: u8, micro: u32) -> i64 {
    ((i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)) * 1_000_000 + i64::from(micro)
}

/// Microseconds of a TIME, which goes from -838:59:59 to 838:59:59.
pub(crate) fn duration_us(negative: bool, days: u32, us_of_day: i64) -> i64 {
    let us = i64::from(days) * DAY_US + us_of_day;
    if negative { -us } else { us }
}

/// How a DATE, DATETIME or TIMESTAMP column is written under [`ZeroDates::Text`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// `2024-02-30`
    Date,
    /// `2024-02-30 10:20:30`, with that many digits of a fraction.
    DateTime(usize),
}

impl TextForm {
    /// The form of a column by its `source.type`; six digits where that is not known.
    pub(crate) fn of(field: &Field) -> Self {
        let declared = field.metadata().get("source.type").map_or("", String::as_str);
        if declared == "date" {
            return Self::Date;
        }
        match declared.split_once('(') {
            Some((_, digits)) => Self::DateTime(digits.trim_end_matches(')').parse().unwrap_or(6).min(6)),
            None if declared.is_empty() => Self::DateTime(6),
            None => Self::DateTime(0),
        }
    }

    /// Writes a date and time.
    pub(crate) fn write(self, date: Civil, hour: u8, minute: u8, second: u8, micro: u32) -> String {
        let Civil { year, month, day } = date;
        match self {
            Self::Date => format!("{year:04}-{month:02}-{day:02}"),
            Self::DateTime(digits) => {
                let mut text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micro:06}");
                // Without digits there is no point either.
                text.truncate(if digits == 0 { 19 } else { 20 + digits });
                text
            }
        }
    }
}
