//! A captured table at work: its columns in the log, and as they are handed out.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Relation, Result};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::Schema;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// As the log has it at the stream's place.
    pub(super) source: Arc<Relation>,
    /// As rows are handed out; the same where no policy keeps it another.
    pub(super) shown: Arc<Relation>,
}

impl Table {
    /// A table that is handed out as it is.
    pub(super) fn plain(source: Arc<Relation>) -> Self {
        Self { shown: source.clone(), source }
    }

    /// True when rows are handed out as they come.
    pub(super) fn is_plain(&self) -> bool {
        self.source.columns() == self.shown.columns() && self.source.key() == self.shown.key()
    }

    /// The rows as they are handed out: columns by name, null where the source has them no more.
    ///
    /// # Errors
    /// `Schema` when a value does not fit the type that the policy keeps.
    pub(super) fn show(&self, batch: Batch) -> Result<Batch> {
        if Arc::ptr_eq(batch.relation(), &self.shown) {
            return Ok(batch);
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.shown.columns().fields().len());
        let mut origins = Vec::with_capacity(columns.capacity());
        for field in self.shown.columns().fields() {
            let origin = batch.relation().columns().index_of(field.name()).ok();
            origins.push(origin);
            columns.push(match origin.map(|origin| batch.rows().column(origin)) {
                None => new_null_array(field.data_type(), batch.num_rows()),
                Some(column) if column.data_type() == field.data_type() => column.clone(),
                Some(column) => {
                    let exact = CastOptions { safe: false, ..CastOptions::default() };
                    cast_with_options(column, field.data_type(), &exact).map_err(|_| self.unfit(field.name()))?
                }
            });
        }
        let rows = RecordBatch::try_new(self.shown.columns().clone(), columns)
            .map_err(|error| self.unfit("a column that may not be null").with_source(error))?;
        batch.with_columns(self.shown.clone(), rows, &origins)
    }

    fn unfit(&self, column: &str) -> Error {
        let name = self.shown.name();
        Error::new(ErrorKind::Schema, format!("rows of {name} no longer fit the columns they had before: {column}"))
            .with_setting("schema_change")
            .with_hint("set `schema_change: evolve` to pass changes of columns on")
    }
}

/// `shown` with what `source` has beside it, and nullable where `source` has it no more.
///
/// # Errors
/// `Schema` when a key column is gone.
pub(super) fn widened(shown: &Relation, source: &Relation, adds: bool) -> Result<Relation> {
    let mut fields = Vec::new();
    for field in shown.columns().fields() {
        let is_there = source.columns().index_of(field.name()).is_ok();
        fields.push(if is_there { field.as_ref().clone() } else { field.as_ref().clone().with_nullable(true) });
    }
    if adds {
        for field in source.columns().fields() {
            if shown.columns().index_of(field.name()).is_err() {
                fields.push(field.as_ref().clone().with_nullable(true));
            }
        }
    }
    if let Some(gone) = shown.key_names().into_iter().find(|name| source.columns().index_of(name).is_err()) {
        return Err(Error::new(ErrorKind::Schema, format!("key column {gone} of {} is gone", shown.name()))
            .with_setting("schema_change")
            .with_hint("set `schema_change: evolve`, then `aqueduct checkpoint reset` if the target cannot follow"));
    }
    Relation::new(shown.name().clone(), Arc::new(Schema::new(fields)), &shown.key_names(), source.version())
}
