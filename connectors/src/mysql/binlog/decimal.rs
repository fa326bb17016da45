//! Packed decimals (MySQL `decimal.c`, `decimal2bin`).
//!
//! Nine digits in four bytes, most significant first; the digits that are left over at either end in as few bytes as
//! hold them. The first bit is inverted, and all bits of a negative number.

use arrow::datatypes::i256;

use super::bytes::{Bytes, Decoded, Malformed};

const GROUP_DIGITS: u8 = 9;
const GROUP: u32 = 1_000_000_000;
/// Bytes of so many left-over digits.
const BYTES_OF: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// Ten to the power of so many digits.
const POWER: [u32; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, GROUP];

const IMPOSSIBLE: Malformed = Malformed("a decimal has impossible digits");

/// The number of bytes of a DECIMAL(precision, scale).
pub(super) fn packed_bytes(precision: u8, scale: u8) -> usize {
    let of =
        |digits: u8| usize::from(digits / GROUP_DIGITS) * 4 + usize::from(BYTES_OF[usize::from(digits % GROUP_DIGITS)]);
    of(precision.saturating_sub(scale)) + of(scale)
}

/// Calls `each` with the groups of digits from the left, and ten to the power of their digits; true when negative.
fn groups(bytes: &[u8], precision: u8, scale: u8, mut each: impl FnMut(u32, u32)) -> Decoded<bool> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 == 0);
    let flip = if negative { 0xff } else { 0 };
    let mut cursor = Bytes(bytes);
    let mut first_bit = 0x80;
    let mut group = |digits: u8| -> Decoded<()> {
        let mut value = 0u32;
        for &byte in cursor.take(usize::from(BYTES_OF[usize::from(digits)]))? {
            value = (value << 8) | u32::from(byte ^ flip ^ first_bit);
            first_bit = 0;
        }
        let power = POWER[usize::from(digits)];
        if value >= power {
            return Err(IMPOSSIBLE);
        }
        each(value, power);
        Ok(())
    };
    let whole = precision.saturating_sub(scale);
    if !whole.is_multiple_of(GROUP_DIGITS) {
        group(whole % GROUP_DIGITS)?;
    }
    for _ in 0..whole / GROUP_DIGITS + scale / GROUP_DIGITS {
        group(GROUP_DIGITS)?;
    }
    if !scale.is_multiple_of(GROUP_DIGITS) {
        group(scale % GROUP_DIGITS)?;
    }
    Ok(negative)
}

/// The number times ten to the power of `scale`, for at most 38 digits.
pub(super) fn decimal128(bytes: &[u8], precision: u8, scale: u8) -> Decoded<i128> {
    let mut value = 0i128;
    let negative = groups(bytes, precision, scale, |group, power| {
        value = value.wrapping_mul(i128::from(power)).wrapping_add(i128::from(group));
    })?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// The number times ten to the power of `scale`, for at most 76 digits.
pub(super) fn decimal256(bytes: &[u8], precision: u8, scale: u8) -> Decoded<i256> {
    let mut value = i256::ZERO;
    let negative = groups(bytes, precision, scale, |group, power| {
        let power = i256::from_i128(i128::from(power));
        value = value.wrapping_mul(power).wrapping_add(i256::from_i128(i128::from(group)));
    })?;
    Ok(if negative { value.wrapping_neg() } else { value })
}

/// The number as text, as the server prints it: `-12.50`, `0.5`.
pub(super) fn decimal_text(bytes: &[u8], precision: u8, scale: u8, into: &mut String) -> Decoded<()> {
    let value = decimal256(bytes, precision, scale)?;
    let negative = value.is_negative();
    let digits = value.wrapping_abs().to_string();
    let scale = usize::from(scale);
    if negative {
        into.push('-');
    }
    let whole = digits.len().saturating_sub(scale);
    into.push_str(if whole == 0 { "0" } else { &digits[..whole] });
    if scale > 0 {
        into.push('.');
        into.extend(std::iter::repeat_n('0', scale.saturating_sub(digits.len())));
        into.push_str(&digits[whole..]);
    }
    Ok(())
}
