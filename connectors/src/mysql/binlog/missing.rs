//! What columns hold that an inserted row leaves out (`binlog_row_image` MINIMAL and NOBLOB): their defaults.

use arrow::datatypes::{DataType, Field, i256};

use super::cell::{CellBuilder, OTHER_TYPE, Trouble};
use super::shape::labels;
use crate::mysql::column_default::{SOURCE_DEFAULT, SOURCE_DEFAULT_COMPUTED};
use crate::mysql::column_type::{SOURCE_GENERATED, SOURCE_TYPE, base};
use crate::mysql::rows::{Civil, TextForm, Unfit, ZeroDates, decimal128, decimal256, duration_us, time_us};

/// Digits of a fraction of a second.
const FRACTION_DIGITS: usize = 6;

/// A column's default as a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Missing {
    Null,
    /// The zero of the column's type.
    Zero,
    /// As it would stand in the log, in eight bytes.
    Int(u64),
    Float(f32),
    Double(f64),
    Decimal128(i128),
    Decimal256(i256),
    Days(i32),
    Micros(i64),
    Text(String),
    /// The table's definition does not say.
    Unknown,
}

impl Missing {
    /// The default that the field's metadata tells.
    pub fn of(field: &Field, zero_dates: ZeroDates) -> Self {
        let metadata = field.metadata();
        if metadata.contains_key(SOURCE_DEFAULT_COMPUTED) || metadata.contains_key(SOURCE_GENERATED) {
            return Self::Unknown;
        }
        let declared = metadata.get(SOURCE_TYPE).map_or("", String::as_str);
        match metadata.get(SOURCE_DEFAULT) {
            Some(literal) => value(field, declared, literal, zero_dates).unwrap_or(Self::Unknown),
            None if field.is_nullable() => Self::Null,
            None => zero(field, declared),
        }
    }

    /// Appends the value; nothing may be appended for [`Missing::Unknown`].
    pub fn append(&self, into: &mut CellBuilder) -> Result<(), Trouble> {
        match self {
            Self::Null => into.append_nothing(true),
            Self::Zero => into.append_nothing(false),
            Self::Int(raw) => return into.append_int(*raw, 8),
            Self::Float(value) => return into.append_float(*value),
            Self::Double(value) => return into.append_double(*value),
            Self::Decimal128(value) => return into.append_decimal128(*value),
            Self::Decimal256(value) => return into.append_decimal256(*value),
            Self::Days(days) => return into.append_days(*days),
            Self::Micros(micros) => return into.append_micros(*micros),
            Self::Text(text) => return into.append_text(text),
            Self::Unknown => return Err(OTHER_TYPE),
        }
        Ok(())
    }
}

