//! The row that is looked for, and the batches that it stands in.

use aqueduct_model::{Batch, Error, Op, Relation, Result};

use crate::testing::cells;

/// The key of a row: `42` for a table with one key column, else `region=north,id=42`.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// By column; no name stands for the only column of a key.
    parts: Vec<(Option<String>, String)>,
    /// The tables of sources to look in, as a pattern.
    table: Option<String>,
}

/// Where a key is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// In what a source gives.
    Source,
    /// In what a task gives later: by columns that are named only, because another table's key is another thing.
    Later,
}

impl Key {
    /// Reads a key as it is typed.
    ///
    /// # Errors
    /// `Config` when it is neither a value nor `column=value` pairs.
    pub(crate) fn parse(text: &str, table: Option<&str>) -> Result<Self> {
        let mut parts = Vec::new();
        for part in text.split(',') {
            match part.split_once('=') {
                Some((column, value)) => parts.push((Some(column.trim().to_owned()), value.to_owned())),
                None if !text.contains('=') => {
                    return Ok(Self { parts: vec![(None, text.to_owned())], table: table.map(str::to_owned) });
                }
                None => {
                    return Err(Error::config("the key mixes values with and without a column")
                        .with_hint("write one value, or `column=value` pairs: region=north,id=42"));
                }
            }
        }
        Ok(Self { parts, table: table.map(str::to_owned) })
    }

    /// The columns that the key names in a table, with their values; `None` where the table is another one.
    fn columns(&self, relation: &Relation, place: Where) -> Option<Vec<(usize, &str)>> {
        if place == Where::Source && self.table.as_ref().is_some_and(|pattern| !relation.name().matches(pattern)) {
            return None;
        }
        let mut columns = Vec::new();
        for (name, value) in &self.parts {
            let index = match (name, relation.key()) {
                (Some(name), _) => relation.columns().index_of(name).ok()?,
                (None, [only]) if place == Where::Source => *only,
                (None, _) => return None,
            };
            columns.push((index, value.as_str()));
        }
        Some(columns)
    }

    /// A batch cut into parts, in order; true for those that hold the row, and nothing else. The halves of an update stay
    /// together.
    pub(super) fn cut(&self, batch: &Batch, place: Where) -> Vec<(Batch, bool)> {
        let Some(columns) = self.columns(batch.relation(), place) else { return vec![(batch.clone(), false)] };
        let texts: Vec<(Vec<Option<String>>, &str)> =
            columns.into_iter().map(|(index, value)| (cells(batch.rows().column(index)), value)).collect();
        let is_row = |row: usize| texts.iter().all(|(texts, value)| texts[row].as_deref() == Some(value));
        let mut parts: Vec<(usize, usize, bool)> = Vec::new();
        let mut row = 0;
        while row < batch.num_rows() {
            let length = if batch.op(row) == Op::UpdateBefore { 2 } else { 1 };
            let found = (row..row + length).any(is_row);
            match parts.last_mut() {
                Some((_, count, false)) if !found => *count += length,
                _ => parts.push((row, length, found)),
            }
            row += length;
        }
        match parts[..] {
            [(_, _, false)] | [] => vec![(batch.clone(), false)],
            _ => parts.into_iter().map(|(from, count, found)| (batch.slice(from, count), found)).collect(),
        }
    }
}
