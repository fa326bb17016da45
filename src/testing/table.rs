//! A table of a test's source as it is at a step: what its changes make of it, and the batches that they come in.

use std::sync::Arc;

use aqueduct_engine::definition::{Span, nearest};
use aqueduct_model::{Batch, Error, Op, Relation, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt8Array};
use arrow::datatypes::Field;

use super::cell;
use super::rows::Row;
use super::table_state::Text;

/// Where a mistake is, what it is, and what to do.
pub(super) type Mistake = (Span, String, String);

/// See the module.
pub(super) struct GivenTable {
    pub(super) relation: Arc<Relation>,
    pub(super) rows: Vec<Vec<Text>>,
}

/// A change as it is written.
pub(super) enum Written {
    Insert(Row),
    /// The key and what is new; or the key before and the row after.
    Update(Row, Option<Row>),
    Upsert(Row),
    Delete(Row),
}

/// Rows on their way into a batch; a value that is not sent is `None`.
#[derive(Default)]
struct Emitted {
    ops: Vec<u8>,
    rows: Vec<Vec<Option<Text>>>,
    written: Vec<Row>,
}

impl Written {
    fn rows(&self) -> Vec<&Row> {
        match self {
            Self::Insert(row) | Self::Upsert(row) | Self::Delete(row) => vec![row],
            Self::Update(row, after) => std::iter::once(row).chain(after).collect(),
        }
    }
}

impl Emitted {
    fn push(&mut self, op: Op, row: Vec<Option<Text>>, written: &Row) {
        self.ops.push(op as u8);
        self.rows.push(row);
        self.written.push(written.clone());
    }

    fn span(&self, row: usize, column: &str) -> Option<Span> {
        let row = self.written.get(row)?;
        Some(row.cell(column).map_or(row.span, |cell| cell.span))
    }
}

impl GivenTable {
    pub(super) fn new(relation: Relation) -> Self {
        Self { relation: Arc::new(relation), rows: Vec::new() }
    }

