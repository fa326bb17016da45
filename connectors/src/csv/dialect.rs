//! The characters that give a file its structure.

use aqueduct_model::{Error, Result};

use super::config::CsvInputConfig;

/// Delimiter, quote, escape, comment, and for every byte whether it ends an unquoted cell.
#[derive(Debug, Clone)]
pub(super) struct Dialect {
    /// What stands between cells.
    pub(super) delimiter: u8,
    /// What cells are enclosed in.
    pub(super) quote: Option<u8>,
    /// What takes the meaning off the next character inside quotes.
    pub(super) escape: Option<u8>,
    /// What begins a line that is skipped.
    pub(super) comment: Option<u8>,
    /// True for the delimiter and line breaks.
    pub(super) ends_cell: [bool; 256],
}

impl Dialect {
    /// The dialect of the settings.
    ///
    /// # Errors
    /// `Config` when a character is not one ASCII character, or when two of them are the same.
    pub(super) fn new(config: &CsvInputConfig) -> Result<Self> {
        let delimiter = one("delimiter", &config.delimiter)?;
        let quote = if config.quote.is_empty() { None } else { Some(one("quote", &config.quote)?) };
        let escape = config.escape.as_deref().map(|escape| one("escape", escape)).transpose()?;
        let comment = config.comment.as_deref().map(|comment| one("comment", comment)).transpose()?;
        let used = [("quote", quote), ("escape", escape), ("comment", comment)];
        for (i, (setting, byte)) in used.iter().enumerate() {
            let Some(byte) = byte else { continue };
            let taken = *byte == delimiter || used[..i].iter().any(|(_, other)| other.as_ref() == Some(byte));
            if taken {
                return Err(Error::config(format!("{setting} is a character that already has another meaning"))
                    .with_setting(*setting)
                    .with_hint("delimiter, quote, escape and comment must differ"));
            }
        }
        Ok(Self::of(delimiter, quote, escape, comment))
    }

    fn of(delimiter: u8, quote: Option<u8>, escape: Option<u8>, comment: Option<u8>) -> Self {
        let mut ends_cell = [false; 256];
        for byte in [delimiter, b'\n', b'\r'] {
            ends_cell[usize::from(byte)] = true;
        }
        Self { delimiter, quote, escape, comment, ends_cell }
    }
}

fn one(setting: &str, text: &str) -> Result<u8> {
    let byte = match text.as_bytes() {
        b"tab" | b"\\t" => b'\t',
        [byte] if byte.is_ascii() => *byte,
        _ => {
            return Err(Error::config(format!("{setting} is not one ASCII character"))
                .with_setting(setting)
                .with_hint("write one character in quotes, or `tab`"));
        }
    };
    if matches!(byte, b'\n' | b'\r' | 0) {
        return Err(Error::config(format!("{setting} cannot be a line break or NUL")).with_setting(setting));
    }
    Ok(byte)
}
