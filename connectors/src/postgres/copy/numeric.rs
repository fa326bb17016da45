//! numeric in its binary form: base-10000 digits with a weight.

use arrow::datatypes::i256;

/// Decimal digits in one digit of the format.
const BASE_DIGITS: i32 = 4;
const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;

/// Sign, place of the first digit (in powers of 10000) and digits; `None` for NaN, infinities and what is no numeric.
fn parts(cell: &[u8]) -> Option<(bool, i32, &[[u8; 2]])> {
    let (head, digits) = cell.split_first_chunk::<8>()?;
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let sign = word(4);
    let (digits, rest) = digits.as_chunks::<2>();
    if !matches!(sign, POSITIVE | NEGATIVE) || !rest.is_empty() || digits.len() != usize::from(word(0)) {
        return None;
    }
    let weight = i32::from(i16::from_be_bytes([head[2], head[3]]));
    Some((sign == NEGATIVE, weight, digits))
}

/// By how many decimal places a digit stands to the left of the last place that is kept.
fn shift(weight: i32, index: usize, scale: u8) -> Option<i32> {
    Some((weight - i32::try_from(index).ok()?) * BASE_DIGITS + i32::from(scale))
}

/// A digit of places that are partly beyond the scale: what is left of it, if nothing else is lost.
fn cut(digit: u16, shift: i32) -> Option<u16> {
    let divisor = 10u16.checked_pow(shift.unsigned_abs()).unwrap_or(u16::MAX);
    digit.is_multiple_of(divisor).then_some(digit / divisor)
}

/// The number times ten to the power of `scale`. `None` when it is no number or does not fit.
pub(super) fn decimal128(cell: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, weight, digits) = parts(cell)?;
    let mut value = 0i128;
    for (i, digit) in digits.iter().enumerate() {
        let digit = u16::from_be_bytes(*digit);
        let shift = shift(weight, i, scale)?;
        let part = match u32::try_from(shift) {
            Ok(places) if digit > 0 => 10i128.checked_pow(places)?.checked_mul(i128::from(digit))?,
            Ok(_) => 0,
            Err(_) => i128::from(cut(digit, shift)?),
        };
        value = value.checked_add(part)?;
    }
    let fits = value < 10i128.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { -value } else { value })
}

/// As [`decimal128`], for more than 38 digits.
pub(super) fn decimal256(cell: &[u8], precision: u8, scale: u8) -> Option<i256> {
    let (negative, weight, digits) = parts(cell)?;
    let ten = i256::from_i128(10);
    let mut value = i256::ZERO;
    for (i, digit) in digits.iter().enumerate() {
        let digit = u16::from_be_bytes(*digit);
        let shift = shift(weight, i, scale)?;
        let part = match u32::try_from(shift) {
            Ok(places) if digit > 0 => ten.checked_pow(places)?.checked_mul(i256::from_i128(i128::from(digit)))?,
            Ok(_) => i256::ZERO,
            Err(_) => i256::from_i128(i128::from(cut(digit, shift)?)),
        };
        value = value.checked_add(part)?;
    }
    let fits = value < ten.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As numeric_send writes it.
    fn sent(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let mut cell = u16::try_from(digits.len()).unwrap().to_be_bytes().to_vec();
        cell.extend_from_slice(&weight.to_be_bytes());
        cell.extend_from_slice(&sign.to_be_bytes());
        cell.extend_from_slice(&[0, 0]);
        cell.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        cell
    }

    #[test]
    fn numbers() {
        for (weight, sign, digits, precision, scale, expected) in [
            (0, POSITIVE, &[][..], 4, 2, Some(0)),
            (0, NEGATIVE, &[12, 5000], 4, 2, Some(-1250)),
            (-1, POSITIVE, &[500], 4, 2, Some(5)),
            (-1, POSITIVE, &[501], 4, 2, None),
            (-2, POSITIVE, &[1], 9, 8, Some(1)),
            (2, POSITIVE, &[1], 9, 0, Some(100_000_000)),
            (2, POSITIVE, &[1], 8, 0, None),
            (0, 0xC000, &[], 4, 2, None),
            (0, 0xD000, &[], 4, 2, None),
            (9, POSITIVE, &[9999], 38, 0, None),
        ] {
            let cell = sent(weight, sign, digits);
            assert_eq!(decimal128(&cell, precision, scale), expected, "{digits:?} {weight}");
            assert_eq!(decimal256(&cell, precision, scale), expected.map(i256::from_i128), "{digits:?} {weight}");
        }
        assert_eq!(decimal128(&[0, 1, 0, 0, 0, 0, 0, 0], 4, 2), None, "a digit is missing");
        assert_eq!(decimal128(&[0], 4, 2), None);
    }
}
