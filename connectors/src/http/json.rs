//! JSON whose numbers keep their digits: a decimal must not pass through a double.

use std::fmt::Write;

use crate::json::{DEPTH_MAX, Fault, Quoted, Walk, unescape};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Json>),
    /// In the order in which it was written.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value that fills the bytes.
    ///
    /// # Errors
    /// Where the bytes cease to be JSON.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut walk = Walk { text: bytes, at: 0 };
        let built = build(&mut walk, 0).and_then(|value| match walk.next() {
            None => Ok(value),
            Some(_) => Err("something stands behind the value"),
        });
        // Where, never what: the answer is data.
        built.map_err(|fault| format!("{fault}, at byte {}", walk.at))
    }

    /// Reads one value per line; empty lines are passed over.
    ///
    /// # Errors
    /// As `parse`, with the line.
    pub(crate) fn parse_lines(bytes: &[u8]) -> Result<Vec<Self>, String> {
        let mut values = Vec::new();
        for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            if !line.trim_ascii().is_empty() {
                values.push(Self::parse(line).map_err(|why| format!("line {}: {why}", number + 1))?);
            }
        }
        Ok(values)
    }

    /// The member of that name: of several, the last one.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// What a path leads to: a member of that whole name, or names with dots between them. The empty path is the value.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        if let Some(value) = self.member(path) {
            return Some(value);
        }
        path.match_indices('.').find_map(|(dot, _)| self.member(&path[..dot])?.at(&path[dot + 1..]))
    }

    /// A text, number or truth as text.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match self {
            Self::Number(text) | Self::Text(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// As text, without spaces.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        let quoted = |text: &mut String, value: &str| {
            text.push('"');
            for c in value.chars() {
                match c {
                    '"' | '\\' => text.extend(['\\', c]),
                    c if c < ' ' => drop(write!(text, "\\u{:04x}", c as u32)),
                    c => text.push(c),
                }
            }
            text.push('"');
        };
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Self::Number(digits) => text.push_str(digits),
            Self::Text(value) => quoted(text, value),
            Self::List(values) => {
                text.push('[');
                for (i, value) in values.iter().enumerate() {
                    text.push_str(if i > 0 { "," } else { "" });
                    value.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    text.push_str(if i > 0 { "," } else { "" });
                    quoted(text, name);
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }
}

/// Builds the value that is next.
fn build(walk: &mut Walk<'_>, depth: usize) -> Result<Json, Fault> {
    if depth > DEPTH_MAX {
        return Err("objects and arrays are nested more than 128 times");
    }
    match walk.next() {
        Some(b'{') => object(walk, depth),
        Some(b'[') => list(walk, depth),
        Some(b'"') => {
            let quoted = walk.string()?;
            text(walk, quoted).map(Json::Text)
        }
        _ => {
            let start = walk.at;
            walk.value(depth)?;
            Ok(match &walk.text[start..walk.at] {
                b"null" => Json::Null,
                b"true" => Json::Bool(true),
                b"false" => Json::Bool(false),
                number => Json::Number(String::from_utf8_lossy(number).into_owned()),
            })
        }
    }
}

fn object(walk: &mut Walk<'_>, depth: usize) -> Result<Json, Fault> {
    let mut members = Vec::new();
    walk.at += 1;
    if walk.next() == Some(b'}') {
        walk.at += 1;
        return Ok(Json::Object(members));
    }
    loop {
        let key = walk.key()?;
        members.push((text(walk, key)?, build(walk, depth + 1)?));
        if walk.ends(b'}')? {
            return Ok(Json::Object(members));
        }
    }
}

fn list(walk: &mut Walk<'_>, depth: usize) -> Result<Json, Fault> {
    let mut values = Vec::new();
    walk.at += 1;
    if walk.next() == Some(b']') {
        walk.at += 1;
        return Ok(Json::List(values));
    }
    loop {
        values.push(build(walk, depth + 1)?);
        if walk.ends(b']')? {
            return Ok(Json::List(values));
        }
    }
}

fn text(walk: &Walk<'_>, quoted: Quoted) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(quoted.end - quoted.start);
    unescape(&walk.text[quoted.start..quoted.end], &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| "a string is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;
    const GOOD: &[&str] = &[
        "null",
        "true",
        "-0",
        "12345678901234567890.123456789",
        "1e400",
        "[]",
        "{}",
        r#"[1,[2],{"a":[null]}]"#,
        r#""é\"x""#,
        r#"{"a":1,"a":2}"#,
        r#"{"":{"b.c":3}}"#,
    ];
    const BAD: &[&str] = &[
        "",
        " ",
        "tru",
        "01",
        "1.",
        "1e",
        "-",
        ".5",
        "+1",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "\"",
        "\"\\x\"",
        "\"\\",
        "\"\n\"",
        "1 2",
        "[",
        "{\"a\":1",
        "\u{feff}1",
        "NaN",
        "\"\\ud800\"",
    ];

    #[test]
    fn values_are_read_and_written_as_they_are() {
        for text in GOOD {
            assert_eq!(Json::parse(text.as_bytes()).unwrap().to_text(), *text);
        }
        for text in BAD {
            assert!(Json::parse(text.as_bytes()).is_err(), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text:?}");
        }
        assert!(Json::parse(&[b'"', 0xff, b'"']).is_err());
        assert!(Json::parse("[".repeat(100_000).as_bytes()).is_err());
        assert_eq!(Json::parse_lines(b"1\r\n\n2").unwrap().len(), 2);
        assert!(Json::parse_lines(b"1\n{").unwrap_err().starts_with("line 2"));
    }

    #[test]
    fn paths_lead_to_members() {
        let value = Json::parse(br#"{"a":{"b":{"c":1},"b.c":2},"a.b":{"d":3},"n":null}"#).unwrap();
        for (path, expected) in [("a.b.c", Some("2")), ("a.b.d", Some("3")), ("a.x", None), ("n.x", None), ("", None)] {
            assert_eq!(value.at(path).and_then(Json::scalar), expected, "{path}");
        }
    }
}
