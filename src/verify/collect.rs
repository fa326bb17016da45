//! The sink that `verify` puts in place of the flow's own: folds what would have been written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_model::{
    BadRows, Batch, Claim, Cut, Error, ErrorKind, Op, PreparedCommit, Recorded, RelationName, Result, Sink,
    SinkContext, SinkInput,
};
use arrow::array::{ArrayRef, RecordBatch};
use async_trait::async_trait;
use xxhash_rust::xxh3::xxh3_64;

use super::digest::{BUCKETS, Digester, Sum};

/// Where the columns of a table say which other relations were written into it: see the targets' catalog.
pub(super) const ALSO: &str = "aqueduct.also";

/// What one side holds of one table.
pub(super) struct Table {
    pub(super) digester: Digester,
    /// Other relations whose rows are in the same table of the target.
    also: Vec<RelationName>,
    /// The source has it: it was announced or has rows.
    pub(super) seen: bool,
    pub(super) total: Sum,
    /// Rows that were folded in.
    pub(super) rows_read: u64,
    pub(super) buckets: Vec<Sum>,
    /// In the second pass: the keys of these buckets are kept.
    pub(super) wanted: Vec<bool>,
    pub(super) keys: HashMap<u128, KeyState>,
    /// In a repair: rows of these keys are kept.
    pub(super) wanted_keys: HashMap<u128, ()>,
    pub(super) rows: Vec<RecordBatch>,
}

/// What is known of one key in the second pass.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyState {
    pub(super) sum: Sum,
    /// A sum per column.
    pub(super) columns: Vec<u64>,
    pub(super) text: String,
}

impl Table {
    pub(super) fn new(digester: Digester) -> Self {
        let also = digester.relation().columns().metadata().get(ALSO);
        Self {
            also: also.and_then(|names| serde_json::from_str(names).ok()).unwrap_or_default(),
            digester,
            seen: false,
            total: Sum::default(),
            rows_read: 0,
            buckets: vec![Sum::default(); BUCKETS],
            wanted: Vec::new(),
            keys: HashMap::new(),
            wanted_keys: HashMap::new(),
            rows: Vec::new(),
        }
    }

    /// Folds rows in; `sign` says for each whether it comes or goes.
    pub(super) fn fold(&mut self, batch: &RecordBatch, sign: impl Fn(usize) -> i64) -> Result<()> {
        let aligned = self.digester.align(batch)?;
        self.rows_read += batch.num_rows() as u64;
        let columns = self.digester.canonical(&aligned);
        let digests = self.digester.digest(&columns)?;
        let cells = if self.wanted.is_empty() { Vec::new() } else { self.digester.cells(&columns)? };
        for (i, digest) in digests.iter().enumerate() {
            let sign = sign(i);
            let bucket = digest.bucket();
            self.total.add(digest.row, sign);
            self.buckets[bucket].add(digest.row, sign);
            if self.wanted.get(bucket).copied().unwrap_or(false) {
                let digester = &self.digester;
                let state = self
                    .keys
                    .entry(digest.key)
                    .or_insert_with(|| KeyState { text: digester.key_text(&columns, i), ..KeyState::default() });
                state.sum.add(digest.row, sign);
                state.columns.resize(cells.len(), 0);
                for (sum, cells) in state.columns.iter_mut().zip(&cells) {
                    let digest = xxh3_64(cells.row(i).as_ref());
                    *sum = if sign == 1 { sum.wrapping_add(digest) } else { sum.wrapping_sub(digest) };
                }
            }
            if self.wanted_keys.contains_key(&digest.key) {
                self.keep(&aligned, i)?;
            }
        }
        Ok(())
    }

    /// The names of the columns whose values differ.
    pub(super) fn differing(&self, one: &KeyState, other: &KeyState) -> Vec<String> {
        let fields = self.digester.relation().columns().fields();
        let sums = one.columns.iter().zip(&other.columns);
        fields.iter().zip(sums).filter(|(_, (a, b))| a != b).map(|(field, _)| field.name().clone()).collect()
    }

    fn keep(&mut self, columns: &[ArrayRef], row: usize) -> Result<()> {
        let row = columns.iter().map(|column| column.slice(row, 1)).collect();
        let row = RecordBatch::try_new(self.digester.relation().columns().clone(), row)
            .map_err(|error| Error::bug("a row does not have its table's columns").with_source(error))?;
        self.rows.push(row);
        Ok(())
    }
}

/// All tables of one side, by relation.
pub(super) type Tables = Arc<Mutex<BTreeMap<RelationName, Table>>>;

/// The tables, also after a panic elsewhere: they hold sums that are either whole or thrown away.
pub(super) fn lock(tables: &Tables) -> MutexGuard<'_, BTreeMap<RelationName, Table>> {
    tables.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The table that a relation's rows are in.
fn find<'a>(tables: &'a mut BTreeMap<RelationName, Table>, name: &RelationName) -> Option<&'a mut Table> {
    let name = match tables.contains_key(name) {
        true => name.clone(),
        false => tables.iter().find(|(_, table)| table.also.contains(name))?.0.clone(),
    };
    tables.get_mut(&name)
}

/// See the module.
pub(super) struct Collector {
    pub(super) tables: Tables,
}

#[async_trait]
impl Sink for Collector {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, _: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        let mut tables = lock(&self.tables);
        let batch = match input {
            SinkInput::Batch(batch) => batch,
            SinkInput::Schema(change) => {
                if let Some(table) = find(&mut tables, change.relation.name()) {
                    table.seen = true;
                }
                return Ok(());
            }
        };
        let relation = batch.relation();
        if find(&mut tables, relation.name()).is_none() {
            tables.insert(relation.name().clone(), Table::new(Digester::new(relation.clone())?));
        }
        let Some(table) = find(&mut tables, relation.name()) else { return Ok(()) };
        table.seen = true;
        check_images(&batch)?;
        table.fold(batch.rows(), |i| match batch.op(i) {
            Op::Insert | Op::UpdateAfter => 1,
            Op::UpdateBefore | Op::Delete => -1,
        })
    }

    async fn flush(&mut self, _: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        Ok(None)
    }
}

/// A sum can only take away what it is shown: updates and deletes must carry the whole old row.
fn check_images(batch: &Batch) -> Result<()> {
    let lone = (0..batch.num_rows())
        .any(|i| batch.op(i) == Op::UpdateAfter && (i == 0 || batch.op(i - 1) != Op::UpdateBefore));
    if lone || batch.has_absent() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{} arrives without old images, so its replay cannot be summed up", batch.relation().name()),
        ));
    }
    Ok(())
}
