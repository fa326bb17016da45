//! Columns and types from the first lines.

use aqueduct_model::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::scan::{JsonScanner, WholeLines};
use crate::text_files::{COLUMNS_MAX, ColumnType, FileSettings, Guess, Limits, Reader, Scanner, TextFile, open_file};

/// Text that is looked at, at once.
const INFER_BYTES: usize = 4 << 20;

/// The fields of the outermost objects of the first `rows` lines in the order in which they appear, with types. `None`
/// when no line is an object (yet).
///
/// # Errors
/// `Schema` for more fields than columns are possible; and those of reading.
pub(super) fn infer(path: &str, files: &FileSettings, rows: usize) -> Result<Option<Vec<(String, ColumnType)>>> {
    let mut names: Vec<String> = Vec::new();
    for_each_batch(path, files, rows, WholeLines, 1, |reader| {
        let lines = reader.records(1)?;
        for (line, _) in lines.column(0) {
            let Ok(object) = serde_json::from_str::<Map<String, Value>>(line) else { continue };
            names.extend(object.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        }
        Ok(())
    })?;
    if names.is_empty() {
        return Ok(None);
    }
    if names.len() > COLUMNS_MAX {
        return Err(Error::new(ErrorKind::Schema, format!("{path} has more than {COLUMNS_MAX} fields"))
            .with_setting("columns")
            .with_hint("name the fields to read in `columns`"));
    }
    let mut scanner = JsonScanner::default();
    for name in &names {
        scanner.place(&[name]);
    }
    let mut guesses = vec![Guess::default(); names.len()];
    for_each_batch(path, files, rows, scanner, names.len(), |reader| {
        let records = reader.records(names.len())?;
        for (column, guess) in guesses.iter_mut().enumerate() {
            for (text, is_quoted) in records.column(column) {
                *guess = match (is_quoted, text) {
                    (true, text) => guess.and_quoted(text),
                    (false, "") => *guess,
                    (false, text) => guess.and(text),
                };
            }
        }
        Ok(())
    })?;
    Ok(Some(names.into_iter().zip(guesses.into_iter().map(|guess| ColumnType(guess.data_type()))).collect()))
}

fn for_each_batch<S: Scanner>(
    path: &str,
    files: &FileSettings,
    rows: usize,
    scanner: S,
    width: usize,
    mut see: impl FnMut(&Reader<S>) -> Result<()>,
) -> Result<()> {
    let mut reader = Reader::new(path, scanner, TextFile::new(path, open_file(path)?, files.format)?);
    loop {
        let limits = Limits {
            rows: rows - (reader.place().2 as usize).min(rows),
            bytes: INFER_BYTES,
            until: None,
            last: !files.watch,
            width: Some(width),
            line_bytes: files.max_line_bytes,
        };
        if limits.rows == 0 {
            return Ok(());
        }
        let more = reader.read(&limits)?;
        see(&reader)?;
        if !more {
            return Ok(());
        }
    }
}
