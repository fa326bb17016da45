//! The text of a row, and its digest.

use std::io::Write;

use md5::{Digest, Md5};

use super::CellText;

/// The text of one row as it grows.
#[derive(Debug, Default)]
pub(crate) struct RowText {
    bytes: Vec<u8>,
}

impl RowText {
    /// Writes a NULL.
    pub fn null(&mut self, column: CellText) {
        let text: &[u8] = if matches!(column, CellText::Text | CellText::Padded) { b":," } else { b"," };
        self.bytes.extend_from_slice(text);
    }

    /// Writes a value whose text is the table's already.
    pub fn plain(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.bytes.push(b',');
    }

    /// Writes an integer.
    pub fn integer(&mut self, value: impl std::fmt::Display) {
        write!(self.bytes, "{value},").expect("writing to a Vec does not fail");
    }

    /// Writes a date, timestamp or time of day from its parts: a fraction of whatever length.
    pub fn moment(&mut self, before: &[u8], fraction: &[u8]) {
        self.bytes.extend_from_slice(before);
        let digits = fraction.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        if digits > 0 {
            self.bytes.push(b'.');
            self.bytes.extend_from_slice(&fraction[..digits]);
        }
        self.bytes.push(b',');
    }

    /// Writes a text.
    pub fn text(&mut self, column: CellText, text: &str) {
        let text = if column == CellText::Padded { text.trim_end_matches(' ') } else { text };
        write!(self.bytes, "{}:", text.len()).expect("writing to a Vec does not fail");
        self.plain(text.as_bytes());
    }

    /// Writes bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        for byte in Md5::digest(value) {
            write!(self.bytes, "{byte:02x}").expect("writing to a Vec does not fail");
        }
        self.bytes.push(b',');
    }

    /// The digest; a new row begins.
    pub fn digest(&mut self) -> u64 {
        let digest = Md5::digest(&self.bytes);
        self.bytes.clear();
        digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
    }

    /// The text so far; a new row begins.
    #[cfg(test)]
    pub fn take(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.bytes)).expect("texts are UTF-8")
    }
}
