//! Which rows of a batch go on, with changelogs kept right.

use aqueduct_model::{BadRow, Batch, Error, Op, Ops, Output, Result};
use arrow::array::{BooleanArray, UInt8Array};

/// Refused rows by index, rising, with a reason free of cell values.
pub(crate) type Refused = Vec<(usize, String)>;

/// For each row of a batch: does it go on, is it left out, or is it refused?
#[derive(Debug)]
pub(crate) struct Verdicts {
    /// True where the row goes on; no nulls, one per row.
    pub(crate) keep: BooleanArray,
    /// The refused rows; `keep` is false for them.
    pub(crate) refused: Refused,
}

impl Verdicts {
    /// Hands the refused rows to the task's `on_bad_row` policy.
    pub(crate) fn reject(&self, batch: &Batch, out: &mut dyn Output) -> Result<()> {
        reject(batch, &self.refused, out)
    }

    /// The rows that go on: those whose mask is true, as [`Batch::select`] keeps them, and one thing more. An update
    /// without its old image that is left out becomes a delete of its key, because the row may have been kept before
    /// the update. Of such a delete only the key is present. A refused row is just left out: downstream it stays as
    /// it was.
    pub(crate) fn apply(&self, batch: &Batch) -> Result<Batch> {
        if self.keep.len() == batch.num_rows() && self.keep.true_count() == self.keep.len() {
            return Ok(batch.clone());
        }
        let gone = self.gone(batch);
        if gone.is_empty() {
            return batch.select(&self.keep);
        }
        delete_by_key(batch, &gone)?.select(&self.mask(&gone))
    }

    /// For each row that [`Verdicts::apply`] lets go on, its row in `batch`.
    pub(crate) fn rows(&self, batch: &Batch) -> Vec<usize> {
        self.mask(&self.gone(batch)).values().set_indices().collect()
    }

    fn mask(&self, gone: &[usize]) -> BooleanArray {
        let mut kept: Vec<bool> = self.keep.values().iter().collect();
        gone.iter().for_each(|&row| kept[row] = true);
        BooleanArray::from(kept)
    }

    /// The updates that are left out and become deletes.
    fn gone(&self, batch: &Batch) -> Vec<usize> {
        // Without a key a delete could not say which row it means.
        let Ops::PerRow(ops) = batch.ops() else { return Vec::new() };
        if batch.relation().key().is_empty() {
            return Vec::new();
        }
        let refused = |row: usize| self.refused.binary_search_by_key(&row, |(refused, _)| *refused).is_ok();
        (0..ops.len()).filter(|&i| !self.keep.value(i) && is_lone_update(ops, i) && !refused(i)).collect()
    }
}

/// Hands rows of a batch to the task's `on_bad_row` policy.
pub(crate) fn reject(batch: &Batch, refused: &[(usize, String)], out: &mut dyn Output) -> Result<()> {
    for (row, reason) in refused {
        out.reject(BadRow::of_batch(batch, *row, reason.clone()))?;
    }
    Ok(())
}

/// True for an `UpdateAfter` that does not stand behind its `UpdateBefore`.
fn is_lone_update(ops: &UInt8Array, row: usize) -> bool {
    let ops = ops.values();
    ops[row] == Op::UpdateAfter as u8 && (row == 0 || ops[row - 1] != Op::UpdateBefore as u8)
}

/// The same batch with some rows turned into deletes of which only the key is present.
fn delete_by_key(batch: &Batch, rows: &[usize]) -> Result<Batch> {
    let Ops::PerRow(ops) = batch.ops() else { return Err(Error::bug("an append-only batch has no updates to delete")) };
    let mut mended = ops.values().to_vec();
    rows.iter().for_each(|&row| mended[row] = Op::Delete as u8);
    let mut output = Batch::changes(batch.relation().clone(), batch.rows().clone(), UInt8Array::from(mended))?
        .with_ingested_at_ms(batch.ingested_at_ms());
    for column in 0..batch.rows().num_columns() {
        let is_key = batch.relation().key().contains(&column);
        let present = match (batch.present(column), is_key) {
            (None, true) => continue,
            (Some(present), true) => present.clone(),
            (present, false) => {
                let mut values = present.map_or_else(
                    || vec![true; batch.num_rows()],
                    |present| present.values().iter().collect::<Vec<_>>(),
                );
                rows.iter().for_each(|&row| values[row] = false);
                BooleanArray::from(values)
            }
        };
        output = output.with_present(column, present)?;
    }
    Ok(output)
}
