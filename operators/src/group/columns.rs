//! The groups and values of rows, computed.

use aqueduct_model::{Error, Result};
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::row::Rows;

use super::bound::{Bound, BoundTotal};
use super::retract::Moves;
use crate::sql::BoundExpression;

/// The groups and values of the rows that are moved.
pub(crate) struct Columns {
    pub(crate) by: Vec<ArrayRef>,
    /// By total: its prepared values, those as bytes where they are kept, and which rows count.
    pub(super) totals: Vec<(Option<ArrayRef>, Option<Rows>, Option<ArrayRef>)>,
    /// Rows that cannot be computed, by index, with the reason; rising.
    pub(crate) failed: Vec<(usize, String)>,
}

impl Columns {
    /// Evaluates the settings on the rows.
    ///
    /// # Errors
    /// None for single rows: those that cannot be computed are in `failed`.
    pub(crate) fn evaluate(bound: &Bound, moves: &Moves) -> Result<Self> {
        let mut failed: Vec<(usize, String)> = Vec::new();
        let mut evaluate = |expression: &BoundExpression, rows: &RecordBatch| -> Result<ArrayRef> {
            let evaluated = expression.evaluate_rows(rows)?;
            failed.extend(evaluated.failed);
            Ok(evaluated.values)
        };
        let by: Vec<ArrayRef> = bound.by.iter().map(|by| evaluate(by, &moves.rows)).collect::<Result<_>>()?;
        let mut totals = Vec::new();
        for BoundTotal { kind, argument, condition, values } in &bound.totals {
            let argument = argument.as_ref().map(|argument| evaluate(argument, &moves.rows)).transpose()?;
            let condition = condition.as_ref().map(|condition| evaluate(condition, &moves.rows)).transpose()?;
            let kept = match (values, &argument) {
                (Some(converter), Some(argument)) => {
                    let rows = converter.convert_columns(std::slice::from_ref(argument));
                    Some(rows.map_err(|error| Error::bug("values do not fit their own type").with_source(error))?)
                }
                _ => None,
            };
            totals.push((argument.map(|argument| kind.prepared(&argument)).transpose()?, kept, condition));
        }
        for (column, name) in by.iter().zip(bound.output.columns().fields().iter().map(|field| field.name())) {
            let nulls = (0..column.len()).filter(|i| column.is_null(*i));
            failed.extend(nulls.map(|i| (i, format!("{name} is NULL, and a group needs a key: write `coalesce(…)`"))));
        }
        failed.sort_by_key(|(i, _)| *i);
        failed.dedup_by_key(|(i, _)| *i);
        Ok(Self { by, totals, failed })
    }
}
