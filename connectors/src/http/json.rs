//! JSON whose numbers keep their digits: a decimal must not pass through a double.

use std::fmt::Write;

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 128;

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
        let mut reader = Reader { bytes, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.at < bytes.len() { Err(reader.wrong("there is more behind the value")) } else { Ok(value) }
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

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    /// Says where, never what: the answer is data.
    fn wrong(&self, why: &str) -> String {
        format!("{why} at byte {}", self.at)
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.space();
        self.bytes.get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("nested too deeply"));
        }
        match self.next() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.text().map(Json::Text),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.wrong("no JSON value")),
            None => Err(self.wrong("the value ends too early")),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, String> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.wrong("no JSON value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn digits(&mut self) -> Result<usize, String> {
        let begin = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == begin { Err(self.wrong("a digit is missing")) } else { Ok(self.at - begin) }
    }

    fn number(&mut self) -> Result<Json, String> {
        let begin = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        let leads_with_zero = self.bytes.get(self.at) == Some(&b'0');
        if self.digits()? > 1 && leads_with_zero {
            return Err(self.wrong("a number begins with 0"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(String::from_utf8_lossy(&self.bytes[begin..self.at]).into_owned()))
    }

    /// Finds the end, and lets `serde_json` read escapes and check the encoding.
    fn text(&mut self) -> Result<String, String> {
        let begin = self.at;
        let mut end = begin + 1;
        loop {
            match self.bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(self.wrong("a text does not end")),
            }
        }
        let text = serde_json::from_slice(&self.bytes[begin..=end]).map_err(|_| self.wrong("no text"))?;
        self.at = end + 1;
        Ok(text)
    }

    fn list(&mut self, depth: usize) -> Result<Json, String> {
        let mut values = Vec::new();
        self.at += 1;
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(Json::List(values));
        }
        loop {
            values.push(self.value(depth + 1)?);
            if self.ends(b']')? {
                return Ok(Json::List(values));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, String> {
        let mut members = Vec::new();
        self.at += 1;
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            if self.next() != Some(b'"') {
                return Err(self.wrong("a name is missing"));
            }
            let name = self.text()?;
            if self.next() != Some(b':') {
                return Err(self.wrong("a colon is missing"));
            }
            self.at += 1;
            members.push((name, self.value(depth + 1)?));
            if self.ends(b'}')? {
                return Ok(Json::Object(members));
            }
        }
    }

    /// Steps over a comma (false) or the end (true).
    fn ends(&mut self, end: u8) -> Result<bool, String> {
        let found = self.next();
        if found != Some(b',') && found != Some(end) {
            return Err(self.wrong("a comma is missing"));
        }
        self.at += 1;
        Ok(found == Some(end))
    }
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
