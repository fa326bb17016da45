//! A condition on the rows of one relation, decided on changelogs with absent values.

use aqueduct_model::{Batch, Error, Op, Relation, Result};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;

use crate::sql::{BoundExpression, Expression};
use crate::verdicts::Verdicts;

/// What a condition says of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It holds.
    Yes,
    /// It does not hold, or is NULL.
    No,
    /// A value that it needs was not sent by the source.
    Unknown,
    /// It cannot be computed; the index of the reason.
    Failed(usize),
}

/// What a condition says of each row of a batch.
#[derive(Debug)]
pub(crate) struct Answers {
    yes: BooleanBuffer,
    /// Where every value needed is present; `None`: everywhere.
    known: Option<BooleanArray>,
    failed: Vec<(usize, String)>,
}

impl Answers {
    /// The answer for one row.
    pub(crate) fn get(&self, row: usize) -> Answer {
        if self.known.as_ref().is_some_and(|known| !known.value(row)) {
            return Answer::Unknown;
        }
        match self.failed.binary_search_by_key(&row, |(failed, _)| *failed) {
            Ok(index) => Answer::Failed(index),
            Err(_) if self.yes.value(row) => Answer::Yes,
            Err(_) => Answer::No,
        }
    }

    /// Why rows failed, rising by row.
    pub(crate) fn reason(&self, index: usize) -> &str {
        &self.failed[index].1
    }

    /// True when the condition holds for no row, and that is certain.
    pub(crate) fn is_never(&self) -> bool {
        self.is_certain() && self.yes.count_set_bits() == 0
    }

    /// True when each row has its yes or no.
    fn is_certain(&self) -> bool {
        self.known.is_none() && self.failed.is_empty()
    }
}

/// A condition bound to a relation.
#[derive(Debug)]
pub(crate) struct Predicate(BoundExpression);

impl Predicate {
    /// Binds a condition.
    ///
    /// # Errors
    /// `Config` when it does not fit the relation or is not a condition.
    pub(crate) fn bind(expression: &Expression, relation: &Relation) -> Result<Self> {
        Self::new(expression.bind(relation)?, expression)
    }

    /// A condition from a bound expression.
    ///
    /// # Errors
    /// `Config` when it is not a condition.
    pub(crate) fn new(bound: BoundExpression, expression: &Expression) -> Result<Self> {
        match bound.data_type() {
            DataType::Boolean | DataType::Null => Ok(Self(bound)),
            other => Err(Error::config(format!("`{}` is not a condition: its type is {other}", expression.text()))
                .with_hint("compare it with something, for example `amount > 100`")),
        }
    }

    /// Answers for each row.
    pub(crate) fn answer(&self, batch: &Batch) -> Result<Answers> {
        let evaluated = self.0.evaluate_rows(batch.rows())?;
        let yes = match evaluated.values.data_type() {
            DataType::Boolean => {
                let values = evaluated.values.as_boolean();
                match values.nulls() {
                    Some(nulls) if nulls.null_count() > 0 => values.values() & nulls.inner(),
                    _ => values.values().clone(),
                }
            }
            _ => BooleanBuffer::new_unset(batch.num_rows()),
        };
        Ok(Answers { yes, known: present(self.0.columns(), batch), failed: evaluated.failed })
    }

    /// Decides which rows go on.
    ///
    /// Old rows (deletes, old halves of updates) of which a needed value is absent go on: downstream they take back a
    /// row, or nothing. New rows of which a needed value is absent are refused. An old row for which the condition
    /// cannot be computed was refused when it was new, so there is nothing to take back.
    pub(crate) fn decide(&self, batch: &Batch) -> Result<Verdicts> {
        let answers = self.answer(batch)?;
        if answers.is_certain() {
            return Ok(Verdicts { keep: BooleanArray::new(answers.yes, None), refused: Vec::new() });
        }
        let mut refused = Vec::new();
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let old = matches!(batch.op(row), Op::Delete | Op::UpdateBefore);
            let answer = answers.get(row);
            match answer {
                Answer::Unknown if !old => refused.push((row, self.absent_reason(batch, row))),
                Answer::Failed(index) if !old => refused.push((row, answers.reason(index).to_owned())),
                _ => {}
            }
            keep.push(answer == Answer::Yes || (old && answer == Answer::Unknown));
        }
        Ok(Verdicts { keep: BooleanArray::from(keep), refused })
    }

    /// The columns that it needs.
    pub(crate) fn columns(&self) -> &[usize] {
        self.0.columns()
    }

    /// Why a row without a needed value is refused.
    pub(crate) fn absent_reason(&self, batch: &Batch, row: usize) -> String {
        absent_reason(self.columns(), batch, row)
    }
}

/// Why a row is refused that lacks the value of one of these columns.
pub(crate) fn absent_reason(columns: &[usize], batch: &Batch, row: usize) -> String {
    let absent = columns.iter().find(|&&i| batch.present(i).is_some_and(|present| !present.value(row)));
    let name = absent.map_or("a column", |&i| batch.relation().columns().field(i).name());
    format!(
        "the source did not send the value of {name}, which a condition needs; have it send full rows \
         (replica identity full, binlog_row_image=FULL)"
    )
}

/// Where the values of all these columns are present; `None`: everywhere.
pub(crate) fn present(columns: &[usize], batch: &Batch) -> Option<BooleanArray> {
    let masks = columns.iter().filter_map(|&column| batch.present(column));
    masks.map(|mask| mask.values().clone()).reduce(|all, mask| &all & &mask).map(|all| BooleanArray::new(all, None))
}
