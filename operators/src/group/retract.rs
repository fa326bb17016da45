//! The rows that a batch adds, and those that it takes away.
//!
//! A source that does not send whole old rows says only that a row changed. So the columns that are needed are
//! remembered by the row's key: what is taken away is what was added, whatever the source sends. Values that it left out
//! of a new row are those of the remembered one.

use aqueduct_model::{Batch, Error, ErrorKind, Op, Result};
use arrow::array::{Array, ArrayRef, RecordBatch};

use super::bound::Bound;
use crate::state::Store;

/// Keys of remembered rows begin with this.
const ROW: u8 = b'R';

/// Rows with the columns that are needed, in the order of the stream.
pub(crate) struct Moves {
    pub(crate) rows: RecordBatch,
    /// For each: 1 when it is added, -1 when it is taken away.
    pub(crate) signs: Vec<i64>,
    /// For each: the row of the batch that it comes from.
    pub(crate) origins: Vec<usize>,
}

/// What a batch moves. With `remembers`, rows are kept in `store`.
///
/// # Errors
/// `Data` when an old row is needed and not there.
pub(crate) fn moves(bound: &Bound, store: &mut Store, batch: &Batch, remembers: bool) -> Result<Moves> {
    let narrow = bound.narrowed(batch.rows())?;
    match &bound.key {
        Some((key, _)) if remembers => remembered(bound, store, batch, &narrow, key),
        _ => told(bound, batch, narrow),
    }
}

/// The batch says itself what is taken away.
fn told(bound: &Bound, batch: &Batch, rows: RecordBatch) -> Result<Moves> {
    let lone = |i: usize| batch.op(i) == Op::UpdateAfter && (i == 0 || batch.op(i - 1) != Op::UpdateBefore);
    let is_partial = bound.used.iter().any(|&column| batch.present(column).is_some_and(|mask| mask.false_count() > 0));
    if is_partial || (0..batch.num_rows()).any(lone) {
        let text = format!("{} comes without whole old rows, so its totals cannot be kept", batch.relation().name());
        return Err(Error::new(ErrorKind::Data, text).with_setting("whole_images").with_hint(
            "have the source send them (binlog_row_image=FULL, REPLICA IDENTITY FULL), or, for a table with a key, \
             remove `whole_images: true`",
        ));
    }
    let sign = |i: usize| match batch.op(i) {
        Op::Insert | Op::UpdateAfter => 1,
        Op::UpdateBefore | Op::Delete => -1,
    };
    let rows_moved = batch.num_rows();
    Ok(Moves { rows, signs: (0..rows_moved).map(sign).collect(), origins: (0..rows_moved).collect() })
}

fn remembered(bound: &Bound, store: &mut Store, batch: &Batch, narrow: &RecordBatch, key: &[usize]) -> Result<Moves> {
    let Some((_, converter)) = &bound.key else { return Err(Error::bug("rows without a key are not remembered")) };
    let columns: Vec<ArrayRef> = key.iter().map(|&column| batch.rows().column(column).clone()).collect();
    let unfit = |error| Error::bug("rows do not fit their own columns").with_source(error);
    let keys = converter.convert_columns(&columns).map_err(unfit)?;
    let encoded = bound.rows.convert_columns(narrow.columns()).map_err(unfit)?;
    let (mut kept, mut signs, mut origins) = (Vec::new(), Vec::new(), Vec::new());
    let mut push = |row: Vec<u8>, sign: i64, i: usize| {
        kept.push(row);
        signs.push(sign);
        origins.push(i);
    };
    let mut before: Option<Vec<u8>> = None;
    for i in 0..batch.num_rows() {
        let mut name = vec![ROW];
        name.extend_from_slice(keys.row(i).as_ref());
        let old = store.get(&name)?;
        if let Some(old) = &old {
            push(old.clone(), -1, i);
        }
        match batch.op(i) {
            Op::UpdateBefore | Op::Delete => {
                if old.is_some() {
                    store.remove(name)?;
                }
                before = if batch.op(i) == Op::UpdateBefore { old } else { None };
            }
            Op::Insert | Op::UpdateAfter => {
                let absent: Vec<usize> = absent(bound, batch, i);
                let row = match absent.as_slice() {
                    [] => encoded.row(i).as_ref().to_vec(),
                    absent => completed(bound, narrow, i, absent, old.or(before.take()))?,
                };
                push(row.clone(), 1, i);
                store.put(name, row)?;
                before = None;
            }
        }
    }
    Ok(Moves { rows: bound.restored(&kept)?, signs, origins })
}

/// The needed columns, by their place among these, of which row `i` has no value.
fn absent(bound: &Bound, batch: &Batch, i: usize) -> Vec<usize> {
    let is_absent = |column: &usize| batch.present(*column).is_some_and(|mask| !mask.value(i));
    bound.used.iter().enumerate().filter(|(_, column)| is_absent(column)).map(|(place, _)| place).collect()
}

/// Row `i` with the values that it lacks from the old row.
fn completed(bound: &Bound, narrow: &RecordBatch, i: usize, absent: &[usize], old: Option<Vec<u8>>) -> Result<Vec<u8>> {
    let old = old.ok_or_else(|| {
        Error::new(ErrorKind::Data, "a row was changed that was never added, and not all of its values came")
            .with_hint("start over with `aqueduct checkpoint reset`, so that the table is read from its beginning")
    })?;
    let old = bound.restored(&[old])?;
    let columns: Vec<ArrayRef> = (0..narrow.num_columns())
        .map(|place| if absent.contains(&place) { old.column(place).clone() } else { narrow.column(place).slice(i, 1) })
        .collect();
    let row = bound.rows.convert_columns(&columns);
    let row = row.map_err(|error| Error::bug("a row does not fit its own columns").with_source(error))?;
    Ok(row.row(0).as_ref().to_vec())
}
