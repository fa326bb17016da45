//! Rows of one relation as they are collected over events and transactions.

use std::ops::Range;
use std::sync::Arc;

use aqueduct_model::{BadRow, BadRows, Batch, Error, Op, Relation, Result};
use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions, UInt8Array};

use super::cell::CellBuilder;
use super::convert::Scratch;

/// A row that is left out when the batch is made; with its other half, where it is one of an update.
#[derive(Debug)]
struct Refused {
    first: usize,
    rows: usize,
    column: usize,
    reason: &'static str,
    position: String,
}

/// Collects rows; [`super::RowDecoder`] fills it.
#[derive(Debug)]
pub(crate) struct RowBuilders {
    relation: Arc<Relation>,
    pub(super) columns: Vec<CellBuilder>,
    pub(super) scratch: Scratch,
    ops: Vec<u8>,
    /// Per column: false where a row has no value; made when the first one is missing.
    present: Vec<Option<BooleanBufferBuilder>>,
    refused: Vec<Refused>,
    dropped: Vec<Range<usize>>,
}

impl RowBuilders {
    /// Empty builders for a relation's columns.
    ///
    /// # Errors
    /// `Bug` when a column has a type that no column of MySQL has.
    pub fn new(relation: Arc<Relation>) -> Result<Self> {
        let fields = relation.columns().fields();
        let columns = fields.iter().map(|field| CellBuilder::new(field)).collect::<Result<Vec<_>>>()?;
        let present = fields.iter().map(|_| None).collect();
        Ok(Self {
            relation,
            columns,
            scratch: Scratch::default(),
            ops: Vec::new(),
            present,
            refused: Vec::new(),
            dropped: Vec::new(),
        })
    }

    /// Rows collected since the last [`Self::finish`], both halves of an update counted.
    pub fn rows(&self) -> usize {
        self.ops.len()
    }

    /// Ends a row whose cells were appended.
    pub(super) fn push_op(&mut self, op: Op) {
        self.ops.push(op as u8);
        for present in self.present.iter_mut().flatten() {
            if present.len() < self.ops.len() {
                present.append(true);
            }
        }
    }

    /// Marks the cell of the row that is being appended as absent, and fills its place.
    pub(super) fn append_absent(&mut self, column: usize, nullable: bool) {
        self.columns[column].append_nothing(nullable);
        let rows = self.ops.len();
        let present = self.present[column].get_or_insert_with(|| {
            let mut present = BooleanBufferBuilder::new(rows + 1);
            present.append_n(rows, true);
            present
        });
        present.append(false);
    }

    /// Leaves out the last `rows` rows.
    pub(super) fn refuse(&mut self, rows: usize, column: usize, reason: &'static str, position: String) {
        let first = self.ops.len() - rows;
        self.refused.push(Refused { first, rows, column, reason, position });
    }

    /// Leaves out, without a word, the rows from `first` on: what a rolled back transaction did.
    pub fn drop_from(&mut self, first: usize) {
        self.refused.retain(|row| row.first < first);
        if first < self.ops.len() {
            self.dropped.push(first..self.ops.len());
        }
    }

    /// The rows collected so far; bad ones go to `bad`. `None` when there are none. The builders are empty again.
    ///
    /// # Errors
    /// `Data` under a policy that does not let bad rows pass; `Bug`.
    pub fn finish(&mut self, bad: &mut BadRows) -> Result<Option<Batch>> {
        let ops = std::mem::take(&mut self.ops);
        let refused = std::mem::take(&mut self.refused);
        let dropped = std::mem::take(&mut self.dropped);
        let is_whole = refused.is_empty() && dropped.is_empty();
        let columns = self.columns.iter_mut().map(CellBuilder::finish).collect();
        let present: Vec<_> = self.present.iter_mut().map(Option::take).collect();
        if ops.is_empty() {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(ops.len()));
        let rows = RecordBatch::try_new_with_options(self.relation.columns().clone(), columns, &options)
            .map_err(|error| Error::bug("decoded rows do not fit their relation").with_source(error))?;
        let mut mask = vec![true; if is_whole { 0 } else { ops.len() }];
        let is_insert = ops.iter().all(|&op| op == Op::Insert as u8);
        let mut batch = if is_insert {
            Batch::inserts(self.relation.clone(), rows)?
        } else {
            Batch::changes(self.relation.clone(), rows, UInt8Array::from(ops))?
        };
        for (column, present) in present.into_iter().enumerate() {
            if let Some(mut present) = present {
                batch = batch.with_present(column, BooleanArray::new(present.finish(), None))?;
            }
        }
        if is_whole {
            return Ok(Some(batch));
        }
        for row in refused {
            let name = self.relation.columns().field(row.column).name();
            let mut bad_row = BadRow::of_batch(&batch, row.first, format!("column {name}: {}", row.reason));
            bad_row.position = Some(row.position);
            bad.reject(bad_row)?;
            mask[row.first..row.first + row.rows].fill(false);
        }
        for rows in dropped {
            mask[rows].fill(false);
        }
        let kept = batch.select(&BooleanArray::from(mask))?;
        Ok((kept.num_rows() > 0).then_some(kept))
    }
}
