//! The rows that are held of one table.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cells::Cells;
use super::config::HELD_ROWS_MAX;
use crate::kept_rows;

/// Rows that came in since the last sorting out, before the next one; it is done in one go because each copies.
const UNSORTED_ROWS: usize = 8_192;

/// The rows of one table that are in the sample so far.
///
/// Row number i has a rank that follows from the seed and i; of each group the rows with the lowest ranks stay. So the
/// sample does not depend on how rows are cut into batches, and each row has the same chance.
#[derive(Debug)]
pub(super) struct Held {
    relation: Arc<Relation>,
    /// The columns of the groups; none: all rows are one group.
    by: Vec<usize>,
    rows: RecordBatch,
    /// For each of `rows`.
    entries: Vec<Entry>,
    /// How many rows came in.
    seen: u64,
    /// For each group that is full, the rank that a row must stay under.
    limits: HashMap<Vec<u8>, u64>,
    /// How many of `rows` were left by the last sorting out.
    sorted: usize,
    pending: Vec<RecordBatch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    group: Vec<u8>,
    rank: u64,
    number: u64,
}

/// What is kept over a restart.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    name: RelationName,
    key: Vec<String>,
    version: u32,
    seen: u64,
    numbers: Vec<u64>,
    rows: String,
}

impl Held {
    /// Holds nothing yet.
    ///
    /// # Errors
    /// `Config` when a column of the groups does not exist.
    pub(super) fn new(relation: &Arc<Relation>, by: &[String]) -> Result<Self> {
        let by = by.iter().map(|name| super::reservoir::group_column(relation, name)).collect::<Result<_>>()?;
        Ok(Self {
            relation: relation.clone(),
            by,
            rows: RecordBatch::new_empty(relation.columns().clone()),
            entries: Vec::new(),
            seen: 0,
            limits: HashMap::new(),
            sorted: 0,
            pending: Vec::new(),
        })
    }

    pub(super) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Takes rows in. `each`: how many rows of a group stay.
    ///
    /// # Errors
    /// `Data` when the groups together hold too many rows.
    pub(super) fn take_in(&mut self, batch: &Batch, each: usize, seed: u64) -> Result<()> {
        let cells = Cells::new(batch, &self.by)?;
        let mut wanted: Vec<u32> = Vec::new();
        let mut group = Vec::new();
        for row in 0..batch.num_rows() {
            let number = self.seen;
            self.seen += 1;
            let rank = xxh3_64_with_seed(&number.to_le_bytes(), seed);
            cells.write(row, &mut group);
            if self.limits.get(&group).is_some_and(|limit| rank >= *limit) {
                continue;
            }
            wanted.push(row as u32);
            self.entries.push(Entry { group: group.clone(), rank, number });
        }
        let failed = |error| Error::bug("cannot pick rows of a batch").with_source(error);
        if !wanted.is_empty() {
            self.pending.push(take_record_batch(batch.rows(), &UInt32Array::from(wanted)).map_err(failed)?);
        }
        if self.entries.len() >= self.sorted * 2 + UNSORTED_ROWS {
            self.sort_out(each)?;
        }
        Ok(())
    }

    /// Leaves the rows with the lowest ranks of each group, in the order in which they came in.
    ///
    /// # Errors
    /// `Data` when they are too many.
    pub(super) fn sort_out(&mut self, each: usize) -> Result<()> {
        let failed = |error| Error::bug("cannot hold rows of a sample").with_source(error);
        let mut groups: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (i, entry) in self.entries.iter().enumerate() {
            groups.entry(&entry.group).or_default().push(i);
        }
        let mut limits = HashMap::new();
        let mut stay: Vec<usize> = Vec::new();
        for (group, mut members) in groups {
            // Two rows of one rank are told apart by their numbers.
            members.sort_by_key(|&i| (self.entries[i].rank, self.entries[i].number));
            members.truncate(each);
            if let (true, Some(&last)) = (members.len() == each, members.last()) {
                limits.insert(group.to_vec(), self.entries[last].rank);
            }
            stay.extend(members);
        }
        if stay.len() > HELD_ROWS_MAX {
            let text = format!("the groups of {} together hold more than {HELD_ROWS_MAX} rows", self.relation.name());
            return Err(Error::new(ErrorKind::Data, text)
                .with_setting("take.stratified.rows")
                .with_hint("take fewer rows of each group, or group by a column with fewer values"));
        }
        stay.sort_unstable();
        let parts: Vec<RecordBatch> = std::iter::once(self.rows.clone()).chain(self.pending.drain(..)).collect();
        let all = concat_batches(self.relation.columns(), &parts).map_err(failed)?;
        let places = UInt32Array::from_iter_values(stay.iter().map(|&i| i as u32));
        self.rows = take_record_batch(&all, &places).map_err(failed)?;
        self.entries = stay.iter().map(|&i| self.entries[i].clone()).collect();
        (self.sorted, self.limits) = (self.entries.len(), limits);
        Ok(())
    }

    /// The rows, after [`Held::sort_out`].
    pub(super) fn batch(&self) -> Result<Batch> {
        Batch::inserts(self.relation.clone(), self.rows.clone())
    }

    /// What to keep over a restart, after [`Held::sort_out`].
    pub(super) fn kept(&self) -> Result<Kept> {
        Ok(Kept {
            name: self.relation.name().clone(),
            key: self.relation.key_names().into_iter().map(str::to_owned).collect(),
            version: self.relation.version(),
            seen: self.seen,
            numbers: self.entries.iter().map(|entry| entry.number).collect(),
            rows: kept_rows::write(&self.rows)?,
        })
    }

    /// Reads what [`Held::kept`] wrote.
    ///
    /// # Errors
    /// `State` when it did not.
    pub(super) fn restore(kept: &Kept, by: &[String], seed: u64) -> Result<Self> {
        let rows = kept_rows::read(&kept.rows)?;
        let relation = Relation::new(kept.name.clone(), rows.schema(), &kept.key, kept.version)?;
        let mut held = Self::new(&Arc::new(relation), by)?;
        held.rows = rows;
        if held.rows.num_rows() != kept.numbers.len() {
            return Err(Error::new(ErrorKind::State, "the state of a sample has lost rows"));
        }
        let cells = Cells::new(&held.batch()?, &held.by)?;
        for (row, number) in kept.numbers.iter().enumerate() {
            let mut group = Vec::new();
            cells.write(row, &mut group);
            let rank = xxh3_64_with_seed(&number.to_le_bytes(), seed);
            held.entries.push(Entry { group, rank, number: *number });
        }
        (held.seen, held.sorted) = (kept.seen, held.entries.len());
        Ok(held)
    }
}
