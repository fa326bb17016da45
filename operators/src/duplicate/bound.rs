//! Rows and their keys as bytes.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, ErrorKind, Relation, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::row::{RowConverter, Rows, SortField};

use crate::kept_relation::KeptRelation;

/// The columns that tell rows apart, of one version of a table.
pub(crate) struct Bound {
    relation: Arc<Relation>,
    by: Vec<usize>,
    keys: RowConverter,
    rows: RowConverter,
    /// What kept keys and rows depend on.
    pub(crate) shape: String,
    /// The table, where whole rows are kept.
    pub(super) kept: Option<KeptRelation>,
}

impl Bound {
    /// The columns of `by`; all of them when it is empty. With `keeps_rows` whole rows are kept too.
    ///
    /// # Errors
    /// `Config` when a column does not exist, or cannot be compared.
    pub(crate) fn new(relation: &Arc<Relation>, by: &[String], keeps_rows: bool) -> Result<Self> {
        let all = 0..relation.columns().fields().len();
        let by: Vec<usize> = match by.is_empty() {
            true => all.clone().collect(),
            false => by
                .iter()
                .map(|name| relation.column(name).map(|(index, _)| index).map_err(|error| error.with_setting("by")))
                .collect::<Result<_>>()?,
        };
        let converter = |columns: &mut dyn Iterator<Item = usize>| {
            let fields = columns.map(|index| SortField::new(relation.columns().field(index).data_type().clone()));
            RowConverter::new(fields.collect()).map_err(|error| {
                Error::config(format!("columns of {} cannot be compared", relation.name()))
                    .with_setting("by")
                    .with_source(error)
                    .with_hint("name columns of plain types in `by`, or convert the others to text before")
            })
        };
        let keys = converter(&mut by.iter().copied())?;
        let rows = if keeps_rows { converter(&mut all.clone())? } else { converter(&mut std::iter::empty())? };
        let kept: Vec<usize> = if keeps_rows { by.iter().copied().chain(all).collect() } else { by.clone() };
        let shape = kept.iter().map(|&index| relation.columns().field(index).data_type().to_string());
        let shape = shape.collect::<Vec<_>>().join(" ");
        let kept = keeps_rows.then(|| KeptRelation::of(relation)).transpose()?;
        Ok(Self { relation: relation.clone(), by, keys, rows, shape, kept })
    }

    /// The keys of a batch's rows.
    pub(crate) fn keys(&self, batch: &Batch) -> Result<Rows> {
        let columns: Vec<ArrayRef> = self.by.iter().map(|&index| batch.rows().column(index).clone()).collect();
        self.keys.convert_columns(&columns).map_err(unfit)
    }

    /// The whole rows of a batch.
    pub(crate) fn rows(&self, batch: &Batch) -> Result<Rows> {
        self.rows.convert_columns(batch.rows().columns()).map_err(unfit)
    }

    /// Rows that were kept as bytes.
    ///
    /// # Errors
    /// `State` when they are not of these columns.
    pub(crate) fn restored(&self, kept: &[Vec<u8>]) -> Result<RecordBatch> {
        let parser = self.rows.parser();
        let columns = self.rows.convert_rows(kept.iter().map(|bytes| parser.parse(bytes))).map_err(foreign)?;
        // Dictionaries come back as plain values.
        let fields = self.relation.columns().fields();
        let columns = columns.into_iter().zip(fields).map(|(column, field)| cast(&column, field.data_type()));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(foreign)?;
        RecordBatch::try_new(self.relation.columns().clone(), columns).map_err(foreign)
    }

    /// The table.
    pub(crate) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("rows do not fit their own columns").with_source(error)
}

fn foreign(error: arrow::error::ArrowError) -> Error {
    Error::new(ErrorKind::State, "the kept rows are not of their table's columns").with_source(error)
}
