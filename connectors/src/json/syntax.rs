//! JSON as RFC 8259 has it: walks over values, checking them, without building anything.

/// Deepest nesting of objects and arrays that is walked into.
pub(crate) const DEPTH_MAX: usize = 128;

/// Why a text is no JSON.
pub(crate) type Fault = &'static str;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// A string between its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted {
    /// The first byte behind the opening quote.
    pub(crate) start: usize,
    /// The closing quote.
    pub(crate) end: usize,
    /// It holds escapes.
    pub(crate) is_escaped: bool,
}

/// A place in a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    /// The text, which ends where the value must end.
    pub(crate) text: &'a [u8],
    /// The next byte.
    pub(crate) at: usize,
}

impl Walk<'_> {
    /// The next byte that is no white space, which it stops at.
    pub(crate) fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes `wanted`, behind white space.
    ///
    /// # Errors
    /// `fault` when something else stands there.
    pub(crate) fn take(&mut self, wanted: u8, fault: Fault) -> Result<(), Fault> {
        if self.next() != Some(wanted) {
            return Err(fault);
        }
        self.at += 1;
        Ok(())
    }

    /// Walks over the string whose opening quote is next.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn string(&mut self) -> Result<Quoted, Fault> {
        let start = self.at + 1;
        let mut is_escaped = false;
        let mut at = start;
        loop {
            at = special(self.text, at);
            match self.text.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Quoted { start, end: at, is_escaped });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    at += 2;
                }
                Some(_) => return Err("a string holds a control character"),
                None => return Err("a string is never closed"),
            }
        }
    }

    /// Walks over any value; its depth counts from `depth`.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn value(&mut self, depth: usize) -> Result<(), Fault> {
        match self.next() {
            Some(b'"') => {
                let string = self.string()?;
                if string.is_escaped { unescape(&self.text[string.start..string.end], &mut Vec::new()) } else { Ok(()) }
            }
            Some(b'{') => self.members(b'}', depth),
            Some(b'[') => self.members(b']', depth),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err("a value is expected where there is none"),
            None => Err("the line ends before the object does"),
        }
    }

    /// Walks over an object or an array whose opening is next.
    fn members(&mut self, close: u8, depth: usize) -> Result<(), Fault> {
        if depth >= DEPTH_MAX {
            return Err("objects and arrays are nested more than 128 times");
        }
        self.at += 1;
        if self.next() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            if close == b'}' {
                self.key()?;
            }
            self.value(depth + 1)?;
            if self.ends(close)? {
                return Ok(());
            }
        }
    }

    /// Walks over a field's name and its colon.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn key(&mut self) -> Result<Quoted, Fault> {
        if self.next() != Some(b'"') {
            return Err("a field has no name in quotes");
        }
        let key = self.string()?;
        if key.is_escaped {
            unescape(&self.text[key.start..key.end], &mut Vec::new())?;
        }
        self.take(b':', "no colon stands behind a field's name")?;
        Ok(key)
    }

    /// True behind the last member, false behind a comma.
    ///
    /// # Errors
    /// When it is neither.
    pub(crate) fn ends(&mut self, close: u8) -> Result<bool, Fault> {
        match self.next() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Err("neither a comma nor a closing bracket stands behind a value"),
            None => Err("the line ends before the object does"),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err("a value is expected where there is none");
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        const FAULT: Fault = "a number is not written as JSON writes it";
        if self.text[self.at] == b'-' {
            self.at += 1;
        }
        let first = self.at;
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.text[first] == b'0') {
            return Err(FAULT);
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(FAULT);
            }
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(FAULT);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }
}

