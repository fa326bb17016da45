//! Rows as text that cannot steer a terminal.

use std::fmt::Write;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, Op, Result};
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;

use super::config::{ConsoleConfig, Format};

/// What stands for a value that the source did not send.
const ABSENT: &str = "<absent>";

/// The rows of a batch as whole lines in the configured format.
///
/// # Errors
/// `Bug` when Arrow cannot print a type.
pub(super) fn render(batch: &Batch, config: &ConsoleConfig) -> Result<String> {
    let columns = shown_columns(batch, &config.columns);
    match config.format {
        Format::Table => table(batch, &columns, config.cell_chars),
        Format::Json => json(batch, &columns),
        Format::Changelog => changelog(batch, &columns, config.cell_chars),
    }
}

fn shown_columns(batch: &Batch, wanted: &[String]) -> Vec<usize> {
    let schema = batch.relation().columns();
    if wanted.is_empty() {
        return (0..schema.fields().len()).collect();
    }
    wanted.iter().filter_map(|name| schema.index_of(name).ok()).collect()
}

/// The short name of an op, as Flink prints row kinds.
pub(super) const fn short(op: Op) -> &'static str {
    match op {
        Op::Insert => "+I",
        Op::UpdateBefore => "-U",
        Op::UpdateAfter => "+U",
        Op::Delete => "-D",
    }
}

fn unprintable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::bug("cannot print rows").with_source(error)
}

/// True for characters that move the cursor, change colours, break lines or turn the reading direction around.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text with unsafe characters and backslashes as escapes, cut behind `most` characters.
pub(super) fn escaped(text: &str, most: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(most * 4));
    for (i, c) in text.chars().enumerate() {
        if i == most {
            safe.push('…');
            break;
        }
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            '\\' => safe.push_str("\\\\"),
            c if is_unsafe(c) => {
                // Writing to a string does not fail.
                let _ = write!(safe, "\\u{{{:x}}}", c as u32);
            }
            c => safe.push(c),
        }
    }
    safe
}

/// The column with a type that Arrow can print. It knows offsets, but without a time zone database, which a build may
/// leave out, no zone that has a name: instants of such zones are shown in UTC.
fn printable(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Timestamp(unit, Some(zone)) if !zone.starts_with(['+', '-']) => {
            cast(column, &DataType::Timestamp(*unit, Some("+00:00".into()))).map_err(unprintable)
        }
        _ => Ok(column.clone()),
    }
}

/// The cells of one column as safe text.
fn cells(batch: &Batch, column: usize, most: usize) -> Result<Vec<String>> {
    let values = printable(batch.rows().column(column))?;
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(values.as_ref(), &options).map_err(unprintable)?;
    let present = batch.present(column);
    let mut texts = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        texts.push(if present.is_some_and(|mask| !mask.value(row)) {
            ABSENT.to_owned()
        } else if values.is_null(row) {
            "NULL".to_owned()
        } else {
            escaped(&formatter.value(row).try_to_string().map_err(unprintable)?, most)
        });
    }
    Ok(texts)
}

fn table(batch: &Batch, columns: &[usize], most: usize) -> Result<String> {
    let mut fields = Vec::with_capacity(columns.len() + 1);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len() + 1);
    let mut add = |name: String, texts: Vec<String>| {
        fields.push(Field::new(name, DataType::Utf8, false));
        arrays.push(Arc::new(StringArray::from(texts)));
    };
    if !batch.is_append_only() {
        add("op".to_owned(), (0..batch.num_rows()).map(|row| short(batch.op(row)).to_owned()).collect());
    }
    for &column in columns {
        let name = escaped(batch.relation().columns().field(column).name(), most);
        add(name, cells(batch, column, most)?);
    }
    let title = escaped(&batch.relation().name().to_string(), most);
    if arrays.is_empty() {
        return Ok(format!("{title}: {} rows\n", batch.num_rows()));
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(unprintable)?;
    let framed = pretty_format_batches(&[rows]).map_err(unprintable)?;
    Ok(format!("{title}\n{framed}\n"))
}

fn changelog(batch: &Batch, columns: &[usize], most: usize) -> Result<String> {
    let name = escaped(&batch.relation().name().to_string(), most);
    let mut texts = Vec::with_capacity(columns.len());
    for &column in columns {
        let label = escaped(batch.relation().columns().field(column).name(), most);
        texts.push((label, cells(batch, column, most)?));
    }
    let mut lines = String::new();
    for row in 0..batch.num_rows() {
        lines.push_str(short(batch.op(row)));
        lines.push(' ');
        lines.push_str(&name);
        for (i, (label, cells)) in texts.iter().enumerate() {
            lines.push_str(if i == 0 { " " } else { ", " });
            lines.push_str(label);
            lines.push('=');
            lines.push_str(&cells[row]);
        }
        lines.push('\n');
    }
    Ok(lines)
}

fn json(batch: &Batch, columns: &[usize]) -> Result<String> {
    let mut fields = Vec::with_capacity(columns.len() + 1);
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len() + 1);
    if !batch.is_append_only() {
        let ops = StringArray::from_iter_values((0..batch.num_rows()).map(|row| short(batch.op(row))));
        fields.push(Field::new("_op", DataType::Utf8, false));
        arrays.push(Arc::new(ops));
    }
    for &column in columns {
        let values = printable(batch.rows().column(column))?;
        let name = batch.relation().columns().field(column).name();
        fields.push(Field::new(name, values.data_type().clone(), true));
        arrays.push(values);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let rows =
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(unprintable)?;
    let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(&rows).map_err(unprintable)?;
    writer.finish().map_err(unprintable)?;
    let lines = String::from_utf8(writer.into_inner()).map_err(unprintable)?;
    let lines = if batch.has_absent() { without_absent(batch, columns, &lines)? } else { lines };
    Ok(json_safe(&lines))
}

/// Takes the members out that the source did not send.
fn without_absent(batch: &Batch, columns: &[usize], lines: &str) -> Result<String> {
    let mut kept = String::with_capacity(lines.len());
    for (row, line) in lines.lines().enumerate() {
        let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).map_err(unprintable)?;
        for &column in columns {
            if batch.present(column).is_some_and(|mask| !mask.value(row)) {
                object.shift_remove(batch.relation().columns().field(column).name());
            }
        }
        kept.push_str(&serde_json::Value::Object(object).to_string());
        kept.push('\n');
    }
    Ok(kept)
}

/// JSON escapes only control characters below U+0020; the others that a terminal obeys are escaped here.
fn json_safe(lines: &str) -> String {
    let mut safe = String::with_capacity(lines.len());
    for c in lines.chars() {
        if c != '\n' && is_unsafe(c) {
            let _ = write!(safe, "\\u{:04x}", c as u32);
        } else {
            safe.push(c);
        }
    }
    safe
}
