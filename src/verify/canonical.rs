//! Values that have several spellings, brought into one.
//!
//! Both sides of a comparison come in the types of the captured column, so most values are equal when their bytes are.
//! What is left: systems with a JSON type of their own write documents anew (order of keys, blanks, `1.0` and `1e0`), and
//! SQL knows one zero and one NaN where floating point numbers have several.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};

/// Documents nested deeper than this stay as they are.
const DEPTH_MAX: usize = 100;

/// What makes a column's values canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    AsIs,
    Float32,
    Float64,
    Json,
}

impl Form {
    /// The form of a column.
    pub(super) fn of(field: &Field) -> Self {
        let json = field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.json");
        match field.data_type() {
            DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 if json => Self::Json,
            _ => Self::AsIs,
        }
    }

    /// The column in its canonical form.
    pub(super) fn canonical(self, column: &ArrayRef) -> ArrayRef {
        match self {
            Self::AsIs => column.clone(),
            Self::Float32 => Arc::new(
                column
                    .as_primitive::<Float32Type>()
                    .unary::<_, Float32Type>(|value| if value.is_nan() { f32::NAN } else { value + 0.0 }),
            ),
            Self::Float64 => Arc::new(
                column
                    .as_primitive::<Float64Type>()
                    .unary::<_, Float64Type>(|value| if value.is_nan() { f64::NAN } else { value + 0.0 }),
            ),
            Self::Json => {
                let texts = column.as_string::<i32>().iter();
                let canonical = texts.map(|text| text.map(|text| json(text).unwrap_or_else(|| text.to_owned())));
                Arc::new(canonical.collect::<StringArray>())
            }
        }
    }
}

/// A document with sorted keys, without blanks, with plain numbers; of a key that is there twice, the last value. `None`
/// for what is no document.
fn json(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text };
    let mut out = String::with_capacity(text.len());
    reader.value(&mut out, 0)?;
    reader.skip_blanks();
    reader.rest.is_empty().then_some(out)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, token: &str) -> Option<()> {
        self.skip_blanks();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, out: &mut String, depth: usize) -> Option<()> {
        self.skip_blanks();
        match self.rest.as_bytes().first()? {
            _ if depth > DEPTH_MAX => None,
            b'{' => self.object(out, depth),
            b'[' => self.array(out, depth),
            b'"' => {
                out.push_str(&serde_json::to_string(&self.string()?).ok()?);
                Some(())
            }
            b'-' | b'0'..=b'9' => self.number(out),
            _ => {
                let word = ["true", "false", "null"].into_iter().find(|word| self.rest.starts_with(word))?;
                out.push_str(word);
                self.take(word)
            }
        }
    }

    fn object(&mut self, out: &mut String, depth: usize) -> Option<()> {
        let mut members = BTreeMap::new();
        self.take("{")?;
        while self.take("}").is_none() {
            if !members.is_empty() {
                self.take(",")?;
            }
            self.skip_blanks();
            let key = self.string()?;
            self.take(":")?;
            let mut value = String::new();
            self.value(&mut value, depth + 1)?;
            members.insert(key, value);
        }
        out.push('{');
        for (i, (key, value)) in members.into_iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            out.push_str(&format!("{comma}{}:{value}", serde_json::to_string(&key).ok()?));
        }
        out.push('}');
        Some(())
    }

    fn array(&mut self, out: &mut String, depth: usize) -> Option<()> {
        self.take("[")?;
        out.push('[');
        let mut first = true;
        while self.take("]").is_none() {
            if !first {
                self.take(",")?;
                out.push(',');
            }
            self.value(out, depth + 1)?;
            first = false;
        }
        out.push(']');
        Some(())
    }

    fn string(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        if bytes.first() != Some(&b'"') {
            return None;
        }
        let mut end = 1;
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let (quoted, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        serde_json::from_str(quoted).ok()
    }

    /// `-12.50e1` as digits and a power of ten: `-125e0`.
    fn number(&mut self, out: &mut String) -> Option<()> {
        let end = self.rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'));
        let (number, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let (mantissa, power) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let power = power.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let kept = significant.trim_end_matches('0');
        if kept.is_empty() {
            out.push('0');
            return Some(());
        }
        let power = power + i64::try_from(significant.len() - kept.len()).ok()?;
        out.push_str(&format!("{}{kept}e{power}", if negative { "-" } else { "" }));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Float64Array};

    #[test]
    fn documents_are_equal_when_their_values_are() {
        for (one, other, equal) in [
            ("{\"b\": 1, \"a\": [1.0, 2e1, -0.50]}", "{\"a\":[1,20,-5e-1],\"b\":1}", true),
            ("{\"a\":1,\"a\":2}", "{\"a\": 2}", true),
            ("\"\\u00fc\\/\"", "\"ü/\"", true),
            ("[]", "[ ]", true),
            ("12345678901234567890.125", "12345678901234567890.1250", true),
            ("12345678901234567890.125", "12345678901234567890.126", false),
            ("0", "-0.0", true),
            ("{\"a\":null}", "{}", false),
            ("[1,2]", "[2,1]", false),
            ("\"1\"", "1", false),
        ] {
            let (one, other) = (json(one).unwrap(), json(other).unwrap());
            assert_eq!(one == other, equal, "{one} and {other}");
        }
        for broken in ["", "{", "[1,", "{\"a\" 1}", "1 2", "\"\\", "tru", &"[".repeat(1_000)] {
            assert_eq!(json(broken), None, "{broken}");
        }
    }

    #[test]
    fn there_is_one_zero_and_one_nan() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(-f64::NAN)]));
        let form = Form::of(&Field::new("n", DataType::Float64, true));
        let canonical = form.canonical(&column);
        let values = canonical.as_primitive::<Float64Type>();
        assert!(values.value(0).is_sign_positive() && values.is_null(1));
        assert_eq!(values.value(2).to_bits(), f64::NAN.to_bits());
    }
}