    /// The batch that changes make, and the table after them; `None` where there are no changes.
    pub(super) fn batch(&mut self, changes: &[Written], step: Span) -> Result<Option<Batch>, Mistake> {
        let relation = self.relation.clone();
        let mut emitted = Emitted::default();
        for change in changes {
            self.emit(change, &mut emitted)?;
        }
        if emitted.rows.is_empty() {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for (i, field) in relation.columns().fields().iter().enumerate() {
            let texts: Vec<Text> = emitted.rows.iter().map(|row| row[i].clone().flatten()).collect();
            let column = cell::column(&texts, field.data_type()).map_err(|cause| {
                // The row at fault is looked for only now.
                let unfit = |text: &Text| cell::column(std::slice::from_ref(text), field.data_type()).is_err();
                let span = texts.iter().position(unfit).and_then(|at| emitted.span(at, field.name()));
                let hint = format!("write another value, or give `{}` another type under `tables:`", field.name());
                (span.unwrap_or(step), format!("`{}`: {cause}", field.name()), hint)
            })?;
            columns.push(column);
        }
        if let Some(&i) = relation.key().iter().find(|&&i| columns[i].null_count() > 0) {
            let name = relation.columns().field(i).name();
            let hint = "give the key of every row, or `key: []` under `tables:`".to_owned();
            return Err((step, format!("a row has no `{name}`, which is in the key"), hint));
        }
        let bug = |error: Error| (step, error.chain(), "this is a bug: please report it with the test".to_owned());
        assemble(relation, columns, &emitted).map(Some).map_err(bug)
    }

    /// The rows that one change makes; the table after it.
    fn emit(&mut self, change: &Written, out: &mut Emitted) -> Result<(), Mistake> {
        for row in change.rows() {
            self.check_columns(row)?;
        }
        match change {
            Written::Insert(row) => {
                let values = self.values(row, None);
                out.push(Op::Insert, values.iter().cloned().map(Some).collect(), row);
                self.rows.push(values);
            }
            Written::Update(row, after) => {
                let at = self.find(row)?;
                let before = self.rows[at].clone();
                let after_row = after.as_ref().unwrap_or(row);
                let values = self.values(after_row, Some(&before));
                out.push(Op::UpdateBefore, before.into_iter().map(Some).collect(), row);
                out.push(Op::UpdateAfter, values.iter().cloned().map(Some).collect(), after_row);
                self.rows[at] = values;
            }
            Written::Upsert(row) => {
                let held = self.find(row).ok();
                let before = held.map(|at| self.rows[at].clone());
                let sent = |field: &Arc<Field>| row.cell(field.name()).map(|cell| cell.text.clone());
                out.push(Op::UpdateAfter, self.relation.columns().fields().iter().map(sent).collect(), row);
                let values = self.values(row, before.as_ref());
                match held {
                    Some(at) => self.rows[at] = values,
                    None => self.rows.push(values),
                }
            }
            Written::Delete(row) => {
                let at = self.find(row)?;
                let values = self.rows.remove(at);
                out.push(Op::Delete, values.into_iter().map(Some).collect(), row);
            }
        }
        Ok(())
    }

    /// The whole row that a written one means: what it does not name comes from the old row, or is NULL.
    fn values(&self, row: &Row, old: Option<&Vec<Text>>) -> Vec<Text> {
        let value = |(i, field): (usize, &Arc<Field>)| match row.cell(field.name()) {
            Some(cell) => cell.text.clone(),
            None => old.and_then(|old| old[i].clone()),
        };
        self.relation.columns().fields().iter().enumerate().map(value).collect()
    }

    fn check_columns(&self, row: &Row) -> Result<(), Mistake> {
        let known: Vec<&str> = self.relation.columns().fields().iter().map(|field| field.name().as_str()).collect();
        match row.cells.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, cell)) => {
                let near = nearest(name, known.iter().copied()).map(|near| format!("did you mean `{near}`? "));
                let hint = format!("{}the columns are: {}", near.unwrap_or_default(), known.join(", "));
                Err((cell.span, format!("{} has no column `{name}` here", self.relation.name()), hint))
            }
        }
    }

    /// The row that has the key, or all values, of a written one.
    fn find(&self, row: &Row) -> Result<usize, Mistake> {
        let fields = self.relation.columns().fields();
        let key: Vec<usize> = match self.relation.key() {
            [] => (0..fields.len()).filter(|&i| row.cell(fields[i].name()).is_some()).collect(),
            key => key.to_vec(),
        };
        if let Some(&missing) = key.iter().find(|&&i| row.cell(fields[i].name()).is_none()) {
            let name = fields[missing].name();
            return Err((row.span, format!("the key column `{name}` is missing"), format!("add `{name}: …`")));
        }
        let spelled = |i: usize, text: &Text| cell::expected(text.clone(), fields[i].data_type());
        let same = |held: &Vec<Text>| {
            let same_cell = |&i: &usize| {
                let written = row.cell(fields[i].name());
                written.is_some_and(|cell| spelled(i, &cell.text) == spelled(i, &held[i]))
            };
            key.iter().all(same_cell)
        };
        self.rows.iter().position(same).ok_or_else(|| {
            let hint = "insert it in a step before, or use `upsert` for a source that does not know";
            (row.span, "there is no row with this key at this point".to_owned(), hint.to_owned())
        })
    }
}

fn assemble(relation: Arc<Relation>, columns: Vec<ArrayRef>, out: &Emitted) -> Result<Batch> {
    let rows = RecordBatch::try_new(relation.columns().clone(), columns)
        .map_err(|error| Error::bug("rows do not fit their table").with_source(error))?;
    let mut batch = match out.ops.iter().all(|&op| op == Op::Insert as u8) {
        true => Batch::inserts(relation, rows)?,
        false => Batch::changes(relation, rows, UInt8Array::from(out.ops.clone()))?,
    };
    for column in 0..batch.rows().num_columns() {
        let present: Vec<bool> = out.rows.iter().map(|row| row[column].is_some()).collect();
        batch = batch.with_present(column, BooleanArray::from(present))?;
    }
    Ok(batch)
}
