//! Samples that are decided upon row by row.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Error, ErrorKind, Relation, RelationName, Result, State};
use arrow::array::BooleanArray;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::{Cells, has_bytes};
use super::config::Bernoulli;
use crate::verdicts::Refused;

/// The most tables whose rows are counted.
const TABLES_MAX: usize = 10_000;

/// Counts the rows of each table.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<RelationName, u64>);

impl Counts {
    /// Reads what [`Counts::state`] wrote.
    ///
    /// # Errors
    /// `State` when it did not.
    pub(super) fn restore(state: &State) -> Result<Self> {
        if state.0.is_empty() {
            return Ok(Self::default());
        }
        let counts: Vec<(RelationName, u64)> = serde_json::from_slice(&state.0)
            .map_err(|error| Error::new(ErrorKind::State, "cannot read the state of a sample").with_source(error))?;
        Ok(Self(counts.into_iter().collect()))
    }

    /// What to keep over a restart.
    pub(super) fn state(&self) -> Result<State> {
        let counts: Vec<(&RelationName, &u64)> = self.0.iter().collect();
        let bytes = serde_json::to_vec(&counts)
            .map_err(|error| Error::bug("cannot write the state of a sample").with_source(error))?;
        Ok(State(bytes))
    }

    /// Counts the rows of a batch on: the number of the first of them, from 0.
    fn advance(&mut self, batch: &Batch) -> Result<u64> {
        let name = batch.relation().name();
        if !self.0.contains_key(name) && self.0.len() == TABLES_MAX {
            return Err(Error::new(ErrorKind::Data, format!("samples of more than {TABLES_MAX} tables"))
                .with_setting("take")
                .with_hint("use `bernoulli`, which counts nothing, or limit the task by `tables: […]`"));
        }
        let count = self.0.entry(name.clone()).or_default();
        let first = *count;
        *count = count.saturating_add(batch.num_rows() as u64);
        Ok(first)
    }

    /// The rows that are among the first `rows` of their table.
    pub(super) fn first(&mut self, batch: &Batch, rows: u64) -> Result<Batch> {
        let first = self.advance(batch)?;
        let left = usize::try_from(rows.saturating_sub(first)).unwrap_or(usize::MAX);
        Ok(batch.slice(0, left.min(batch.num_rows())))
    }

    /// Rows 0, `step`, 2 * `step` … of their table.
    pub(super) fn every(&mut self, batch: &Batch, step: u64) -> Result<Batch> {
        let first = self.advance(batch)?;
        let keep = (0..batch.num_rows() as u64).map(|row| first.saturating_add(row).is_multiple_of(step));
        batch.select(&BooleanArray::from(keep.collect::<Vec<_>>()))
    }
}

/// The columns of a relation that decide on a row.
///
/// # Errors
/// `Config` when a column does not exist, may change, or has a type whose values cannot be told apart.
pub(super) fn deciding(bernoulli: &Bernoulli, relation: &Relation) -> Result<Vec<usize>> {
    let key = relation.key();
    let columns: Vec<usize> = match bernoulli.by.is_empty() {
        false => {
            bernoulli.by.iter().map(|name| relation.column(name).map(|(index, _)| index)).collect::<Result<_>>()?
        }
        true if key.is_empty() => (0..relation.columns().fields().len()).collect(),
        true => key.to_vec(),
    };
    for column in &columns {
        let field = relation.columns().field(*column);
        if !key.is_empty() && !key.contains(column) {
            let key = relation.key_names().join(", ");
            return Err(Error::config(format!("{} is not a key column of {}", field.name(), relation.name()))
                .with_hint(format!(
                    "the key is ({key}); when another column changes, nobody knows where its row went"
                )));
        }
        if !has_bytes(field.data_type()) {
            let text = format!("values of {} ({}) cannot be told apart", field.name(), field.data_type());
            return Err(Error::config(text).with_hint("name other columns: `by: [id]`"));
        }
    }
    Ok(columns)
}

/// The rows whose hash falls under the percentage; and those of which a deciding value was not sent.
pub(super) fn by_hash(batch: &Batch, columns: &[usize], percent: f64, seed: u64) -> Result<(Batch, Refused)> {
    // 2^64 hashes; a percentage of 100 lets all of them through.
    let limit = (percent / 100.0 * (u64::MAX as f64 + 1.0)) as u128;
    let cells = Cells::new(batch, columns)?;
    let (mut keep, mut refused) = (Vec::with_capacity(batch.num_rows()), Vec::new());
    let mut bytes = Vec::new();
    for row in 0..batch.num_rows() {
        let absent = columns.iter().find(|&&column| batch.present(column).is_some_and(|present| !present.value(row)));
        if let Some(&column) = absent {
            let name = batch.relation().columns().field(column).name();
            refused.push((row, format!("the source did not send the value of {name}, which decides on the row")));
        }
        cells.write(row, &mut bytes);
        keep.push(absent.is_none() && u128::from(xxh3_64_with_seed(&bytes, seed)) < limit);
    }
    Ok((batch.select(&BooleanArray::from(keep))?, refused))
}
