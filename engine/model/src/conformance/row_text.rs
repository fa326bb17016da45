//! Rows as texts, so that rows of any plugin can be compared.

use std::collections::BTreeMap;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};

use crate::bad_row::showable;
use crate::{Batch, Error, Op, Result};

/// What stands for NULL in a row's text.
pub const NULL_TEXT: &str = "NULL";

/// A target's content: by table, the text of each row.
///
/// A row's text is its column values in order, joined by `|`, NULL as [`NULL_TEXT`]: `7|anna|NULL`. The suite sorts
/// rows, drops empty tables and fills up rows that are short of columns (added later) with NULLs before it compares.
pub type Tables = BTreeMap<String, Vec<String>>;

/// The rows of an Arrow batch as texts in the form of [`Tables`].
///
/// # Errors
/// `Bug` for a column whose values cannot be shown.
pub fn record_texts(rows: &RecordBatch) -> Result<Vec<String>> {
    let options = FormatOptions::default().with_null(NULL_TEXT);
    let failed = |error| Error::bug("cannot show a column's values").with_source(error);
    let shown: Vec<ArrayRef> = rows.columns().iter().map(showable).collect();
    let mut columns = Vec::with_capacity(shown.len());
    for column in &shown {
        columns.push(ArrayFormatter::try_new(column.as_ref(), &options).map_err(failed)?);
    }
    let mut texts = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let cells: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
        texts.push(cells.join("|"));
    }
    Ok(texts)
}

/// The rows of a batch as `table op row` texts; columns that are absent are named behind it.
///
/// # Errors
/// `Bug` for a column whose values cannot be shown.
pub fn batch_texts(batch: &Batch) -> Result<Vec<String>> {
    let mut texts = record_texts(batch.rows())?;
    for (row, text) in texts.iter_mut().enumerate() {
        let op = match batch.op(row) {
            Op::Insert => "insert",
            Op::UpdateBefore => "before",
            Op::UpdateAfter => "after",
            Op::Delete => "delete",
        };
        let absent: Vec<&str> = (0..batch.rows().num_columns())
            .filter(|&column| batch.present(column).is_some_and(|present| !present.value(row)))
            .map(|column| batch.relation().columns().field(column).name().as_str())
            .collect();
        let absent = if absent.is_empty() { String::new() } else { format!(" without {}", absent.join(",")) };
        *text = format!("{} {op} {text}{absent}", batch.relation().name());
    }
    Ok(texts)
}

/// Sorted, equally wide, without empty tables.
pub(super) fn normal(mut tables: Tables) -> Tables {
    tables.retain(|_, rows| !rows.is_empty());
    for rows in tables.values_mut() {
        let width = rows.iter().map(|row| row.matches('|').count()).max().unwrap_or(0);
        for row in rows.iter_mut() {
            for _ in row.matches('|').count()..width {
                row.push('|');
                row.push_str(NULL_TEXT);
            }
        }
        rows.sort();
    }
    tables
}
