//! Rows of one table on their way into a batch: cells into Arrow builders, ops, what is absent, what was refused.

use std::sync::Arc;

use aqueduct_model::{BadRow, Batch, Error, Op, Relation, Result};
use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt8Array};
use arrow::compute::filter;

use super::pgoutput::{Cell, Tuple};
use crate::postgres::copy::{ColumnBuilder, Unrepresentable};

/// How the columns of the log's rows lie in the relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// For each column of the log its place in the relation; `None` for one that is left out.
    pub places: Vec<Option<usize>>,
    /// For each column of the log whether old rows that are sent as their key alone have it.
    pub in_key: Vec<bool>,
}

/// Rows of one relation, until they are taken as a batch.
pub(crate) struct TableRows {
    relation: Arc<Relation>,
    layout: Layout,
    columns: Vec<Column>,
    ops: Vec<u8>,
    /// Row numbers that were refused, rising.
    refused: Vec<usize>,
    bytes: usize,
    /// When the first of the rows was committed.
    committed_at_ms: Option<i64>,
}

struct Column {
    builder: ColumnBuilder,
    is_nullable: bool,
    /// True where a value was sent; made at the first one that was not.
    present: Option<BooleanBufferBuilder>,
}

/// Which cells of a tuple count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The others are NULL in the log, and absent here.
    Key,
}

impl TableRows {
    /// For rows of a relation.
    pub(crate) fn new(relation: Arc<Relation>, layout: Layout, unrepresentable: Unrepresentable) -> Result<Self> {
        let columns = relation.columns().fields().iter();
        let columns = columns
            .map(|field| {
                let builder = ColumnBuilder::new(field, unrepresentable)?;
                Ok(Column { builder, is_nullable: field.is_nullable(), present: None })
            })
            .collect::<Result<_>>()?;
        Ok(Self { relation, layout, columns, ops: Vec::new(), refused: Vec::new(), bytes: 0, committed_at_ms: None })
    }

    /// The relation.
    pub(crate) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Whether nothing is waiting to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Bytes of cells that were taken.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A new row.
    ///
    /// # Errors
    /// `Schema` when the tuple is not of the layout. The value is what the row is refused for, if it is.
    pub(crate) fn insert(&mut self, new: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        let reasons = self.push(Op::Insert, new, None, Part::Whole)?;
        Ok(self.refuse(row, new, reasons))
    }

    /// A change without the old row: the key is as it was.
    pub(crate) fn update(&mut self, new: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        let reasons = self.push(Op::UpdateAfter, new, None, Part::Whole)?;
        Ok(self.refuse(row, new, reasons))
    }

    /// A change with the whole old row, from which values that were not sent again are taken.
    pub(crate) fn update_full(&mut self, old: &Tuple<'_>, new: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        let mut reasons = self.push(Op::UpdateBefore, old, None, Part::Whole)?;
        reasons.extend(self.push(Op::UpdateAfter, new, Some(old), Part::Whole)?);
        Ok(self.refuse(row, new, reasons))
    }

