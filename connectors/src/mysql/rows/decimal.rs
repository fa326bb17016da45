//! DECIMAL as the server writes it: `-0012.50`.

use arrow::datatypes::i256;

/// Most digits that one step of a long number takes.
const STEP_DIGITS: usize = 18;

/// Sign and digits, the fraction filled up to `scale` digits. `None` when it is no number or has more than `scale`.
fn parts(text: &[u8], scale: u8) -> Option<(bool, &[u8], &[u8], usize)> {
    let (negative, rest) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let (whole, mut fraction) = match rest.iter().position(|&byte| byte == b'.') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    if whole.is_empty() && fraction.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let scale = usize::from(scale);
    while fraction.len() > scale && fraction.last() == Some(&b'0') {
        fraction = &fraction[..fraction.len() - 1];
    }
    let zeros = scale.checked_sub(fraction.len())?;
    Some((negative, whole, fraction, zeros))
}

/// The number times ten to the power of `scale`. `None` when it is no number or does not fit.
pub(crate) fn decimal128(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, whole, fraction, zeros) = parts(text, scale)?;
    let mut value = 0i128;
    for digit in whole.iter().chain(fraction).copied().chain(std::iter::repeat_n(b'0', zeros)) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let fits = value < 10i128.checked_pow(u32::from(precision))?;
    fits.then_some(if negative { -value } else { value })
}

/// As [`decimal128`], for more than 38 digits.
pub(crate) fn decimal256(text: &[u8], precision: u8, scale: u8) -> Option<i256> {
    let (negative, whole, fraction, zeros) = parts(text, scale)?;
    let digits: Vec<u8> = whole
        .iter()
        .chain(fraction)
        .copied()
        .chain(std::iter::repeat_n(b'0', zeros))
        .skip_while(|&d| d == b'0')
        .collect();
    if digits.len() > usize::from(precision) {
        return None;
    }
    let mut value = i256::ZERO;
    for step in digits.chunks(STEP_DIGITS) {
        let number = step.iter().fold(0i128, |number, digit| number * 10 + i128::from(digit - b'0'));
        let factor = i256::from_i128(10i128.pow(u32::try_from(step.len()).ok()?));
        value = value.checked_mul(factor)?.checked_add(i256::from_i128(number))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, precision, scale, expected) in [
            ("12.50", 10, 2, Some(1250)),
            ("-12.5", 10, 2, Some(-1250)),
            ("0012.50", 4, 2, Some(1250)),
            ("-0.00", 4, 2, Some(0)),
            (".5", 4, 2, Some(50)),
            ("7", 4, 0, Some(7)),
            ("1.500", 4, 1, Some(15)),
            ("1.501", 4, 1, None),
            ("100.00", 4, 2, None),
            ("", 4, 2, None),
            (".", 4, 2, None),
            ("1e3", 4, 2, None),
            ("99999999999999999999999999999999999999", 38, 0, Some(10i128.pow(38) - 1)),
            ("199999999999999999999999999999999999999", 38, 0, None),
        ] {
            assert_eq!(decimal128(text.as_bytes(), precision, scale), expected, "{text}");
            let long = decimal256(text.as_bytes(), precision, scale);
            assert_eq!(long, expected.map(i256::from_i128), "{text}");
        }
        let most = format!("-{}.{}", "9".repeat(35), "9".repeat(30));
        let expected = i256::from_string(&format!("-{}", "9".repeat(65)));
        assert_eq!(decimal256(most.as_bytes(), 65, 30), expected);
    }
}