/// What a column without NULLs and without a default gets when the server does not insist on a value.
fn zero(field: &Field, declared: &str) -> Missing {
    match (field.data_type(), base(declared).as_str()) {
        (DataType::Utf8, "enum") => match labels(declared).and_then(|labels| labels.first().cloned()) {
            Some(label) => Missing::Text(label),
            None => Missing::Unknown,
        },
        (DataType::Utf8, "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "set")
        | (DataType::Binary, "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob") => Missing::Zero,
        (DataType::Utf8 | DataType::Binary | DataType::Date32 | DataType::Timestamp(..), _) => Missing::Unknown,
        _ => Missing::Zero,
    }
}

/// A literal as a value of the column; `None` where there is any doubt.
fn value(field: &Field, declared: &str, literal: &str, zero_dates: ZeroDates) -> Option<Missing> {
    let kind = base(declared);
    let signed = |max: i64| {
        let number: i64 = literal.parse().ok()?;
        // The lowest is one further from 0 than the highest.
        (number <= max && number >= -max - 1).then_some(Missing::Int(number as u64))
    };
    let unsigned = |max: u64| literal.parse::<u64>().ok().filter(|&number| number <= max).map(Missing::Int);
    match field.data_type() {
        DataType::Boolean | DataType::UInt64 if kind == "bit" => u64::from_str_radix(literal, 2).ok().map(Missing::Int),
        DataType::Int8 => signed(i8::MAX.into()),
        DataType::Int16 => signed(i16::MAX.into()),
        DataType::Int32 => signed(i32::MAX.into()),
        DataType::Int64 => signed(i64::MAX),
        DataType::UInt8 => unsigned(u8::MAX.into()),
        // A year may be written with two digits.
        DataType::UInt16 if kind == "year" && literal.len() != 4 => None,
        DataType::UInt16 => unsigned(u16::MAX.into()),
        DataType::UInt32 => unsigned(u32::MAX.into()),
        DataType::UInt64 => unsigned(u64::MAX),
        // With digits declared, the server rounds.
        DataType::Float32 | DataType::Float64 if declared.contains('(') => None,
        DataType::Float32 => literal.parse().ok().map(Missing::Float),
        DataType::Float64 => literal.parse().ok().map(Missing::Double),
        &DataType::Decimal128(precision, scale) => {
            decimal128(literal.as_bytes(), precision, scale.unsigned_abs()).map(Missing::Decimal128)
        }
        &DataType::Decimal256(precision, scale) => {
            decimal256(literal.as_bytes(), precision, scale.unsigned_abs()).map(Missing::Decimal256)
        }
        DataType::Duration(_) => duration(literal).map(Missing::Micros),
        DataType::Date32 => {
            let (date, time, micro) = moment(literal)?;
            (time == [0; 3] && micro == 0).then_some(())?;
            settled(zero_dates.days(date).map(Missing::Days))
        }
        DataType::Timestamp(..) => {
            let (date, [hour, minute, second], micro) = moment(literal)?;
            settled(zero_dates.micros(date, time_us(hour, minute, second, micro)).map(Missing::Micros))
        }
        DataType::Utf8 => text(field, declared, &kind, literal),
        _ => None,
    }
}

fn settled(value: Result<Missing, Unfit>) -> Option<Missing> {
    match value {
        Ok(value) => Some(value),
        Err(Unfit::Null) => Some(Missing::Null),
        Err(Unfit::NoSuchDate) => None,
    }
}

fn text(field: &Field, declared: &str, kind: &str, literal: &str) -> Option<Missing> {
    let is_known = match kind {
        "date" | "datetime" | "timestamp" => {
            let (date, [hour, minute, second], micro) = moment(literal)?;
            return Some(Missing::Text(TextForm::of(field).write(date, hour, minute, second, micro)));
        }
        "enum" => labels(declared)?.iter().any(|label| label == literal),
        "set" => {
            let labels = labels(declared)?;
            let mut places = literal.split(',').map(|own| labels.iter().position(|label| label == own));
            // In the order of the definition, as the log's bits are read.
            literal.is_empty() || {
                let mut last = None;
                places.all(|place| place.is_some() && std::mem::replace(&mut last, place) < place)
            }
        }
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => true,
        _ => false,
    };
    is_known.then(|| Missing::Text(literal.to_owned()))
}

type Moment = (Civil, [u8; 3], u32);

/// `2024-02-30`, `2024-02-30 10:20:30`, `2024-02-30 10:20:30.5`.
fn moment(text: &str) -> Option<Moment> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let [year, month, day] = fields(date, '-', [4, 2, 2])?;
    let (clock, micro) = fraction(time)?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    let date = Civil { year: year as u16, month: month as u8, day: day as u8 };
    (hour < 24 && minute < 60 && second < 60).then_some((date, [hour as u8, minute as u8, second as u8], micro))
}

/// `-838:59:59`, `10:20:30.5`.
fn duration(text: &str) -> Option<i64> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let (clock, micro) = fraction(magnitude)?;
    let hour_digits = clock.find(':').filter(|digits| (2..=3).contains(digits))?;
    let [hour, minute, second] = fields(clock, ':', [hour_digits, 2, 2])?;
    (hour < 839 && minute < 60 && second < 60).then_some(())?;
    let (days, hour) = (hour / 24, (hour % 24) as u8);
    Some(duration_us(negative, days, time_us(hour, minute as u8, second as u8, micro)))
}

