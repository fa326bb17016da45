//! The rows that were made of one table, and the changes of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Op, Relation, RelationName, Result};
use arrow::array::{Array, ArrayRef, RecordBatch, UInt8Array, new_null_array};
use arrow::compute::cast;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use serde::{Deserialize, Serialize};

use crate::kept_rows;

/// The most rows that are made of one table: they are held in memory and in every checkpoint.
pub(super) const GROUPS_MAX: usize = 100_000;

/// The values of one row, by column; `None`: there is no row of that name.
type Cells = Vec<Option<OwnedRow>>;

/// A row's change.
#[derive(Debug)]
pub(super) struct Changed {
    group: OwnedRow,
    op: Op,
    cells: Cells,
}

/// The rows that were made of one table.
#[derive(Debug)]
pub(super) struct Held {
    output: Arc<Relation>,
    groups: BTreeMap<OwnedRow, Cells>,
    group_rows: RowConverter,
    value_rows: RowConverter,
    null: OwnedRow,
}

/// What is kept over a restart.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    name: RelationName,
    key: Vec<String>,
    version: u32,
    rows: String,
    /// For each row, which of its columns have a row of the input, be it NULL.
    given: Vec<Vec<usize>>,
}

fn failed(error: arrow::error::ArrowError) -> Error {
    Error::bug("cannot hold the rows of a pivot").with_source(error)
}

impl Held {
    /// Holds nothing yet.
    pub(super) fn new(output: &Arc<Relation>) -> Result<Self> {
        let sort_field = |index: usize| SortField::new(output.columns().field(index).data_type().clone());
        let last = output.columns().fields().len().checked_sub(1);
        let value = last.ok_or_else(|| Error::bug("a pivot without columns"))?;
        let group_rows = RowConverter::new(output.key().iter().map(|&i| sort_field(i)).collect()).map_err(failed)?;
        let value_rows = RowConverter::new(vec![sort_field(value)]).map_err(failed)?;
        let null = new_null_array(output.columns().field(value).data_type(), 1);
        let null = value_rows.convert_columns(&[null]).map_err(failed)?.row(0).owned();
        Ok(Self { output: output.clone(), groups: BTreeMap::new(), group_rows, value_rows, null })
    }

    /// Takes the relation of a new version on.
    ///
    /// # Errors
    /// `Schema` when its columns are others: the rows that are held cannot take another shape.
    pub(super) fn follow(&mut self, output: &Arc<Relation>) -> Result<()> {
        let shape = |relation: &Relation| {
            let fields = relation.columns().fields().iter();
            (
                fields.map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>(),
                relation.key().to_vec(),
            )
        };
        if !Arc::ptr_eq(&self.output, output) && shape(&self.output) != shape(output) {
            let text = format!("{} changed its columns while rows of it are held for a pivot", output.name());
            return Err(Error::new(ErrorKind::Schema, text).with_hint("run the flow again from its beginning"));
        }
        self.output = output.clone();
        Ok(())
    }

    pub(super) fn output(&self) -> &Arc<Relation> {
        &self.output
    }

    pub(super) fn groups_of(&self, columns: &[ArrayRef]) -> Result<Rows> {
        self.group_rows.convert_columns(columns).map_err(failed)
    }

    pub(super) fn values_of(&self, column: &ArrayRef) -> Result<Rows> {
        self.value_rows.convert_columns(std::slice::from_ref(column)).map_err(failed)
    }

    /// True when there is a value in that place.
    pub(super) fn has(&self, group: &OwnedRow, cell: usize) -> bool {
        self.groups.get(group).is_some_and(|cells| cells.get(cell).is_some_and(Option::is_some))
    }

