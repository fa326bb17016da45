//! Strings and numbers of JSON, written as MySQL writes them.

use std::fmt::Write;

/// Exponents between which a number is written without one (MySQL `my_gcvt`; compared with the server).
const PLAIN_EXPONENTS: std::ops::RangeInclusive<i32> = -15..=14;

/// Appends a string in quotes (MySQL `double_quote`).
pub(super) fn write_string(text: &str, into: &mut String) {
    into.push('"');
    let mut run = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            8 => "\\b",
            b'\t' => "\\t",
            b'\n' => "\\n",
            12 => "\\f",
            b'\r' => "\\r",
            0..0x20 => "",
            _ => continue,
        };
        into.push_str(&text[run..i]);
        run = i + 1;
        if escape.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(into, "\\u{byte:04x}");
        } else {
            into.push_str(escape);
        }
    }
    into.push_str(&text[run..]);
    into.push('"');
}

/// Appends a number: the fewest digits that name it, and `.0` behind a whole one.
pub(super) fn write_double(value: f64, into: &mut String) {
    // `d.ddde-x`, the fewest digits.
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.rsplit('e').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
    if value != 0.0 && !PLAIN_EXPONENTS.contains(&exponent) {
        into.push_str(&scientific);
        return;
    }
    let start = into.len();
    let _ = write!(into, "{value}");
    if !into[start..].contains('.') {
        into.push_str(".0");
    }
}
