//! Types from the first rows.

use arrow::array::timezone::Tz;
use arrow::array::types::Date32Type;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, TimeUnit};

/// What all values of a column so far have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Guess {
    /// No value yet.
    #[default]
    Nothing,
    Bool,
    Int,
    Float,
    Date,
    /// A date with a time.
    Timestamp,
    /// A date with a time and an offset from UTC.
    TimestampWithZone,
    Text,
}

/// Digits that a double holds exactly; a longer number with a point is kept as text rather than rounded.
const EXACT_DIGITS: usize = 15;

impl Guess {
    /// What one value is.
    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let first = bytes.first().copied().unwrap_or_default();
        if first.is_ascii_digit() || (matches!(first, b'-' | b'.') && bytes.len() > 1) {
            if let Some(guess) = number(text) {
                return guess;
            }
            return moment(text).unwrap_or(Self::Text);
        }
        if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") { Self::Bool } else { Self::Text }
    }

    /// What a column is that was `self` so far and has this value too.
    pub(crate) fn and(self, text: &str) -> Self {
        self.and_value(Self::of(text))
    }

    fn and_value(self, value: Self) -> Self {
        match (self, value) {
            (Self::Nothing, value) => value,
            (before, value) if before == value => before,
            (Self::Int | Self::Float, Self::Int | Self::Float) => Self::Float,
            (Self::Date | Self::Timestamp, Self::Date | Self::Timestamp) => Self::Timestamp,
            _ => Self::Text,
        }
    }

    /// As [`Guess::and`] where quotes tell texts from numbers: of what stands in quotes only moments are not text.
    pub(crate) fn and_quoted(self, text: &str) -> Self {
        let value = match Self::of(text) {
            moment @ (Self::Date | Self::Timestamp | Self::TimestampWithZone) => moment,
            _ => Self::Text,
        };
        self.and_value(value)
    }

    /// The type of a column.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampWithZone => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Nothing | Self::Text => DataType::Utf8,
        }
    }
}

/// A number, unless writing it back would lose something: leading zeros (article numbers, postcodes) or digits.
fn number(text: &str) -> Option<Guess> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    if digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit() {
        return None;
    }
    if digits.iter().all(u8::is_ascii_digit) {
        return text.parse::<i64>().is_ok().then_some(Guess::Int);
    }
    let plain = digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'));
    let significant = digits.iter().filter(|byte| byte.is_ascii_digit()).count();
    (plain && significant <= EXACT_DIGITS && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(Guess::Float)
}

fn moment(text: &str) -> Option<Guess> {
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    if bytes.len() == 10 {
        return Date32Type::parse(text).map(|_| Guess::Date);
    }
    let utc: Tz = "+00:00".parse().ok()?;
    let at = string_to_datetime(&utc, text).ok()?;
    if at.timestamp_subsec_nanos() % 1_000 != 0 {
        return None;
    }
    // Behind the date, a sign or a Z can only be an offset.
    let has_zone = text[10..].contains(['+', '-', 'Z', 'z']);
    Some(if has_zone { Guess::TimestampWithZone } else { Guess::Timestamp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        let cases: &[(&[&str], Guess)] = &[
            (&[], Guess::Nothing),
            (&["1", "-2", "0"], Guess::Int),
            (&["1", "2.5"], Guess::Float),
            (&["1e3", ".5", "-0.25"], Guess::Float),
            (&["9223372036854775808"], Guess::Text),
            (&["0.1234567890123456789"], Guess::Text),
            (&["007"], Guess::Text),
            (&["+4912345"], Guess::Text),
            (&["-"], Guess::Text),
            (&["1", "x"], Guess::Text),
            (&["true", "FALSE"], Guess::Bool),
            (&["true", "1"], Guess::Text),
            (&["2024-02-29"], Guess::Date),
            (&["2023-02-29"], Guess::Text),
            (&["2024-02-29", "2024-02-29 12:00:00"], Guess::Timestamp),
            (&["2024-02-29T12:00:00.123456"], Guess::Timestamp),
            (&["2024-02-29T12:00:00.123456789"], Guess::Text),
            (&["2024-02-29T12:00:00Z", "2024-02-29 12:00:00+08:00"], Guess::TimestampWithZone),
            (&["2024-02-29T12:00:00Z", "2024-02-29 12:00:00"], Guess::Text),
            (&["NaN"], Guess::Text),
            (&["inf"], Guess::Text),
            (&["2024-é-29x"], Guess::Text),
        ];
        for (values, expected) in cases {
            let got = values.iter().fold(Guess::Nothing, |guess, value| guess.and(value));
            assert_eq!(got, *expected, "{values:?}");
        }
    }
}
