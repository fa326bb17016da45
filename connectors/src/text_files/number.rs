//! Numbers that must not be rounded.

/// A decimal number as an integer of `scale` decimal places; `None` when it is not one, has more places than that
/// (zeros aside) or more than `precision` digits. There is no rounding and no exponent.
pub(crate) fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: i128 = 0;
    let mut places: Option<u8> = None;
    let mut seen = false;
    for &byte in digits {
        match (byte, &mut places) {
            (b'.', None) => places = Some(0),
            (b'0'..=b'9', places) => {
                seen = true;
                match places {
                    Some(places) if *places == scale => {
                        if byte != b'0' {
                            return None;
                        }
                        continue;
                    }
                    Some(places) => *places += 1,
                    None => {}
                }
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
            }
            _ => return None,
        }
    }
    let missing = scale - places.unwrap_or(0);
    let value = value.checked_mul(10i128.checked_pow(u32::from(missing))?)?;
    if !seen || value >= 10i128.checked_pow(u32::from(precision))? {
        return None;
    }
    Some(if negative { -value } else { value })
}

/// Bytes written as hexadecimal digits, with or without `0x` or `\x` in front.
pub(crate) fn hex(text: &str, to: &mut Vec<u8>) -> Option<()> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("\\x")).unwrap_or(text).as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let start = to.len();
    for pair in digits.chunks(2) {
        let byte = match pair {
            [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        match byte {
            Some(byte) => to.push(byte),
            None => {
                to.truncate(start);
                return None;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("12.34", Some(1_234)),
            ("-12.3", Some(-1_230)),
            ("+5", Some(500)),
            (".5", Some(50)),
            ("5.", Some(500)),
            ("1.2300", Some(123)),
            ("99999.99", Some(9_999_999)),
            ("100000.00", None),
            ("1.234", None),
            ("1e3", None),
            ("", None),
            (".", None),
            ("-", None),
            ("1,5", None),
            ("1.2.3", None),
            ("99999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(decimal(text, 7, 2), expected, "{text}");
        }
        assert_eq!(decimal(&"9".repeat(38), 38, 0), Some(10i128.pow(38) - 1));
    }

    #[test]
    fn hexadecimal() {
        let mut bytes = Vec::new();
        assert!(
            hex("0x00fF", &mut bytes).is_some() && hex("\\x01", &mut bytes).is_some() && hex("", &mut bytes).is_some()
        );
        assert!(hex("abc", &mut bytes).is_none() && hex("12zz", &mut bytes).is_none());
        assert_eq!(bytes, [0, 255, 1]);
    }
}
