//! Rows with what happened to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, BooleanArray, RecordBatch, UInt8Array};
use arrow_select::filter::{FilterBuilder, filter_record_batch};

use crate::{Error, Relation, Result};

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// A new row (or a row of a snapshot).
    Insert = 0,
    /// The row as it was; directly followed by its [`Op::UpdateAfter`] in the same batch.
    UpdateBefore = 1,
    /// The row as it is now; directly behind its [`Op::UpdateBefore`], or alone where the source sends no old image.
    UpdateAfter = 2,
    /// The row as it was; only its key columns are certain to be present.
    Delete = 3,
}

impl Op {
    /// The op with that number.
    pub const fn from_u8(op: u8) -> Option<Self> {
        match op {
            0 => Some(Self::Insert),
            1 => Some(Self::UpdateBefore),
            2 => Some(Self::UpdateAfter),
            3 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// The ops of a batch. Append-only data pays nothing for them.
#[derive(Debug, Clone)]
pub enum Ops {
    /// Every row is an insert.
    AllInsert,
    /// One op per row, as the numbers of [`Op`]; no nulls.
    PerRow(UInt8Array),
}

/// Rows of one relation, each with its [`Op`].
///
/// Columns may be *absent* row by row: the source did not send a value (unchanged TOAST, minimal row image). That is
/// not NULL; a sink updates only what is present.
///
/// ```
/// use std::sync::Arc;
/// use aqueduct_model::{Batch, Op, Relation, RelationName};
/// use arrow_array::{BooleanArray, Int64Array, RecordBatch, UInt8Array};
/// use arrow_schema::{DataType, Field, Schema};
///
/// let columns = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
/// let orders = Arc::new(Relation::new(RelationName::table("orders"), columns.clone(), &["id"], 1)?);
/// let rows = RecordBatch::try_new(columns, vec![Arc::new(Int64Array::from(vec![7, 8]))]).unwrap();
/// let update = Batch::changes(orders, rows, UInt8Array::from(vec![1, 2]))?;
///
/// // A filter that keeps only the new half of an update leaves an insert.
/// let kept = update.select(&BooleanArray::from(vec![false, true]))?;
/// assert_eq!((kept.num_rows(), kept.op(0)), (1, Op::Insert));
/// # Ok::<(), aqueduct_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    relation: Arc<Relation>,
    rows: RecordBatch,
    ops: Ops,
    /// By column index, true where the value is present. Columns without an entry are present everywhere.
    present: BTreeMap<usize, BooleanArray>,
    ingested_at_ms: i64,
}

impl Batch {
    /// A batch of inserts.
    ///
    /// # Errors
    /// `Bug` when the rows' columns are not the relation's.
    pub fn inserts(relation: Arc<Relation>, rows: RecordBatch) -> Result<Self> {
        Self::new(relation, rows, Ops::AllInsert)
    }

    /// A batch of changes: one op per row.
    ///
    /// # Errors
    /// `Bug` when columns or lengths differ, an op is unknown, or an `UpdateBefore` is not directly followed by its
    /// `UpdateAfter`.
    pub fn changes(relation: Arc<Relation>, rows: RecordBatch, ops: UInt8Array) -> Result<Self> {
        if ops.len() != rows.num_rows() || ops.null_count() > 0 {
            return Err(Error::bug(format!("{} rows of {} with {} ops", rows.num_rows(), relation.name(), ops.len())));
        }
        let values = ops.values();
        for (i, &op) in values.iter().enumerate() {
            let valid = match Op::from_u8(op) {
                None => false,
                Some(Op::UpdateBefore) => values.get(i + 1) == Some(&(Op::UpdateAfter as u8)),
                Some(_) => true,
            };
            if !valid {
                return Err(Error::bug(format!(
                    "row {i} of a batch of {} has op {op}: an update is its old row directly followed by its new one",
                    relation.name()
                )));
            }
        }
        Self::new(relation, rows, Ops::PerRow(ops))
    }

    fn new(relation: Arc<Relation>, rows: RecordBatch, ops: Ops) -> Result<Self> {
        let expected = relation.columns();
        let same = Arc::ptr_eq(expected, &rows.schema())
            || (expected.fields().len() == rows.num_columns()
                && expected
                    .fields()
                    .iter()
                    .zip(rows.schema().fields())
                    .all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type()));
        if !same {
            return Err(Error::bug(format!(
                "rows of {} do not have its columns: expected {expected:?}, got {:?}",
                relation.name(),
                rows.schema()
            )));
        }
        Ok(Self { relation, rows, ops, present: BTreeMap::new(), ingested_at_ms: now_ms() })
    }

    /// Marks where a column's values are present (true) and where the source did not send them (false).
    ///
    /// # Errors
    /// `Bug` when the column does not exist or the mask has another length.
    pub fn with_present(mut self, column: usize, present: BooleanArray) -> Result<Self> {
        if column >= self.rows.num_columns() || present.len() != self.num_rows() {
            return Err(Error::bug(format!("present-mask of column {column} does not fit the batch")));
        }
        if present.true_count() < present.len() {
            self.present.insert(column, present);
        }
        Ok(self)
    }

    /// Says when the rows were committed at (or, failing that, read from) the source: milliseconds since 1970 UTC.
    pub fn with_ingested_at_ms(mut self, ms: i64) -> Self {
        self.ingested_at_ms = ms;
        self
    }

    /// The table the rows belong to.
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// The rows: one Arrow row per op, columns as in the relation.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The ops.
    pub fn ops(&self) -> &Ops {
        &self.ops
    }

    /// What happened to row `i`.
    ///
    /// # Panics
    /// When `i` is not a row of the batch.
    pub fn op(&self, i: usize) -> Op {
        match &self.ops {
            Ops::AllInsert => {
                assert!(i < self.num_rows(), "row {i} is not in the batch");
                Op::Insert
            }
            Ops::PerRow(ops) => Op::from_u8(ops.value(i)).expect("ops were checked when the batch was made"),
        }
    }

    /// Where a column's values are present; `None` when they are everywhere.
    pub fn present(&self, column: usize) -> Option<&BooleanArray> {
        self.present.get(&column)
    }

    /// True when at least one value of the batch is absent.
    pub fn has_absent(&self) -> bool {
        !self.present.is_empty()
    }

    /// True when every row is an insert.
    pub fn is_append_only(&self) -> bool {
        match &self.ops {
            Ops::AllInsert => true,
            Ops::PerRow(ops) => ops.values().iter().all(|&op| op == Op::Insert as u8),
        }
    }

    /// When the rows were committed at (or read from) the source: milliseconds since 1970 UTC.
    pub fn ingested_at_ms(&self) -> i64 {
        self.ingested_at_ms
    }

    /// The number of rows, both halves of an update counted.
    pub fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The memory that the rows take, in bytes: slices are counted by what they show, not by what they share.
    pub fn memory_bytes(&self) -> usize {
        self.rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
    }

    /// Keeps the rows whose mask is true (a null mask drops). An update whose halves are parted becomes a delete
    /// (only the old row is kept) or an insert (only the new row is kept).
    ///
    /// # Errors
    /// `Bug` when the mask has another length than the batch.
    pub fn select(&self, mask: &BooleanArray) -> Result<Self> {
        if mask.len() != self.num_rows() {
            return Err(Error::bug(format!("a mask of {} for a batch of {} rows", mask.len(), self.num_rows())));
        }
        let kept = |i: usize| mask.is_valid(i) && mask.value(i);
        let filter = FilterBuilder::new(mask).build();
        let failed = |error| Error::bug("cannot filter a batch").with_source(error);
        let rows = filter_record_batch(&self.rows, mask).map_err(failed)?;
        let ops = match &self.ops {
            Ops::AllInsert => Ops::AllInsert,
            Ops::PerRow(ops) => {
                let values = ops.values();
                let mended = UInt8Array::from_iter_values(values.iter().enumerate().map(|(i, &op)| {
                    let paired_before = op == Op::UpdateAfter as u8 && i > 0 && values[i - 1] == Op::UpdateBefore as u8;
                    if op == Op::UpdateBefore as u8 && kept(i) && !kept(i + 1) {
                        Op::Delete as u8
                    } else if paired_before && kept(i) && !kept(i - 1) {
                        Op::Insert as u8
                    } else {
                        op
                    }
                }));
                Ops::PerRow(filter.filter(&mended).map_err(failed)?.as_primitive::<UInt8Type>().clone())
            }
        };
        let mut present = BTreeMap::new();
        for (&column, mask) in &self.present {
            present.insert(column, filter.filter(mask).map_err(failed)?.as_boolean().clone());
        }
        Ok(Self { relation: self.relation.clone(), rows, ops, present, ingested_at_ms: self.ingested_at_ms })
    }

    /// The same changes with other columns: `rows` has one row per row of this batch, in order.
    ///
    /// `origins[i]` is the column of this batch that output column `i` was taken from unchanged or computed from
    /// alone; present-masks follow it. Use `None` for a column that was computed from several.
    ///
    /// # Errors
    /// `Bug` when the row count or the columns do not fit.
    pub fn with_columns(&self, relation: Arc<Relation>, rows: RecordBatch, origins: &[Option<usize>]) -> Result<Self> {
        if rows.num_rows() != self.num_rows() || origins.len() != rows.num_columns() {
            return Err(Error::bug("a transform must keep rows one to one and name the origin of every column"));
        }
        let mut batch = Self::new(relation, rows, self.ops.clone())?;
        for (column, origin) in origins.iter().enumerate() {
            if let Some(mask) = origin.and_then(|origin| self.present.get(&origin)) {
                batch.present.insert(column, mask.clone());
            }
        }
        batch.ingested_at_ms = self.ingested_at_ms;
        Ok(batch)
    }

    /// Rows `offset..offset + length`, without copying. The caller does not part the halves of an update.
    ///
    /// # Panics
    /// When the range is not inside the batch.
    pub fn slice(&self, offset: usize, length: usize) -> Self {
        Self {
            relation: self.relation.clone(),
            rows: self.rows.slice(offset, length),
            ops: match &self.ops {
                Ops::AllInsert => Ops::AllInsert,
                Ops::PerRow(ops) => Ops::PerRow(ops.slice(offset, length)),
            },
            present: self.present.iter().map(|(&column, mask)| (column, mask.slice(offset, length))).collect(),
            ingested_at_ms: self.ingested_at_ms,
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RelationName;
    use arrow_array::Int64Array;
    use arrow_schema::{DataType, Field, Schema};
    use proptest::prelude::*;

    fn relation() -> Arc<Relation> {
        let columns = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        Arc::new(Relation::new(RelationName::table("t"), columns, &["n"], 1).unwrap())
    }

    fn changes(ops: &[u8]) -> Result<Batch> {
        let relation = relation();
        let rows = Arc::new(Int64Array::from_iter_values(0..ops.len() as i64));
        let rows = RecordBatch::try_new(relation.columns().clone(), vec![rows]).unwrap();
        Batch::changes(relation, rows, UInt8Array::from(ops.to_vec()))
    }

    fn ops(batch: &Batch) -> Vec<u8> {
        (0..batch.num_rows()).map(|i| batch.op(i) as u8).collect()
    }

    #[test]
    fn select_turns_a_parted_update_into_a_delete_or_an_insert() {
        let cases: &[(&[u8], &[bool], &[u8])] = &[
            (&[1, 2], &[true, true], &[1, 2]),
            (&[1, 2], &[true, false], &[3]),
            (&[1, 2], &[false, true], &[0]),
            (&[1, 2], &[false, false], &[]),
            (&[2, 2], &[false, true], &[2]),
            (&[0, 1, 2, 3, 1, 2], &[true, true, false, true, false, true], &[0, 3, 3, 0]),
        ];
        for (given, mask, expected) in cases {
            let got = changes(given).unwrap().select(&BooleanArray::from(mask.to_vec())).unwrap();
            assert_eq!(ops(&got), *expected, "ops {given:?} mask {mask:?}");
        }
    }

    #[test]
    fn an_update_before_without_its_after_is_refused() {
        for bad in [&[1][..], &[1, 0], &[1, 1, 2], &[9], &[2, 1]] {
            assert!(changes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn rows_of_other_columns_are_refused() {
        let other = Arc::new(Schema::new(vec![Field::new("m", DataType::Int64, false)]));
        let rows = RecordBatch::try_new(other, vec![Arc::new(Int64Array::from(vec![1]))]).unwrap();
        assert!(Batch::inserts(relation(), rows).is_err());
    }

    #[test]
    fn absent_is_kept_through_select_slice_and_rename() {
        let batch = changes(&[0, 2, 2]).unwrap().with_present(0, BooleanArray::from(vec![true, false, true])).unwrap();
        let kept = batch.select(&BooleanArray::from(vec![false, true, true])).unwrap();
        assert_eq!(kept.present(0).unwrap().iter().collect::<Vec<_>>(), [Some(false), Some(true)]);
        assert_eq!(batch.slice(1, 1).present(0).unwrap().true_count(), 0);
        let renamed = batch.with_columns(relation(), batch.rows().clone(), &[Some(0)]).unwrap();
        assert!(renamed.has_absent());
    }

    /// Applies changes to a multiset of "is row i in the table", the way a naive sink would.
    fn net(batch: &Batch) -> i64 {
        (0..batch.num_rows())
            .map(|i| match batch.op(i) {
                Op::Insert => 1,
                Op::Delete => -1,
                _ => 0,
            })
            .sum()
    }

    proptest! {
        #[test]
        fn select_never_leaves_an_orphaned_half(parts in proptest::collection::vec(0u8..3, 0..40), seed: u64) {
            let mut given = Vec::new();
            for part in parts {
                given.extend_from_slice([&[0u8][..], &[1, 2], &[3]][part as usize]);
            }
            let mask: Vec<bool> = (0..given.len()).map(|i| (seed >> (i % 64)) & 1 == 1).collect();
            let batch = changes(&given).unwrap();
            let got = batch.select(&BooleanArray::from(mask.clone())).unwrap();
            let got_ops = UInt8Array::from(ops(&got));
            let paired = Batch::changes(got.relation().clone(), got.rows().clone(), got_ops).is_ok();
            prop_assert!(paired);
            // What a filtered table holds: the kept new images less the kept old images.
            let expected: i64 = given.iter().zip(&mask).filter(|(_, kept)| **kept)
                .map(|(op, _)| if *op == 0 || *op == 2 { 1 } else { -1 }).sum();
            prop_assert_eq!(net(&got), expected);
        }
    }
}
