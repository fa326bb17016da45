//! The parts of each value of a column.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use regex::Regex;

use super::config::SplitConfig;
use crate::text::{as_text, has_text};

/// How values are cut.
#[derive(Debug)]
pub(super) enum Cutter {
    Delimiter(String),
    Regex(Regex),
    Array,
}

/// The parts of all values of a column, one behind the other.
pub(super) struct Parts {
    pub(super) values: ArrayRef,
    /// For each row, where its parts begin and end in `values`.
    pub(super) ranges: Vec<(usize, usize)>,
}

/// The type of the parts of a column.
///
/// # Errors
/// `Config` when the column's type cannot be cut so.
pub(super) fn part_type(cutter: &Cutter, column: &str, data_type: &DataType) -> Result<DataType> {
    match (cutter, data_type) {
        (Cutter::Array, DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _)) => {
            Ok(field.data_type().clone())
        }
        (Cutter::Array, other) => {
            Err(Error::config(format!("column {column} has the type {other}, which is no array"))
                .with_setting("by")
                .with_hint("write `by: { delimiter: \",\" }` for a text"))
        }
        (_, other) if has_text(other) => Ok(DataType::Utf8),
        (_, other) => Err(Error::config(format!("column {column} has the type {other}, which has no text"))
            .with_setting("column")
            .with_hint("write `by: array` for an array")),
    }
}

impl Parts {
    /// Cuts every value of a column; NULL has no parts.
    pub(super) fn new(cutter: &Cutter, config: &SplitConfig, column: &ArrayRef) -> Result<Self> {
        match cutter {
            Cutter::Array => elements(column),
            Cutter::Delimiter(delimiter) => texts(config, column, |text, part| {
                text.split(delimiter.as_str()).for_each(part);
            }),
            Cutter::Regex(pattern) => texts(config, column, |text, part| pattern.split(text).for_each(part)),
        }
    }
}

fn texts(config: &SplitConfig, column: &ArrayRef, cut: impl Fn(&str, &mut dyn FnMut(&str))) -> Result<Parts> {
    let texts = as_text(column)?;
    let mut values = StringBuilder::with_capacity(texts.len(), texts.values().len());
    let mut ranges = Vec::with_capacity(texts.len());
    let mut count = 0;
    for row in 0..texts.len() {
        let first = count;
        if texts.is_valid(row) {
            cut(texts.value(row), &mut |part| {
                let part = if config.trim { part.trim() } else { part };
                if !(config.skip_empty && part.is_empty()) {
                    values.append_value(part);
                    count += 1;
                }
            });
        }
        ranges.push((first, count));
    }
    Ok(Parts { values: Arc::new(values.finish()), ranges })
}

fn elements(column: &ArrayRef) -> Result<Parts> {
    let list = match column.data_type() {
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            // The cause would quote a value.
            cast(column, &DataType::List(field.clone()))
                .map_err(|_| Error::new(ErrorKind::Data, "the arrays of one batch do not fit into one array"))?
        }
        _ => column.clone(),
    };
    let list = list.as_list::<i32>();
    let offsets = list.value_offsets();
    let range = |row: usize| match list.is_valid(row) {
        // Offsets are never negative.
        true => (offsets[row] as usize, offsets[row + 1] as usize),
        false => (0, 0),
    };
    Ok(Parts { values: list.values().clone(), ranges: (0..list.len()).map(range).collect() })
}
