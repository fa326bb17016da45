//! Changes of the log on top of chunks that do not show them, key by key.

use std::collections::HashMap;

use aqueduct_model::{Batch, Error, ErrorKind, Op, Relation, Result};
use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave, take_record_batch};
use std::sync::Arc;

use super::order::{KeyBytes, keys_of, regions};
use super::past::Table;
use super::{Key, Shown, System};

/// Changed rows that are kept in memory at most, in bytes.
const BYTES_MAX: usize = 512 << 20;

/// What became of the rows of one table since its chunks were read.
#[derive(Default)]
pub(super) struct Folded {
    /// By key: the row as it is now, `None` when it is gone.
    rows: HashMap<Vec<u8>, Option<RecordBatch>>,
    /// Keys whose row has values that the log did not send: by column, true where the value is there.
    partial: HashMap<Vec<u8>, Vec<bool>>,
    /// Changes of a table without a key.
    changes: Vec<Batch>,
    converter: Option<KeyBytes>,
    bytes: usize,
}

/// For each row, the chunk of the table that it lies in.
pub(super) async fn chunks_of<S: System>(
    table: &Table<S>,
    batch: &Batch,
    reader: Option<&mut S::Reader>,
) -> Result<Vec<usize>> {
    let relation = batch.relation();
    if relation.key().is_empty() {
        return Ok(vec![0; batch.num_rows()]);
    }
    let keys = keys_of(relation, batch.rows())?;
    let edges: Vec<&Key> = table.chunks.iter().filter_map(|chunk| chunk.range.up_to.as_ref()).collect();
    regions(relation, &keys, &edges, reader).await
}

/// Keeps those changes of a batch that the chunks do not show.
///
/// # Errors
/// `Unavailable` when it cannot be told whether a chunk shows them.
pub(super) fn fold_in<S: System>(
    system: &S,
    table: &mut Table<S>,
    batch: &Batch,
    transaction: &S::Transaction,
    chunks: &[usize],
) -> Result<()> {
    let mut mask = Vec::with_capacity(chunks.len());
    for &index in chunks {
        let chunk = table.chunks.get(index).ok_or_else(|| Error::bug("a key lies behind the last chunk"))?;
        mask.push(match system.shown(&chunk.seen.sight, transaction) {
            Shown::Yes => false,
            Shown::No => true,
            Shown::Unknown => return Err(vague(batch.relation())),
        });
    }
    if let Some(sums) = &mut table.sums {
        return sums.fold(batch, &mask);
    }
    let kept = batch.select(&BooleanArray::from(mask))?;
    if kept.num_rows() > 0 { table.folded.add(kept) } else { Ok(()) }
}

fn vague(relation: &Relation) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{} was written to while it was read", relation.name()))
        .with_hint("verify again")
}

impl Folded {
    fn add(&mut self, batch: Batch) -> Result<()> {
        self.bytes += batch.memory_bytes();
        if self.bytes > BYTES_MAX {
            let text = format!("more than {} MiB of changes since the source was read", BYTES_MAX >> 20);
            return Err(Error::new(ErrorKind::Unavailable, text).with_hint("verify at a quieter time"));
        }
        if batch.relation().key().is_empty() {
            self.changes.push(batch);
            return Ok(());
        }
        let keys = self.keys(&batch)?;
        for (i, key) in keys.into_iter().enumerate() {
            match batch.op(i) {
                Op::UpdateBefore | Op::Delete => {
                    self.partial.remove(&key);
                    self.rows.insert(key, None);
                }
                Op::Insert | Op::UpdateAfter => self.put(key, &batch, i)?,
            }
        }
        Ok(())
    }

    fn put(&mut self, key: Vec<u8>, batch: &Batch, i: usize) -> Result<()> {
        let row = compact(&batch.rows().slice(i, 1))?;
        let columns = 0..batch.rows().num_columns();
        let present: Vec<bool> = columns.map(|column| batch.present(column).is_none_or(|mask| mask.value(i))).collect();
        if present.iter().all(|present| *present) {
            self.partial.remove(&key);
            self.rows.insert(key, Some(row));
            return Ok(());
        }
        // What is absent is as it was: in an earlier change, else in the chunk.
        match self.rows.get(&key) {
            Some(Some(before)) => {
                let merged = merge(&row, before, &present)?;
                if let Some(known) = self.partial.get_mut(&key) {
                    known.iter_mut().zip(&present).for_each(|(known, present)| *known |= present);
                }
                self.rows.insert(key, Some(merged));
            }
            _ => {
                self.partial.insert(key.clone(), present);
                self.rows.insert(key, Some(row));
            }
        }
        Ok(())
    }

    fn keys(&mut self, batch: &Batch) -> Result<Vec<Vec<u8>>> {
        let keys = keys_of(batch.relation(), batch.rows())?;
        if self.converter.is_none() {
            self.converter = Some(KeyBytes::new(&keys)?);
        }
        let Some(converter) = &self.converter else { return Err(Error::bug("the converter was just made")) };
        Ok(converter.bytes(&keys)?.iter().map(|key| key.as_ref().to_vec()).collect())
    }

    /// The rows of a chunk that did not change; what others lack is taken from them on the way.
    pub(super) fn untouched(&mut self, batch: &Batch) -> Result<Batch> {
        if self.rows.is_empty() {
            return Ok(batch.clone());
        }
        let keys = self.keys(batch)?;
        let mut mask = Vec::with_capacity(keys.len());
        for (i, key) in keys.iter().enumerate() {
            mask.push(!self.rows.contains_key(key));
            if let Some(present) = self.partial.remove(key)
                && let Some(Some(row)) = self.rows.get(key)
            {
                let merged = merge(row, &batch.rows().slice(i, 1), &present)?;
                self.rows.insert(key.clone(), Some(merged));
            }
        }
        batch.select(&BooleanArray::from(mask))
    }

    /// The rows that changed, as they are now; to be asked for behind the chunks.
    pub(super) fn rest(&self, relation: &Arc<Relation>) -> Result<Vec<Batch>> {
        let mut all = self.changes.clone();
        if !self.partial.is_empty() {
            return Err(vague(relation));
        }
        let rows: Vec<RecordBatch> = self.rows.values().flatten().cloned().collect();
        if !rows.is_empty() {
            let rows = concat_batches(relation.columns(), &rows).map_err(unfit)?;
            all.push(Batch::inserts(relation.clone(), rows)?);
        }
        Ok(all)
    }
}

/// `new` with the values of `old` where it has none.
fn merge(new: &RecordBatch, old: &RecordBatch, present: &[bool]) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(present.len());
    for (column, present) in present.iter().enumerate() {
        let source = if *present { new } else { old };
        columns.push(interleave(&[source.column(column).as_ref() as &dyn Array], &[(0, 0)]).map_err(unfit)?);
    }
    RecordBatch::try_new(new.schema(), columns).map_err(unfit)
}

/// A row of its own, not a window on a large batch.
fn compact(row: &RecordBatch) -> Result<RecordBatch> {
    take_record_batch(row, &UInt32Array::from(vec![0])).map_err(unfit)
}

/// True when a cut before row `at` would part the halves of an update.
pub(super) fn parts_update(batch: &Batch, at: usize) -> bool {
    at < batch.num_rows() && at > 0 && batch.op(at - 1) == Op::UpdateBefore
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("rows of one table do not fit together").with_source(error)
}
