//! Plain scalars of YAML, and the text of XML elements and attributes: which text is a number, a flag or nothing.

use super::node::Value;

/// The value of an unquoted text.
///
/// The core schema of YAML 1.2 (section 10.3.2) with two differences, so that nothing is lost silently: digits with a
/// leading zero (`007`) and whole numbers beyond 64 bits stay text; so do `.inf` and `.nan`, which JSON cannot hold.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
        _ => None,
    }
    .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x") {
        return int(i128::from_str_radix(all(digits, u8::is_ascii_hexdigit)?, 16).ok()?);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return int(i128::from_str_radix(all(digits, u8::is_ascii_digit)?, 8).ok()?);
    }
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0') && unsigned.as_bytes()[1].is_ascii_digit();
    if leading_zero || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if all(unsigned, u8::is_ascii_digit).is_some() {
        return int(text.parse().ok()?);
    }
    let number: f64 = all(unsigned, |c| c.is_ascii_digit() || b".eE+-".contains(c)).and_then(|_| text.parse().ok())?;
    number.is_finite().then_some(Value::Float(number))
}

/// The text, if it is not empty and all its bytes are as asked.
fn all(text: &str, test: impl Fn(&u8) -> bool) -> Option<&str> {
    (!text.is_empty() && text.as_bytes().iter().all(test)).then_some(text)
}

fn int(number: i128) -> Option<Value> {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(Value::Int(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_typed() {
        for (text, expected) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("true", Value::Bool(true)),
            ("0", Value::Int(0)),
            ("-12", Value::Int(-12)),
            ("+3", Value::Int(3)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("18446744073709551615", Value::Int(u64::MAX.into())),
            ("1.5", Value::Float(1.5)),
            ("-1e3", Value::Float(-1000.0)),
            (".5", Value::Float(0.5)),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        for text in [
            "yes",
            "no",
            "on",
            "007",
            "18446744073709551616",
            "1s",
            "1.2.3",
            "-",
            ".",
            "+",
            "1e999",
            ".inf",
            "0x",
            "0o9",
            "1_000",
            "-x",
            "2024-01-01",
            "é",
            "--1",
        ] {
            assert_eq!(plain(text), Value::String(text.into()), "{text}");
        }
    }
}
