//! The settings of `CSVOutput`.

use std::path::PathBuf;

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::staged_files::{Mode, check_template};

/// Settings of `CSVOutput`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CsvOutputConfig {
    /// The output folder: made when it is missing, owned by this task alone.
    pub(super) path: PathBuf,
    /// How each table's folder below `path` is named; may hold `{catalog}`, `{schema}` and `{table}`. Default: the full name of the table.
    #[serde(default)]
    pub(super) table: Option<String>,
    /// `append` takes inserts only; `changelog` writes every change as a row with the columns `_op` (`I`, `U`, `D`, `T` for a truncation) and `_epoch` in front.
    #[serde(default)]
    pub(super) mode: Mode,
    /// Begin each file with the names of the columns.
    #[serde(default = "yes")]
    pub(super) header: bool,
    /// What stands between cells: one ASCII character, or `tab`.
    #[serde(default = "comma")]
    pub(super) delimiter: String,
    /// Which cells are enclosed in double quotes. NULL never is.
    #[serde(default)]
    pub(super) quote_style: QuoteStyle,
    /// The text that means NULL, without quotes. A cell that happens to be this text is quoted, so that the two can be told apart.
    #[serde(default)]
    pub(super) null_text: String,
    /// Put a `'` before text cells that a spreadsheet would take for a formula (they start with `=`, `+`, `-`, `@`, tab or carriage return). It changes the data: switch it on for files that people open, leave it off for files that programs read.
    #[serde(default)]
    pub(super) formula_guard: bool,
    /// The files' encoding.
    #[serde(default)]
    pub(super) encoding: Encoding,
    /// How the files are compressed.
    #[serde(default)]
    pub(super) compression: FileCompression,
    /// What ends a line.
    #[serde(default)]
    pub(super) line_ending: LineEnding,
    /// Rows per file at most; every epoch starts new files anyway.
    #[serde(default = "default_max_file_rows")]
    pub(super) max_file_rows: u64,
}

/// Which cells are enclosed in quotes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum QuoteStyle {
    /// Those that need it: with delimiters, quotes or line breaks in them, empty texts, and texts equal to `null_text`.
    #[default]
    Necessary,
    /// All texts.
    Text,
    /// All cells.
    Always,
}

/// The files' encoding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-8 with a byte order mark, which some spreadsheets need.
    Utf8Bom,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileCompression {
    /// Not at all.
    #[default]
    None,
    /// With gzip; names end in `.csv.gz`.
    Gzip,
    /// With Zstandard; names end in `.csv.zst`.
    Zstd,
}

/// What ends a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LineEnding {
    /// A line feed.
    #[default]
    Lf,
    /// Carriage return and line feed, as RFC 4180 has it.
    Crlf,
}

fn yes() -> bool {
    true
}

fn comma() -> String {
    ",".to_owned()
}

fn default_max_file_rows() -> u64 {
    50_000_000
}

impl CsvOutputConfig {
    /// The delimiter as a byte.
    pub(super) fn delimiter_byte(&self) -> Result<u8> {
        let byte = match self.delimiter.as_bytes() {
            b"tab" => b'\t',
            [byte] => *byte,
            _ => 0,
        };
        if !byte.is_ascii() || matches!(byte, 0 | b'"' | b'\r' | b'\n') {
            return Err(Error::config("the delimiter is not one ASCII character that can stand between cells")
                .with_setting("delimiter")
                .with_hint("for example `,`, `;`, `|` or `tab`"));
        }
        Ok(byte)
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::config("the output folder has no name").with_setting("path"));
        }
        if self.max_file_rows == 0 {
            return Err(Error::config("a file has at least one row").with_setting("max_file_rows"));
        }
        let delimiter = self.delimiter_byte()?;
        if self.null_text.bytes().any(|byte| byte == delimiter || matches!(byte, b'"' | b'\r' | b'\n')) {
            return Err(Error::config("the text for NULL would need quotes").with_setting("null_text"));
        }
        check_template(self.table.as_deref())
    }
}
