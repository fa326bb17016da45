//! Which type holds the values of two types, with nothing lost.

use arrow::datatypes::{DataType, TimeUnit};

/// The digits before the point that an integer type can have.
fn integer_digits(data_type: &DataType) -> Option<u8> {
    Some(match data_type {
        DataType::Int8 | DataType::UInt8 => 3,
        DataType::Int16 | DataType::UInt16 => 5,
        DataType::Int32 | DataType::UInt32 => 10,
        DataType::Int64 => 19,
        DataType::UInt64 => 20,
        _ => return None,
    })
}

/// The bits of an integer type, and whether it has a sign.
fn integer_bits(data_type: &DataType) -> Option<(u8, bool)> {
    Some(match data_type {
        DataType::Int8 => (8, true),
        DataType::Int16 => (16, true),
        DataType::Int32 => (32, true),
        DataType::Int64 => (64, true),
        DataType::UInt8 => (8, false),
        DataType::UInt16 => (16, false),
        DataType::UInt32 => (32, false),
        DataType::UInt64 => (64, false),
        _ => return None,
    })
}

fn widen_integers(a: (u8, bool), b: (u8, bool)) -> DataType {
    let signed = a.1 || b.1;
    // Beside a signed type an unsigned one needs one bit more, and so the next size.
    let bits = [a, b].into_iter().map(|(bits, sign)| if signed && !sign { u16::from(bits) * 2 } else { bits.into() });
    match (bits.max().unwrap_or(64), signed) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => DataType::Decimal128(20, 0),
    }
}

fn decimal(whole: i16, scale: i8) -> Option<DataType> {
    let precision = whole + i16::from(scale);
    match u8::try_from(precision) {
        Ok(precision @ 1..=38) => Some(DataType::Decimal128(precision, scale)),
        Ok(precision @ 39..=76) => Some(DataType::Decimal256(precision, scale)),
        _ => None,
    }
}

/// The digits before the point and behind it.
fn decimal_digits(data_type: &DataType) -> Option<(i16, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) if *scale >= 0 => {
            Some((i16::from(*precision) - i16::from(*scale), *scale))
        }
        other => integer_digits(other).map(|digits| (digits.into(), 0)),
    }
}

/// The type that holds every value of both; `None` when there is none or the meaning would change.
///
/// Integers widen to integers (`UInt64` beside a signed one: to a decimal), integers and decimals to decimals, small
/// integers and `Float32` to `Float64`, texts to the larger text, seconds and milliseconds to microseconds, NULL to
/// anything.
pub fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Binary, BinaryView, Float32, Float64, LargeBinary, LargeUtf8, Null, Timestamp, Utf8, Utf8View};
    if a == b {
        return Some(a.clone());
    }
    if let (Some(a), Some(b)) = (integer_bits(a), integer_bits(b)) {
        return Some(widen_integers(a, b));
    }
    if let (Some((whole_a, scale_a)), Some((whole_b, scale_b))) = (decimal_digits(a), decimal_digits(b)) {
        return decimal(whole_a.max(whole_b), scale_a.max(scale_b));
    }
    match (a, b) {
        (Null, other) | (other, Null) => Some(other.clone()),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        // 24 bits hold every 16-bit integer, 53 bits every 32-bit one.
        (Float32 | Float64, other) | (other, Float32 | Float64) => match integer_bits(other)?.0 {
            8 | 16 if [a, b].contains(&&Float32) => Some(Float32),
            8 | 16 | 32 => Some(Float64),
            _ => None,
        },
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => Some(LargeUtf8),
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => Some(LargeBinary),
        // Nanoseconds hold only the years 1677 to 2262, so nothing widens to them.
        (Timestamp(unit_a, zone_a), Timestamp(unit_b, zone_b)) if zone_a == zone_b => {
            let coarse =
                |unit: &TimeUnit| matches!(unit, TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond);
            (coarse(unit_a) && coarse(unit_b)).then(|| Timestamp((*unit_a).max(*unit_b), zone_a.clone()))
        }
        _ => None,
    }
}