/// Numbers with exactly so many digits each.
fn fields(text: &str, separator: char, digits: [usize; 3]) -> Option<[u32; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Splits microseconds off.
fn fraction(text: &str) -> Option<(&str, u32)> {
    let Some((clock, digits)) = text.split_once('.') else { return Some((text, 0)) };
    let is_plain = digits.len() <= FRACTION_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_plain.then_some(())?;
    Some((clock, format!("{digits:0<FRACTION_DIGITS$}").parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::column_default::ColumnDefault;
    use crate::mysql::column_type::ColumnSpec;

    fn missing(source_type: &str, nullable: bool, default: ColumnDefault) -> Missing {
        let spec = ColumnSpec {
            name: "c".into(),
            source_type: source_type.into(),
            nullable,
            default,
            ..ColumnSpec::default()
        };
        Missing::of(&spec.field(ZeroDates::Error), ZeroDates::Error)
    }

    #[test]
    fn literals_are_values_where_there_is_no_doubt() {
        let text = |text: &str| ColumnDefault::Text(text.into());
        let number = |text: &str| ColumnDefault::Number(text.into());
        for (source_type, default, expected) in [
            ("int", text("-5"), Missing::Int(-5i64 as u64)),
            ("mediumint", number("-8388608"), Missing::Int(-8_388_608i64 as u64)),
            ("tinyint unsigned", number("255"), Missing::Int(255)),
            ("tinyint", number("128"), Missing::Unknown),
            ("int", number("1.5"), Missing::Unknown),
            ("bigint unsigned", text("18446744073709551615"), Missing::Int(u64::MAX)),
            ("decimal(10,2)", number("1.5"), Missing::Decimal128(150)),
            ("decimal(10,2)", number("1.555"), Missing::Unknown),
            ("double", text("0.1"), Missing::Double(0.1)),
            ("float(7,3)", text("0.1"), Missing::Unknown),
            ("bit(4)", ColumnDefault::Bits("101".into()), Missing::Int(5)),
            ("varchar(9)", ColumnDefault::Bits("101".into()), Missing::Unknown),
            ("year(4)", number("2024"), Missing::Int(2024)),
            ("year(4)", number("70"), Missing::Unknown),
            ("char(9)", text("a  "), Missing::Text("a".into())),
            ("varchar(9)", text("a  "), Missing::Text("a  ".into())),
            ("enum('a','b')", text("b"), Missing::Text("b".into())),
            ("enum('a','b')", text("B"), Missing::Unknown),
            ("enum('1','2')", number("2"), Missing::Unknown),
            ("set('a','b')", text("a,b"), Missing::Text("a,b".into())),
            ("set('a','b')", text("b,a"), Missing::Unknown),
            ("set('a','b')", text(""), Missing::Text(String::new())),
            ("date", text("1970-01-02"), Missing::Days(1)),
            ("date", text("0000-00-00"), Missing::Unknown),
            ("datetime(3)", text("1970-01-01 00:00:01.5"), Missing::Micros(1_500_000)),
            ("datetime", text("1970-1-1"), Missing::Unknown),
            ("timestamp", text("1970-01-01 00:00:01"), Missing::Unknown),
            ("time", text("-01:00:00"), Missing::Micros(-3_600_000_000)),
            ("time", text("838:59:59"), Missing::Micros(3_020_399_000_000)),
            ("binary(3)", text("a"), Missing::Unknown),
            ("int", ColumnDefault::Computed, Missing::Unknown),
            ("int", ColumnDefault::Null, Missing::Null),
        ] {
            assert_eq!(missing(source_type, true, default.clone()), expected, "{source_type} {default:?}");
        }
    }

    #[test]
    fn without_a_default_and_without_nulls_it_is_the_types_zero() {
        for (source_type, expected) in [
            ("int", Missing::Zero),
            ("varchar(9)", Missing::Zero),
            ("decimal(5,1)", Missing::Zero),
            ("enum('x','y')", Missing::Text("x".into())),
            ("date", Missing::Unknown),
            ("binary(3)", Missing::Unknown),
            ("uuid", Missing::Unknown),
        ] {
            assert_eq!(missing(source_type, false, ColumnDefault::Null), expected, "{source_type}");
        }
    }
}
