//! Cells in PostgreSQL's text form, as the log has them, into the same columns as the binary form.
//!
//! The forms are those of the sessions' settings: `DateStyle` ISO, `bytea_output` hex, time zone UTC.

use arrow::datatypes::i256;

use super::column::{ColumnBuilder, Misfit, NOT_A_NUMBER, NOT_TEXT, OTHER_TYPE};

const DAY_US: i64 = 86_400_000_000;
/// Days of the Gregorian calendar's cycle of 400 years.
const CYCLE_DAYS: i64 = 146_097;

/// What a date or time says.
enum When {
    At(i64),
    /// `infinity` and `-infinity`.
    Never,
}

impl ColumnBuilder {
    /// Appends a cell; false when it became NULL. When it does not fit, nothing is appended.
    pub(crate) fn append_text(&mut self, cell: &[u8]) -> Result<bool, Misfit> {
        match self {
            Self::Boolean(builder) => match cell {
                b"t" => builder.append_value(true),
                b"f" => builder.append_value(false),
                _ => return Err(OTHER_TYPE),
            },
            Self::Int16(builder) => builder.append_value(parsed(cell)?),
            Self::Int32(builder) => builder.append_value(parsed(cell)?),
            Self::Int64(builder) => builder.append_value(parsed(cell)?),
            Self::UInt32(builder) => builder.append_value(parsed(cell)?),
            Self::Float32(builder) => builder.append_value(parsed(cell)?),
            Self::Float64(builder) => builder.append_value(parsed(cell)?),
            Self::Decimal128(builder, precision, scale) => {
                builder.append_value(decimal128(cell, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            Self::Decimal256(builder, precision, scale) => {
                builder.append_value(decimal256(cell, *precision, *scale).ok_or(NOT_A_NUMBER)?);
            }
            Self::Date(builder, policy) => {
                let days = match date(cell)? {
                    When::At(days) => i32::try_from(days).ok(),
                    When::Never => None,
                };
                return policy.append(days, |days| builder.append_option(days));
            }
            Self::Time(builder, policy) => {
                let us = Some(time(cell)?).filter(|us| *us < DAY_US);
                return policy.append(us, |us| builder.append_option(us));
            }
            Self::Timestamp(builder, policy) => {
                let us = match timestamp(cell)? {
                    When::At(us) => Some(us),
                    When::Never => None,
                };
                return policy.append(us, |us| builder.append_option(us));
            }
            Self::Text(builder) => builder.append_value(std::str::from_utf8(cell).map_err(|_| NOT_TEXT)?),
            Self::Binary(builder) => builder.append_value(unhex(cell)?),
        }
        Ok(true)
    }
}

fn parsed<T: std::str::FromStr>(cell: &[u8]) -> Result<T, Misfit> {
    std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok()).ok_or(OTHER_TYPE)
}

/// The digits of a number with exactly `scale` behind the point, and whether it is negative.
fn digits(cell: &[u8], precision: u8, scale: u8) -> Option<(Vec<u8>, bool)> {
    let (cell, is_negative) = match cell.strip_prefix(b"-") {
        Some(rest) => (rest, true),
        None => (cell, false),
    };
    let (whole, part) = match cell.iter().position(|byte| *byte == b'.') {
        Some(point) => (&cell[..point], &cell[point + 1..]),
        None => (cell, &[][..]),
    };
    let scale = usize::from(scale);
    let (kept, rest) = part.split_at(part.len().min(scale));
    if whole.is_empty() || rest.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let mut all = Vec::with_capacity(whole.len() + scale);
    all.extend_from_slice(whole);
    all.extend_from_slice(kept);
    all.resize(whole.len() + scale, b'0');
    let zeros = all.iter().take_while(|digit| **digit == b'0').count();
    let fits = all.len() - zeros <= usize::from(precision) && all.iter().all(u8::is_ascii_digit);
    fits.then_some((all, is_negative))
}

fn decimal128(cell: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (digits, is_negative) = digits(cell, precision, scale)?;
    let value =
        digits.iter().try_fold(0i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')))?;
    Some(if is_negative { -value } else { value })
}

fn decimal256(cell: &[u8], precision: u8, scale: u8) -> Option<i256> {
    let (digits, is_negative) = digits(cell, precision, scale)?;
    let value = i256::from_string(std::str::from_utf8(&digits).ok()?)?;
    Some(if is_negative { value.wrapping_neg() } else { value })
}

fn unhex(cell: &[u8]) -> Result<Vec<u8>, Misfit> {
    let digits = cell.strip_prefix(b"\\x").filter(|digits| digits.len() % 2 == 0).ok_or(OTHER_TYPE)?;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(OTHER_TYPE),
    };
    digits.chunks_exact(2).map(|pair| Ok(value(pair[0])? << 4 | value(pair[1])?)).collect()
}

/// A run of digits as a number.
fn number(digits: &[u8]) -> Result<i64, Misfit> {
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(OTHER_TYPE);
    }
    Ok(digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `2024-02-29`, `0044-03-15 BC`, `infinity`: days since 1970.
fn date(cell: &[u8]) -> Result<When, Misfit> {
    if matches!(cell, b"infinity" | b"-infinity") {
        return Ok(When::Never);
    }
    let (cell, is_bc) = without_era(cell);
    let mut parts = cell.split(|byte| *byte == b'-');
    let mut part = || parts.next().ok_or(OTHER_TYPE).and_then(number);
    let (year, month, day) = (part()?, part()?, part()?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(OTHER_TYPE);
    }
    // The year before 1 is 1 BC.
    Ok(When::At(days_since_1970(if is_bc { 1 - year } else { year }, month, day)))
}

fn without_era(cell: &[u8]) -> (&[u8], bool) {
    match cell.strip_suffix(b" BC") {
        Some(rest) => (rest, true),
        None => (cell, false),
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year - cycle * 400;
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * CYCLE_DAYS + day_of_cycle - 719_468
}

/// `04:05:06.789`: microseconds since midnight.
fn time(cell: &[u8]) -> Result<i64, Misfit> {
    let (clock, fraction) = match cell.iter().position(|byte| *byte == b'.') {
        Some(point) => (&cell[..point], &cell[point + 1..]),
        None => (cell, &b"0"[..]),
    };
    let mut parts = clock.split(|byte| *byte == b':');
    let mut part = || parts.next().ok_or(OTHER_TYPE).and_then(number);
    let seconds = part()? * 3_600 + part()? * 60 + part()?;
    let places = u32::try_from(fraction.len()).ok().filter(|places| *places <= 6).ok_or(OTHER_TYPE)?;
    Ok(seconds * 1_000_000 + number(fraction)? * 10i64.pow(6 - places))
}

/// `2024-02-29 04:05:06.789`, with `+00` behind it where there is a zone: microseconds since 1970. `Never` also for what is
/// too far away.
fn timestamp(cell: &[u8]) -> Result<When, Misfit> {
    let (cell, is_bc) = without_era(cell);
    if matches!(cell, b"infinity" | b"-infinity") {
        return Ok(When::Never);
    }
    let space = cell.iter().position(|byte| *byte == b' ').ok_or(OTHER_TYPE)?;
    let clock = &cell[space + 1..];
    let us = time(clock.strip_suffix(b"+00").unwrap_or(clock))?;
    let mut day = cell[..space].to_vec();
    if is_bc {
        day.extend_from_slice(b" BC");
    }
    let When::At(days) = date(&day)? else { return Err(OTHER_TYPE) };
    Ok(days.checked_mul(DAY_US).and_then(|day| day.checked_add(us)).map_or(When::Never, When::At))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(when: Result<When, Misfit>) -> Option<i64> {
        match when.unwrap() {
            When::At(value) => Some(value),
            When::Never => None,
        }
    }

    #[test]
    fn dates_and_times() {
        for (text, days) in [
            ("1970-01-01", Some(0)),
            ("2000-01-01", Some(10_957)),
            ("2024-02-29", Some(19_782)),
            ("0001-01-01", Some(-719_162)),
            ("0001-12-31 BC", Some(-719_163)),
            ("4713-01-01 BC", Some(-2_440_550)),
            ("5874897-12-31", Some(2_145_042_905)),
            ("infinity", None),
        ] {
            assert_eq!(at(date(text.as_bytes())), days, "{text}");
        }
        for (text, us) in [
            ("1970-01-01 00:00:00", Some(0)),
            ("1970-01-01 00:00:01.5+00", Some(1_500_000)),
            ("1969-12-31 23:59:59.999999", Some(-1)),
            ("0001-12-31 23:59:59 BC", Some(-719_163 * DAY_US + DAY_US - 1_000_000)),
            ("294276-12-31 23:59:59.999999", None),
            ("-infinity", None),
        ] {
            assert_eq!(at(timestamp(text.as_bytes())), us, "{text}");
        }
        assert_eq!(time(b"24:00:00"), Ok(DAY_US));
        assert_eq!(time(b"23:59:59.000001"), Ok(DAY_US - 999_999));
        for wrong in ["", "x", "2024-13-01", "2024-1", "2024-01-01-01", "2024-01-0x"] {
            assert!(date(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal128(b"-12.30", 12, 2), Some(-1_230));
        assert_eq!(decimal128(b"0", 12, 2), Some(0));
        assert_eq!(decimal128(b"12.5", 12, 2), Some(1_250));
        assert_eq!(decimal128(b"12.500", 12, 2), Some(1_250));
        assert_eq!(decimal128(b"0.001", 12, 2), None);
        assert_eq!(decimal128(b"NaN", 12, 2), None);
        assert_eq!(decimal128(&[b'9'; 39], 38, 0), None);
        assert_eq!(decimal256(b"-1", 76, 2), Some(i256::from_i128(-100)));
    }

    #[test]
    fn bytes_in_hexadecimal_digits() {
        assert_eq!(unhex(b"\\x00ff0A"), Ok(vec![0, 255, 10]));
        assert_eq!(unhex(b"\\x"), Ok(Vec::new()));
        assert!(unhex(b"abc").is_err() && unhex(b"\\x0").is_err() && unhex(b"\\xzz").is_err());
    }
}
