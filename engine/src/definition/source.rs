//! The text of a flow file, its format and its lines.

use std::io::Read;
use std::path::Path;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::message;
use super::node::Span;

/// A larger flow file is refused before it is read.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// How a flow file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON, strictly.
    Json,
    /// XML, see the module `xml`.
    Xml,
}

/// The text of a flow file.
#[derive(Debug, Clone)]
pub struct Source {
    path: String,
    text: String,
    format: Format,
    line_starts: Vec<usize>,
    /// How many characters begin before each multiple of [`BLOCK_BYTES`]: a file may be one line of a mebibyte, and
    /// counting from its beginning for every token would take minutes.
    chars_before: Vec<usize>,
}

/// See [`Source::chars_before`].
const BLOCK_BYTES: usize = 256;

impl Source {
    /// Reads a file of at most [`FILE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// One diagnostic at 1:1 when the file cannot be read or is too large; at its place when it is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        let shown = path.display().to_string();
        let refuse = |message| Diagnostics::from(Diagnostic::whole_file(&shown, message));
        let io = |error: std::io::Error| refuse(message::cannot_read(&error));
        let file = std::fs::File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(refuse(message::is_a_folder()));
        }
        if metadata.len() > FILE_BYTES_MAX {
            return Err(refuse(message::too_large(FILE_BYTES_MAX)));
        }
        let mut bytes = Vec::new();
        // The file may be a pipe or still growing, so its length is not trusted.
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::new(&shown, &bytes)
    }

    /// Takes text that was read elsewhere; `path` is shown in messages and its ending decides the format.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn new(path: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(Diagnostic::whole_file(path, message::too_large(FILE_BYTES_MAX)).into());
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(error) => return Err(not_utf8(path, bytes, error.valid_up_to())),
        };
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let blocks = text.as_bytes().chunks(BLOCK_BYTES).scan(0, |count, block| {
            let before = *count;
            *count += chars_in(block);
            Some(before)
        });
        let chars_before = blocks.chain([text.chars().count()]).collect();
        let format = format_of(path, &text);
        Ok(Self { path: path.to_owned(), text, format, line_starts, chars_before })
    }

    /// The path as it was given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The whole text, without a byte order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How the text is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The span between two byte offsets.
    pub fn span(&self, start: usize, end: usize) -> Span {
        let start = floor_char(&self.text, start);
        let line = self.line_starts.partition_point(|&at| at <= start).max(1);
        let line_start = self.line_starts[line - 1];
        let column = self.chars_before(start) - self.chars_before(line_start) + 1;
        Span { line, column, offset: start, len: end.saturating_sub(start) }
    }

    fn chars_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK_BYTES;
        self.chars_before[block] + chars_in(&self.text.as_bytes()[block * BLOCK_BYTES..offset])
    }

    /// The byte at which a line begins; the end of the text for a line that does not exist.
    pub(super) fn line_start(&self, line: usize) -> usize {
        line.checked_sub(1).and_then(|index| self.line_starts.get(index)).copied().unwrap_or(self.text.len())
    }

    /// One line, from 1, without its line break.
    pub fn line(&self, line: usize) -> Option<&str> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        let end = self.line_starts.get(line).map_or(self.text.len(), |next| next - 1);
        Some(self.text[start..end].trim_end_matches('\r'))
    }

    /// The text of a span; empty when it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.offset..span.offset + span.len).unwrap_or_default()
    }
}

/// How many characters begin in a piece of UTF-8.
fn chars_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The nearest character boundary at or below an offset.
fn floor_char(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn not_utf8(path: &str, bytes: &[u8], at: usize) -> Diagnostics {
    let before = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut diagnostic = Diagnostic::whole_file(path, message::not_utf8(bytes[at]));
    (diagnostic.line, diagnostic.column) = (line, column);
    diagnostic.into()
}

/// By the ending of the path, else by the first character that is not blank.
fn format_of(path: &str, text: &str) -> Format {
    let ending =
        Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match (ending.as_str(), text.trim_start().chars().next()) {
        ("yaml" | "yml", _) => Format::Yaml,
        ("json", _) => Format::Json,
        ("xml", _) => Format::Xml,
        (_, Some('{')) => Format::Json,
        (_, Some('<')) => Format::Xml,
        _ => Format::Yaml,
    }
}
