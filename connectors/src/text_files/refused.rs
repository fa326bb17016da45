//! Records that are not taken, and what their text is.

use std::ops::Range;

use aqueduct_model::RelationName;

/// A record that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// What it would have belonged to, where that is known.
    pub(crate) relation: Option<RelationName>,
    /// The line that it begins in.
    pub(crate) line: u64,
    /// Its text; bytes that are not UTF-8 as `\xNN`.
    pub(crate) text: String,
    /// Why.
    pub(crate) reason: String,
}

/// Where bytes are not UTF-8, in rising order.
pub(crate) fn malformed(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Err(error) = std::str::from_utf8(&bytes[from..]) {
        let start = from + error.valid_up_to();
        from = error.error_len().map_or(bytes.len(), |length| start + length);
        found.push(start..from);
    }
    found
}

/// A record as text without its line break; bytes that are no UTF-8 as `\xNN`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    let length = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(length);
    text
}