/// The first quote, backslash or control character from `at` on, eight bytes at a time; the text's length if there is
/// none.
fn special(text: &[u8], mut at: usize) -> usize {
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    while let Some((eight, _)) = text.get(at..).and_then(|rest| rest.split_first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let quote = is_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = is_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow can only mark bytes behind the first true one.
        let found = (quote | backslash | control) & HIGHS;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at.min(text.len())
}

/// Adds what a string with escapes stands for.
///
/// # Errors
/// When an escape is none; what was added then means nothing.
pub(crate) fn unescape(text: &[u8], to: &mut Vec<u8>) -> Result<(), Fault> {
    let mut at = 0;
    while let Some(length) = memchr::memchr(b'\\', &text[at..]) {
        to.extend_from_slice(&text[at..at + length]);
        at += length + 1;
        let plain = match text.get(at) {
            Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (character, length) = character(&text[at + 1..])?;
                to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += 1 + length;
                continue;
            }
            _ => return Err("a string holds a backslash that escapes nothing"),
        };
        to.push(plain);
        at += 1;
    }
    to.extend_from_slice(&text[at..]);
    Ok(())
}

/// The character of `XXXX` or of a pair `XXXX\uXXXX`, and how many bytes that took.
fn character(text: &[u8]) -> Result<(char, usize), Fault> {
    const FAULT: Fault = "a string holds an escape \\u that is no character";
    let unit = |at: usize| -> Result<u32, Fault> {
        let digits = text.get(at..at + 4).ok_or(FAULT)?;
        let digit = |value: u32, byte: &u8| Some(value << 4 | (*byte as char).to_digit(16)?);
        digits.iter().try_fold(0, digit).ok_or(FAULT)
    };
    let first = unit(0)?;
    if !(0xD800..0xDC00).contains(&first) {
        return Ok((char::from_u32(first).ok_or(FAULT)?, 4));
    }
    if text.get(4..6) != Some(b"\\u") {
        return Err(FAULT);
    }
    let second = unit(6)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(FAULT);
    }
    let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    Ok((char::from_u32(code).ok_or(FAULT)?, 10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ours(text: &[u8]) -> bool {
        let mut walk = Walk { text, at: 0 };
        walk.value(0).is_ok() && walk.next().is_none()
    }

    fn check(text: &str) {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(ours(text.as_bytes()), theirs, "{text:?}");
    }

    #[test]
    fn what_is_json() {
        for text in [
            "{}",
            "[]",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "[1,2,]",
            "[1 2]",
            "\"\\u00e9\"",
            "\"\\ud83d\\ude00\"",
            "\"\\q\"",
            "01",
            "-",
            "-0",
            "1.",
            "1.5e",
            "1e+3",
            ".5",
            "+1",
            "tru",
            "true",
            "null",
            "nul",
            "\"open",
            "\"a\tb\"",
            "\"a\\",
            "{\"a\":{\"b\":[{}]}}",
            " { \"a\" : [ 1 , \"x\\\"y\" ] } ",
            "",
            "{\"a\":1}}",
            "1 2",
            "\"\u{7f}é\u{80}\"",
        ] {
            check(text);
        }
        // Lone halves of a pair are no text, though a lenient reader may take them.
        assert!(!ours(b"\"\\ud83d\"") && !ours(b"\"\\udc00\"") && !ours(b"\"\\ud83d\\u0041\""));
        assert!(ours(format!("{}{}", "[".repeat(100), "]".repeat(100)).as_bytes()));
        assert!(!ours("[".repeat(1_000_000).as_bytes()));
    }

    proptest! {
        #[test]
        fn as_serde_json_sees_it(text in "[\\[\\]{}:,\"a1.e \\\\tn-]{0,24}") {
            check(&text);
        }

        #[test]
        fn specials_are_found(text in prop::collection::vec(any::<u8>(), 0..40), at in 0usize..40) {
            let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
            let at = at.min(text.len());
            let expected = text[at..].iter().position(is_special).map_or(text.len(), |found| at + found);
            prop_assert_eq!(special(&text, at), expected);
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let mut found = Vec::new();
            unescape(&written.as_bytes()[1..written.len() - 1], &mut found).unwrap();
            prop_assert_eq!(String::from_utf8(found).unwrap(), text);
        }
    }
}
