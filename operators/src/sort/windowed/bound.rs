//! The settings, bound to the columns of the input.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Relation, Result};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, take_record_batch};
use arrow::row::{RowConverter, Rows, SortField};

use crate::event_time::{check, millis};
use crate::group::{converter, restored};
use crate::one_table::Shaped;
use crate::sort::config::Settings;
use crate::sql::BoundExpression;
use crate::verdicts::Refused;

/// See the module.
pub(super) struct Bound {
    until: BoundExpression,
    /// The columns of the groups, and how they become bytes.
    per: Option<(Vec<usize>, RowConverter)>,
    by: Vec<BoundExpression>,
    order: RowConverter,
    rows: RowConverter,
    relation: Arc<Relation>,
    /// What the state depends on, as text.
    shape: String,
}

/// What decides where the rows of a batch go.
pub(super) struct Places {
    /// The end of each row's window, in milliseconds.
    pub(super) until: Vec<Option<i64>>,
    groups: Option<Rows>,
    order: Rows,
    /// Rows without a window, or without an order.
    pub(super) refused: Refused,
}

impl Shaped for Bound {
    fn shape(&self) -> &str {
        &self.shape
    }
}

impl Bound {
    /// # Errors
    /// `Config` for unknown columns and types that have no order.
    pub(super) fn new(settings: &Settings, until: &crate::sql::Expression, input: &Arc<Relation>) -> Result<Self> {
        let until = until.bind(input).map_err(|error| error.with_setting("until"))?;
        check(until.data_type(), "until")?;
        let mut per = Vec::new();
        for name in &settings.per {
            per.push(input.column(name).map_err(|error| error.with_setting("per"))?.0);
        }
        let fields = input.columns().fields();
        let per = match per.is_empty() {
            true => None,
            false => {
                let groups = converter(per.iter().map(|&column| fields[column].as_ref()));
                let groups = groups.map_err(|error| error.with_setting("per"))?;
                Some((per, groups))
            }
        };
        let (mut by, mut order, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for key in &settings.by {
            let bound = key.expression()?.bind(input).map_err(|error| error.with_setting("by"))?;
            let options: SortOptions = key.options();
            words.push(format!("{} {options:?}", bound.data_type()));
            order.push(SortField::new_with_options(bound.data_type().clone(), options));
            by.push(bound);
        }
        let unsortable =
            |error| Error::config("values of this type have no order").with_setting("by").with_source(error);
        let order = RowConverter::new(order).map_err(unsortable)?;
        let rows = converter(fields.iter().map(AsRef::as_ref))?;
        let columns: Vec<_> = fields.iter().map(|field| (field.name(), field.data_type())).collect();
        let shape = format!("{columns:?} per {:?} by {words:?}", settings.per);
        Ok(Self { until, per, by, order, rows, relation: input.clone(), shape })
    }

    /// # Errors
    /// `Data` when an end is too far away.
    pub(super) fn places(&self, batch: &Batch) -> Result<Places> {
        let until = self.until.evaluate_rows(batch.rows())?;
        let mut refused = until.failed;
        let until = millis(&until.values, "until")?;
        let mut by: Vec<ArrayRef> = Vec::new();
        for key in &self.by {
            let key = key.evaluate_rows(batch.rows())?;
            refused.extend(key.failed);
            by.push(key.values);
        }
        let is_known = |i: &usize| refused.iter().any(|(row, _)| row == i);
        let endless = until.iter().enumerate().filter(|(_, end)| end.is_none()).map(|(i, _)| i);
        let endless: Vec<usize> = endless.filter(|i| !is_known(i)).collect();
        refused.extend(endless.into_iter().map(|i| (i, "it has no window: `until` is NULL".to_owned())));
        refused.sort();
        refused.dedup_by_key(|(row, _)| *row);
        let groups = match &self.per {
            Some((columns, groups)) => {
                let columns: Vec<ArrayRef> =
                    columns.iter().map(|&column| batch.rows().column(column).clone()).collect();
                Some(groups.convert_columns(&columns).map_err(unfit)?)
            }
            None => None,
        };
        Ok(Places { until, groups, order: self.order.convert_columns(&by).map_err(unfit)?, refused })
    }

    /// Some rows of a batch, as bytes.
    pub(super) fn bytes(&self, batch: &Batch, chosen: &[u32]) -> Result<Rows> {
        let chosen = UInt32Array::from(chosen.to_vec());
        let rows = take_record_batch(batch.rows(), &chosen).map_err(unfit)?;
        self.rows.convert_columns(rows.columns()).map_err(unfit)
    }

    /// Rows from their bytes.
    ///
    /// # Errors
    /// `State` when they are not of these columns.
    pub(super) fn batch(&self, rows: &[Vec<u8>]) -> Result<Batch> {
        let columns = restored(&self.rows, rows.iter().map(Vec::as_slice))?;
        let rows = RecordBatch::try_new(self.relation.columns().clone(), columns)
            .map_err(|error| Error::bug("kept rows do not fit their own columns").with_source(error))?;
        Batch::inserts(self.relation.clone(), rows)
    }
}

impl Places {
    /// The group of a row, as bytes.
    pub(super) fn group(&self, row: usize) -> Vec<u8> {
        self.groups.as_ref().map(|groups| groups.row(row).as_ref().to_vec()).unwrap_or_default()
    }

    /// What a row is sorted by, as bytes.
    pub(super) fn order(&self, row: usize) -> arrow::row::Row<'_> {
        self.order.row(row)
    }
}

fn unfit(error: arrow::error::ArrowError) -> Error {
    Error::bug("rows do not fit their own columns").with_source(error)
}
