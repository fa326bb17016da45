//! Arrow values to CSV cells.

use std::fmt;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::sink_config::{CsvOutputConfig, LineEnding, QuoteStyle};

/// How cells are written.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) delimiter: u8,
    pub(super) line_ending: &'static [u8],
    quote_style: QuoteStyle,
    null_text: String,
    formula_guard: bool,
}

impl Style {
    pub(super) fn new(config: &CsvOutputConfig) -> Result<Self> {
        Ok(Self {
            delimiter: config.delimiter_byte()?,
            line_ending: match config.line_ending {
                LineEnding::Lf => b"\n",
                LineEnding::Crlf => b"\r\n",
            },
            quote_style: config.quote_style,
            null_text: config.null_text.clone(),
            formula_guard: config.formula_guard,
        })
    }
}

enum Column<'a> {
    Text(StringArray),
    Other { values: &'a ArrayRef, formatter: ArrayFormatter<'a> },
}

/// The values with types that can be shown.
///
/// Instants are shown in UTC: this build has no time zone database, and would refuse any name, `UTC` too.
fn showable(rows: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let mut columns = Vec::with_capacity(rows.num_columns());
    for values in rows.columns() {
        columns.push(match values.data_type() {
            DataType::Timestamp(unit, Some(_)) => cast(values, &DataType::Timestamp(*unit, Some("+00:00".into())))?,
            DataType::LargeUtf8 | DataType::Utf8View => cast(values, &DataType::Utf8)?,
            DataType::Dictionary(_, plain) => cast(values, plain)?,
            _ => values.clone(),
        });
    }
    Ok(columns)
}

/// The values of a batch, kept while [`Cells`] writes them.
pub(super) struct Shown(Vec<ArrayRef>);

impl Shown {
    /// # Errors
    /// `Schema` when a column's values cannot be shown as texts.
    pub(super) fn new(rows: &RecordBatch) -> Result<Self> {
        showable(rows).map(Self).map_err(unfit)
    }
}

fn unfit(error: ArrowError) -> Error {
    Error::new(ErrorKind::Schema, "a column has no place in a CSV cell").with_source(error)
}

/// The rows of a batch, ready to be written.
pub(super) struct Cells<'a> {
    columns: Vec<Column<'a>>,
    style: &'a Style,
}

impl<'a> Cells<'a> {
    /// # Errors
    /// `Schema` when a column's values cannot be shown as texts.
    pub(super) fn new(rows: &'a Shown, style: &'a Style) -> Result<Self> {
        const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);
        let mut columns = Vec::with_capacity(rows.0.len());
        for values in &rows.0 {
            columns.push(match values.as_string_opt::<i32>() {
                Some(text) => Column::Text(text.clone()),
                None => {
                    let formatter = ArrayFormatter::try_new(values.as_ref(), &OPTIONS).map_err(unfit)?;
                    Column::Other { values, formatter }
                }
            });
        }
        Ok(Self { columns, style })
    }

    /// Writes one line; the number of the column whose value cannot be written otherwise.
    pub(super) fn write(&self, row: usize, line: &mut Vec<u8>) -> Result<(), usize> {
        for (i, column) in self.columns.iter().enumerate() {
            if i > 0 {
                line.push(self.style.delimiter);
            }
            match column {
                Column::Text(texts) if texts.is_null(row) => line.extend_from_slice(self.style.null_text.as_bytes()),
                Column::Text(texts) => quoted(line, texts.value(row), self.style),
                Column::Other { values, .. } if values.is_null(row) => {
                    line.extend_from_slice(self.style.null_text.as_bytes());
                }
                Column::Other { formatter, .. } => {
                    // Numbers, times and hexadecimal bytes hold no quote; a delimiter such as `-` or `:` is possible.
                    let start = line.len();
                    formatter.value(row).write(&mut Text(line)).map_err(|_| i)?;
                    let cell = &line[start..];
                    let quote = self.style.quote_style == QuoteStyle::Always
                        || cell.contains(&self.style.delimiter)
                        || cell == self.style.null_text.as_bytes();
                    if quote {
                        line.insert(start, b'"');
                        line.push(b'"');
                    }
                }
            }
        }
        line.extend_from_slice(self.style.line_ending);
        Ok(())
    }
}

/// Writes a text, guarded and in quotes where the style or the text asks for it.
pub(super) fn quoted(line: &mut Vec<u8>, text: &str, style: &Style) {
    let bytes = text.as_bytes();
    let guard = style.formula_guard && matches!(bytes.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
    let quote = style.quote_style != QuoteStyle::Necessary
        || bytes.is_empty()
        || text == style.null_text
        // Readers may trim what is not quoted, and take a first `#` for a comment.
        || matches!(bytes.first(), Some(b' ' | b'\t' | b'#'))
        || matches!(bytes.last(), Some(b' ' | b'\t'))
        || bytes.iter().any(|&byte| byte == style.delimiter || matches!(byte, b'"' | b'\r' | b'\n'));
    if quote {
        line.push(b'"');
    }
    if guard {
        line.push(b'\'');
    }
    if quote {
        for &byte in bytes {
            if byte == b'"' {
                line.push(b'"');
            }
            line.push(byte);
        }
        line.push(b'"');
    } else {
        line.extend_from_slice(bytes);
    }
}

/// Lets a formatter write to bytes.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