    /// Puts a value into a place, or takes it away; says how the row changes.
    ///
    /// # Errors
    /// `Data` when there are too many rows.
    pub(super) fn put(
        &mut self,
        group: &OwnedRow,
        cell: usize,
        value: Option<OwnedRow>,
        out: &mut Vec<Changed>,
    ) -> Result<()> {
        let before = self.groups.get(group).cloned();
        if before.is_none() && self.groups.len() == GROUPS_MAX && value.is_some() {
            let text = format!("more than {GROUPS_MAX} rows would be made of {}", self.output.name());
            return Err(Error::new(ErrorKind::Data, text).with_setting("name_column").with_hint(
                "they are held in memory and in every checkpoint; pivot a smaller table, or at the target",
            ));
        }
        let width = self.output.columns().fields().len() - self.output.key().len();
        let mut after = before.clone().unwrap_or_else(|| vec![None; width]);
        let place = after.get_mut(cell).ok_or_else(|| Error::bug("a pivot has no such column"))?;
        *place = value;
        let after = Some(after).filter(|cells| cells.iter().any(Option::is_some));
        match &after {
            Some(cells) => self.groups.insert(group.clone(), cells.clone()),
            None => self.groups.remove(group),
        };
        let changed = |op: Op, cells: Cells| Changed { group: group.clone(), op, cells };
        match (before, after) {
            (None, Some(new)) => out.push(changed(Op::Insert, new)),
            (Some(old), None) => out.push(changed(Op::Delete, old)),
            // The first NULL of a name changes what is held, and nothing that is seen.
            (Some(old), Some(new)) if self.shown(&old) != self.shown(&new) => {
                out.extend([changed(Op::UpdateBefore, old), changed(Op::UpdateAfter, new)]);
            }
            _ => {}
        }
        Ok(())
    }

    /// The values as they are seen: a place without a row is NULL.
    fn shown<'a>(&'a self, cells: &'a Cells) -> Vec<&'a OwnedRow> {
        cells.iter().map(|cell| cell.as_ref().unwrap_or(&self.null)).collect()
    }

    /// The columns of some rows.
    fn rows(&self, rows: &[(&OwnedRow, &Cells)]) -> Result<RecordBatch> {
        let mut columns = self.group_rows.convert_rows(rows.iter().map(|(group, _)| group.row())).map_err(failed)?;
        let shown: Vec<Vec<&OwnedRow>> = rows.iter().map(|(_, cells)| self.shown(cells)).collect();
        for cell in 0..self.output.columns().fields().len() - self.output.key().len() {
            let values = shown.iter().map(|cells| cells[cell].row());
            columns.extend(self.value_rows.convert_rows(values).map_err(failed)?);
        }
        for (column, field) in columns.iter_mut().zip(self.output.columns().fields()) {
            // Dictionaries come back as plain values.
            if column.data_type() != field.data_type() {
                *column = cast(column, field.data_type()).map_err(failed)?;
            }
        }
        RecordBatch::try_new(self.output.columns().clone(), columns).map_err(failed)
    }

    /// A batch of changes.
    pub(super) fn changes(&self, changed: &[Changed]) -> Result<Batch> {
        let rows: Vec<_> = changed.iter().map(|changed| (&changed.group, &changed.cells)).collect();
        let ops = UInt8Array::from_iter_values(changed.iter().map(|changed| changed.op as u8));
        Batch::changes(self.output.clone(), self.rows(&rows)?, ops)
    }

    /// All rows, in the order of their key, as inserts.
    pub(super) fn all(&self) -> Result<Batch> {
        let rows: Vec<_> = self.groups.iter().collect();
        Batch::inserts(self.output.clone(), self.rows(&rows)?)
    }

    /// What to keep over a restart.
    pub(super) fn kept(&self) -> Result<Kept> {
        let given = |cells: &Cells| (0..cells.len()).filter(|&cell| cells[cell].is_some()).collect();
        Ok(Kept {
            name: self.output.name().clone(),
            key: self.output.key_names().into_iter().map(str::to_owned).collect(),
            version: self.output.version(),
            rows: kept_rows::write(self.all()?.rows())?,
            given: self.groups.values().map(given).collect(),
        })
    }

    /// Reads what [`Held::kept`] wrote.
    ///
    /// # Errors
    /// `State` when it did not.
    pub(super) fn restore(kept: &Kept) -> Result<Self> {
        let rows = kept_rows::read(&kept.rows)?;
        if rows.num_rows() != kept.given.len() {
            return Err(Error::new(ErrorKind::State, "the state of a pivot has lost rows"));
        }
        let relation = Relation::new(kept.name.clone(), rows.schema(), &kept.key, kept.version)?;
        let mut held = Self::new(&Arc::new(relation))?;
        let (keys, cells) = rows.columns().split_at(kept.key.len());
        let groups = held.groups_of(keys)?;
        let values = cells.iter().map(|column| held.values_of(column)).collect::<Result<Vec<_>>>()?;
        for (row, given) in kept.given.iter().enumerate() {
            let cell = |cell: usize| given.contains(&cell).then(|| values[cell].row(row).owned());
            held.groups.insert(groups.row(row).owned(), (0..values.len()).map(cell).collect());
        }
        Ok(held)
    }
}
