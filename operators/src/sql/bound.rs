//! Evaluating an expression, with bad rows found one by one.

use std::sync::Arc;

use aqueduct_model::Result;
use datafusion::arrow::array::{ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};

use super::reason::reason;

/// An expression that knows its input's columns; ready to evaluate, nothing is planned any more.
#[derive(Debug, Clone)]
pub struct BoundExpression {
    pub(super) physical: Arc<dyn PhysicalExpr>,
    pub(super) data_type: DataType,
    pub(super) nullable: bool,
    pub(super) columns: Vec<usize>,
}

/// What an expression makes of a batch.
#[derive(Debug)]
pub struct Evaluated {
    /// One value per row; NULL in failed rows.
    pub values: ArrayRef,
    /// Rows for which the expression cannot be computed, by index, rising, with a reason free of cell values.
    pub failed: Vec<(usize, String)>,
}

impl BoundExpression {
    /// The type of the values.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// False when a value is never NULL, given values for all columns that are not nullable.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Indices of the input columns that it needs, rising.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The input column that it is, when it is nothing more.
    pub fn plain_column(&self) -> Option<usize> {
        self.physical.downcast_ref::<Column>().map(Column::index)
    }

    /// The same expression over some of its input's columns: `kept[i]` is the old index of column `i`.
    ///
    /// # Errors
    /// `Bug` when a column that it needs is not kept.
    pub(crate) fn narrowed(self, kept: &[usize]) -> Result<Self> {
        let place = |index: usize| kept.iter().position(|old| *old == index);
        let narrowed = self.physical.transform_up(|part| {
            let Some(column) = part.downcast_ref::<Column>() else { return Ok(Transformed::no(part)) };
            let index = place(column.index())
                .ok_or_else(|| DataFusionError::Internal("a needed column is not kept".to_owned()))?;
            Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>))
        });
        let physical =
            narrowed.map_err(|error| aqueduct_model::Error::bug("cannot narrow an expression").with_source(error))?;
        let columns = self.columns.iter().filter_map(|&index| place(index)).collect();
        Ok(Self { physical: physical.data, columns, ..self })
    }

    /// True for one value that is the same for every row and not NULL.
    pub fn is_constant(&self) -> bool {
        self.physical.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null())
    }

    /// Computes one value per row. The batch has the columns of the relation that the expression is bound to.
    ///
    /// # Errors
    /// `Data` when one of the rows cannot be computed; [`BoundExpression::evaluate_rows`] finds out which.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<ArrayRef> {
        self.try_evaluate(rows)
            .map_err(|error| aqueduct_model::Error::new(aqueduct_model::ErrorKind::Data, reason(&error)))
    }

    /// Computes one value per row, and says for which rows it cannot. Costs the same as
    /// [`BoundExpression::evaluate`] while no row fails.
    ///
    /// # Errors
    /// None today; the signature leaves room for errors that are not about one row.
    pub fn evaluate_rows(&self, rows: &RecordBatch) -> Result<Evaluated> {
        match self.try_evaluate(rows) {
            Ok(values) => Ok(Evaluated { values, failed: Vec::new() }),
            Err(error) => {
                let mut parts = Vec::new();
                let mut failed = Vec::new();
                self.halve(rows, 0, &error, &mut parts, &mut failed);
                let parts: Vec<&dyn datafusion::arrow::array::Array> = parts.iter().map(AsRef::as_ref).collect();
                let values = concat(&parts).map_err(|error| {
                    aqueduct_model::Error::bug("the parts of a computed column do not fit together").with_source(error)
                })?;
                Ok(Evaluated { values, failed })
            }
        }
    }

    /// Finds the bad rows of `rows`, which as a whole failed with `error`, by halving.
    fn halve(
        &self,
        rows: &RecordBatch,
        first: usize,
        error: &DataFusionError,
        parts: &mut Vec<ArrayRef>,
        failed: &mut Vec<(usize, String)>,
    ) {
        if rows.num_rows() <= 1 {
            parts.push(new_null_array(&self.data_type, rows.num_rows()));
            failed.extend((rows.num_rows() == 1).then(|| (first, reason(error).to_owned())));
            return;
        }
        let middle = rows.num_rows() / 2;
        for (offset, length) in [(0, middle), (middle, rows.num_rows() - middle)] {
            let half = rows.slice(offset, length);
            match self.try_evaluate(&half) {
                Ok(values) => parts.push(values),
                Err(error) => self.halve(&half, first + offset, &error, parts, failed),
            }
        }
    }

    fn try_evaluate(&self, rows: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        self.physical.evaluate(rows)?.into_array(rows.num_rows())
    }
}