    /// A change with the old key: of the key, unless both are the same, which the log has where the key is stored apart.
    ///
    /// A changed key is another row, unless a large value was not sent again: the target has it under the old key alone,
    /// so that the two halves stay one change, which moves what was not sent.
    pub(crate) fn update_key(&mut self, old: &Tuple<'_>, new: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        if self.has_same_key(old, new) {
            let reasons = self.push(Op::UpdateAfter, new, Some(old), Part::Whole)?;
            return Ok(self.refuse(row, new, reasons));
        }
        let (gone, there) =
            if self.lacks_values(new) { (Op::UpdateBefore, Op::UpdateAfter) } else { (Op::Delete, Op::Insert) };
        let mut reasons = self.push(gone, old, None, Part::Key)?;
        reasons.extend(self.push(there, new, Some(old), Part::Whole)?);
        Ok(self.refuse(row, new, reasons))
    }

    /// A row that is gone, known whole.
    pub(crate) fn delete_full(&mut self, old: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        let reasons = self.push(Op::Delete, old, None, Part::Whole)?;
        Ok(self.refuse(row, old, reasons))
    }

    /// A row that is gone, known by its key.
    pub(crate) fn delete_key(&mut self, old: &Tuple<'_>) -> Result<Option<BadRow>> {
        let row = self.ops.len();
        let reasons = self.push(Op::Delete, old, None, Part::Key)?;
        Ok(self.refuse(row, old, reasons))
    }

    fn has_same_key(&self, old: &Tuple<'_>, new: &Tuple<'_>) -> bool {
        let cells = old.cells().zip(new.cells()).zip(&self.layout.in_key);
        cells.filter(|(_, in_key)| **in_key).all(|((old, new), _)| new == Cell::Unchanged || old == new)
    }

    /// Whether a value outside the key was not sent.
    fn lacks_values(&self, new: &Tuple<'_>) -> bool {
        let columns = self.layout.places.iter().zip(&self.layout.in_key);
        new.cells().zip(columns).any(|(cell, (place, in_key))| cell == Cell::Unchanged && place.is_some() && !in_key)
    }

    /// Appends a row; what is wrong with it.
    fn push(&mut self, op: Op, cells: &Tuple<'_>, old: Option<&Tuple<'_>>, part: Part) -> Result<Vec<String>> {
        if cells.len() != self.layout.places.len() {
            return Err(Error::new(
                aqueduct_model::ErrorKind::Schema,
                format!(
                    "a row of {} has {} columns instead of {}",
                    self.relation.name(),
                    cells.len(),
                    self.layout.places.len()
                ),
            ));
        }
        let row = self.ops.len();
        let mut reasons = Vec::new();
        let mut of_old = old.map(|old| old.cells());
        for (number, cell) in cells.cells().enumerate() {
            let old = of_old.as_mut().and_then(Iterator::next);
            let Some(place) = self.layout.places[number] else { continue };
            let in_key = self.layout.in_key[number];
            let column = &mut self.columns[place];
            let cell = match (cell, old) {
                (Cell::Unchanged, Some(old)) if old != Cell::Null || in_key => old,
                (cell, _) => cell,
            };
            let refused = match cell {
                _ if part == Part::Key && !in_key => column.absent(row),
                Cell::Unchanged => column.absent(row),
                Cell::Null => column.null(),
                Cell::Text(text) => {
                    self.bytes += text.len();
                    column.checked(text, ColumnBuilder::append_text)
                }
                Cell::Binary(bytes) => {
                    self.bytes += bytes.len();
                    column.checked(bytes, ColumnBuilder::append_binary)
                }
            };
            if let Some(reason) = refused {
                reasons.push(format!("column {}: {reason}", self.relation.columns().field(place).name()));
            }
        }
        self.ops.push(op as u8);
        Ok(reasons)
    }

    /// Marks the rows from `row` on as refused.
    fn refuse(&mut self, row: usize, shown: &Tuple<'_>, reasons: Vec<String>) -> Option<BadRow> {
        if reasons.is_empty() {
            return None;
        }
        self.refused.extend(row..self.ops.len());
        let mut cells = serde_json::Map::new();
        for (place, cell) in self.layout.places.iter().zip(shown.cells()) {
            let Some(place) = place else { continue };
            let name = self.relation.columns().field(*place).name().clone();
            let text = match cell {
                Cell::Null | Cell::Unchanged => serde_json::Value::Null,
                Cell::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
                Cell::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
            };
            cells.insert(name, text);
        }
        Some(BadRow { relation: Some(self.relation.name().clone()), row: cells.into(), reasons, position: None })
    }

    /// Notes when the rows that follow were committed; the earliest counts.
    pub(crate) fn committed_at(&mut self, ms: i64) {
        self.committed_at_ms.get_or_insert(ms);
    }

    /// The rows so far; `None` when there are none.
    ///
    /// # Errors
    /// `Bug` when columns do not fit together.
    pub(crate) fn take(&mut self) -> Result<Option<Batch>> {
        let rows = self.ops.len();
        let ops = UInt8Array::from(std::mem::take(&mut self.ops));
        let refused = std::mem::take(&mut self.refused);
        self.bytes = 0;
        let committed_at_ms = self.committed_at_ms.take();
        let mut arrays: Vec<ArrayRef> = self.columns.iter_mut().map(|column| column.builder.finish()).collect();
        let mut masks: Vec<(usize, BooleanArray)> = Vec::new();
        for (place, column) in self.columns.iter_mut().enumerate() {
            let mask = column.present.take().map(|mut mask| {
                mask.append_n(rows - mask.len(), true);
                BooleanArray::new(mask.finish(), None)
            });
            masks.extend(mask.map(|mask| (place, mask)));
        }
        let mut ops = ops;
        if !refused.is_empty() {
            let mut kept = vec![true; rows];
            refused.iter().for_each(|row| kept[*row] = false);
            let kept = BooleanArray::from(kept);
            let only = |array: &dyn arrow::array::Array| {
                filter(array, &kept).map_err(|error| Error::bug("cannot leave refused rows out").with_source(error))
            };
            for array in &mut arrays {
                *array = only(array.as_ref())?;
            }
            for (_, mask) in &mut masks {
                *mask = BooleanArray::from(only(mask)?.to_data());
            }
            ops = UInt8Array::from(only(&ops)?.to_data());
        }
        if ops.is_empty() {
            return Ok(None);
        }
        let rows = RecordBatch::try_new(self.relation.columns().clone(), arrays).map_err(|error| {
            Error::bug(format!("rows of {} do not fit together", self.relation.name())).with_source(error)
        })?;
        let mut batch = if ops.values().iter().all(|op| *op == Op::Insert as u8) {
            Batch::inserts(self.relation.clone(), rows)?
        } else {
            Batch::changes(self.relation.clone(), rows, ops)?
        };
        for (place, mask) in masks {
            batch = batch.with_present(place, mask)?;
        }
        Ok(Some(match committed_at_ms {
            Some(ms) => batch.with_ingested_at_ms(ms),
            None => batch,
        }))
    }
}

impl Column {
    /// Appends a NULL, and says where the table should have none.
    fn null(&mut self) -> Option<String> {
        self.builder.append_null();
        if self.is_nullable { None } else { Some("a NULL, and the column has none".to_owned()) }
    }

    /// Appends by a function that may refuse; then a NULL is there instead.
    fn checked<E: ToString>(
        &mut self,
        cell: &[u8],
        append: impl FnOnce(&mut ColumnBuilder, &[u8]) -> std::result::Result<bool, E>,
    ) -> Option<String> {
        match append(&mut self.builder, cell) {
            Ok(is_there) if is_there || self.is_nullable => None,
            Ok(_) => Some("Arrow cannot hold it, and the column has no NULLs".to_owned()),
            Err(reason) => {
                self.builder.append_null();
                Some(reason.to_string())
            }
        }
    }

    /// Appends a value that was not sent, as row number `row`.
    fn absent(&mut self, row: usize) -> Option<String> {
        let mask = self.present.get_or_insert_with(|| BooleanBufferBuilder::new(row + 1));
        mask.append_n(row - mask.len(), true);
        mask.append(false);
        self.builder.append_null();
        None
    }
}
