//! Generated rows, and what a target must hold after them.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow_schema::{DataType, Field, Schema};

use super::row_text::{Tables, record_texts};
use crate::{Batch, Op, Relation, RelationName, Result};

/// Makes batches of one table: `id` Int64 (key), `name` Utf8, `amount` Int64, and from version 2 on `note` Utf8.
///
/// Values are a function of the id: the same calls make the same rows.
#[derive(Debug, Clone)]
pub struct Orders {
    relation: Arc<Relation>,
}

impl Orders {
    /// The table under a name, in version 1.
    ///
    /// # Errors
    /// None in practice; the relation's own check.
    pub fn new(table: &str) -> Result<Self> {
        Self::with_version(table, 1)
    }

    /// The table under a name with that version; versions above 1 have the column `note`.
    ///
    /// # Errors
    /// None in practice; the relation's own check.
    pub fn with_version(table: &str, version: u32) -> Result<Self> {
        let mut fields = vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("amount", DataType::Int64, true),
        ];
        if version > 1 {
            fields.push(Field::new("note", DataType::Utf8, true));
        }
        let relation = Relation::new(RelationName::table(table), Arc::new(Schema::new(fields)), &["id"], version)?;
        Ok(Self { relation: Arc::new(relation) })
    }

    /// The table.
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// Inserts of the ids.
    ///
    /// # Errors
    /// None in practice; the batch's own check.
    pub fn inserts(&self, ids: impl IntoIterator<Item = i64>) -> Result<Batch> {
        let ids: Vec<(i64, i64)> = ids.into_iter().map(|id| (id, 0)).collect();
        Batch::inserts(self.relation.clone(), self.rows(&ids)?)
    }

    /// Changes: for each `(op, id, revision)` a row whose `name` and `amount` depend on id and revision.
    ///
    /// # Errors
    /// `Bug` when the ops do not pair up, see [`Batch::changes`].
    pub fn changes(&self, changes: &[(Op, i64, i64)]) -> Result<Batch> {
        let ids: Vec<(i64, i64)> = changes.iter().map(|&(_, id, revision)| (id, revision)).collect();
        let ops = UInt8Array::from_iter_values(changes.iter().map(|&(op, _, _)| op as u8));
        Batch::changes(self.relation.clone(), self.rows(&ids)?, ops)
    }

    fn rows(&self, ids: &[(i64, i64)]) -> Result<RecordBatch> {
        let name = |&(id, revision): &(i64, i64)| (id % 7 != 3).then(|| format!("name {id}.{revision}"));
        let amount = |&(id, revision): &(i64, i64)| (id % 5 != 4).then_some(id * 100 + revision);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(ids.iter().map(|&(id, _)| id))),
            Arc::new(ids.iter().map(name).collect::<StringArray>()),
            Arc::new(ids.iter().map(amount).collect::<Int64Array>()),
        ];
        if self.relation.columns().fields().len() > columns.len() {
            columns.push(Arc::new(ids.iter().map(|&(id, _)| Some(format!("note {id}"))).collect::<StringArray>()));
        }
        RecordBatch::try_new(self.relation.columns().clone(), columns)
            .map_err(|error| crate::Error::bug("cannot make the rows of a check").with_source(error))
    }
}

/// Applies a batch of [`Orders`] to what a target must hold: inserts add, updates and deletes go by the first column.
///
/// # Errors
/// `Bug` for a column whose values cannot be shown.
pub fn apply(tables: &mut Tables, batch: &Batch) -> Result<()> {
    let rows = tables.entry(batch.relation().name().table.clone()).or_default();
    let key = |text: &str| text.split('|').next().unwrap_or_default().to_owned();
    for (row, text) in record_texts(batch.rows())?.into_iter().enumerate() {
        match batch.op(row) {
            Op::Insert => rows.push(text),
            Op::UpdateBefore | Op::Delete => rows.retain(|old| key(old) != key(&text)),
            Op::UpdateAfter => {
                rows.retain(|old| key(old) != key(&text));
                rows.push(text);
            }
        }
    }
    Ok(())
}
