//! Dates and times as ISO 8601 text, exact over the whole range of their Arrow types.
//!
//! Own arithmetic because `chrono` ends at the year 262143 and Arrow does not; the calendar is the proleptic Gregorian
//! one, by Howard Hinnant's `days_from_civil` (<https://howardhinnant.github.io/date_algorithms.html>).

use std::fmt::Write;

use arrow::datatypes::TimeUnit;

const DAY_SECONDS: i64 = 86_400;

/// Appends `YYYY-MM-DD`; years outside 0..=9999 have a sign and as many digits as they need.
pub(crate) fn format_date(days: i64, out: &mut String) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9_999).contains(&year) {
        pad(year, 4, out);
    } else {
        out.push(if year < 0 { '-' } else { '+' });
        pad(year.abs(), 4, out);
    }
    out.push('-');
    pad(month, 2, out);
    out.push('-');
    pad(day, 2, out);
}

/// The day that [`format_date`] wrote, or `None` for any other text.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut parts = digits.splitn(3, '-');
    let year = sign * number(parts.next()?)?;
    let (month, day) = (number(parts.next()?)?, number(parts.next()?)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Appends `HH:MM:SS.ffffff` (nine digits for nanoseconds) of a time of day in the unit.
pub(crate) fn format_time(value: i64, unit: TimeUnit, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    let (seconds, fraction) =
        (value.unsigned_abs() / per_second(unit) as u64, value.unsigned_abs() % per_second(unit) as u64);
    for (part, joint) in [(seconds / 3_600, ":"), (seconds / 60 % 60, ":"), (seconds % 60, ".")] {
        pad(part as i64, 2, out);
        out.push_str(joint);
    }
    push_fraction(fraction as i64, unit, out);
}

/// The time that [`format_time`] wrote, in the unit; `None` for any other text or when the unit cannot hold it.
pub(crate) fn parse_time(text: &str, unit: TimeUnit) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1i128, text), |rest| (-1, rest));
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.splitn(3, ':');
    let hours = number(parts.next()?)?;
    let minutes = number(parts.next()?)?;
    let seconds = parts.next().map_or(Some(0), number)?;
    if minutes > 59 || seconds > 60 {
        return None;
    }
    let whole = i128::from(hours) * 3_600 + i128::from(minutes) * 60 + i128::from(seconds);
    let ticks = whole * i128::from(per_second(unit)) + i128::from(parse_fraction(fraction, unit)?);
    i64::try_from(sign * ticks).ok()
}

/// Appends `YYYY-MM-DDTHH:MM:SS.ffffff` (nine digits for nanoseconds), with a `Z` when it is a moment in UTC.
pub(crate) fn format_timestamp(value: i64, unit: TimeUnit, utc: bool, out: &mut String) {
    let seconds = value.div_euclid(per_second(unit));
    format_date(seconds.div_euclid(DAY_SECONDS), out);
    out.push('T');
    let in_day = seconds.rem_euclid(DAY_SECONDS);
    for (part, joint) in [(in_day / 3_600, ":"), (in_day / 60 % 60, ":"), (in_day % 60, ".")] {
        pad(part, 2, out);
        out.push_str(joint);
    }
    push_fraction(value.rem_euclid(per_second(unit)), unit, out);
    if utc {
        out.push('Z');
    }
}

/// The moment that [`format_timestamp`] wrote, in the unit; also takes a blank for the `T`.
pub(crate) fn parse_timestamp(text: &str, unit: TimeUnit) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let days = i128::from(parse_date(date)?);
    let in_day = i128::from(parse_time(time, unit)?);
    let ticks = days * i128::from(DAY_SECONDS) * i128::from(per_second(unit)) + in_day;
    i64::try_from(ticks).ok()
}

const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn push_fraction(fraction: i64, unit: TimeUnit, out: &mut String) {
    match unit {
        TimeUnit::Second => out.push_str("000000"),
        TimeUnit::Millisecond => pad(fraction * 1_000, 6, out),
        TimeUnit::Microsecond => pad(fraction, 6, out),
        TimeUnit::Nanosecond => pad(fraction, 9, out),
    }
}

/// A fraction's digits in the unit; `None` when they are no digits or finer than the unit.
fn parse_fraction(digits: &str, unit: TimeUnit) -> Option<i64> {
    if digits.len() > 9 {
        return None;
    }
    let nanos = if digits.is_empty() { 0 } else { number(digits)? * 10i64.pow(9 - digits.len() as u32) };
    let step = 1_000_000_000 / per_second(unit);
    (nanos % step == 0).then_some(nanos / step)
}

fn pad(value: i64, width: usize, out: &mut String) {
    write!(out, "{value:0width$}").expect("writing to a String does not fail");
}

fn number(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) { None } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut text = String::new();
        format_date(days, &mut text);
        text
    }

    #[test]
    fn known_days() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (-719_528, "0000-01-01"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-719_529, "-0001-12-31"),
        ] {
            assert_eq!(date(days), text);
            assert_eq!(parse_date(text), Some(days));
        }
        for text in ["", "2024", "2024-13-01", "2024-1", "x-01-01", "2024-01-0x"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn every_extreme_comes_back() {
        for days in [i64::from(i32::MIN), i64::from(i32::MAX), -1, 59, 60, 365] {
            assert_eq!(parse_date(&date(days)), Some(days));
        }
        let mut text = String::new();
        for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            for value in [i64::MIN, i64::MIN + 1, -1, 0, 1, 999, 1_700_000_000_123_456, i64::MAX] {
                text.clear();
                format_timestamp(value, unit, true, &mut text);
                assert_eq!(parse_timestamp(&text, unit), Some(value), "{text} {unit:?}");
                text.clear();
                format_time(value, unit, &mut text);
                assert_eq!(parse_time(&text, unit), Some(value), "{text} {unit:?}");
            }
        }
    }

    #[test]
    fn the_usual_text_is_the_usual_text() {
        let mut text = String::new();
        format_timestamp(1_700_000_000_123_456, TimeUnit::Microsecond, true, &mut text);
        assert_eq!(text, "2023-11-14T22:13:20.123456Z");
        assert_eq!(parse_timestamp("2023-11-14 22:13:20", TimeUnit::Second), Some(1_700_000_000));
        assert_eq!(parse_timestamp("2023-11-14 22:13:20.5", TimeUnit::Second), None, "finer than the unit");
    }
}
