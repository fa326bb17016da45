//! `SQL` over streams: `select … from t group by …`, kept exact while the table changes or goes on for ever.
//!
//! * `plan` takes a query apart into stages, each with the settings of an operator that there is already: `Filter` for
//!   `where`, `Group` or `Window` for `group by`, and a query of each row alone for the list of columns and `having`.
//! * `chain` runs the stages one behind the other as one operator.

mod chain;
mod operator;
mod plan;
#[cfg(test)]
mod tests;

pub(super) use operator::build;
pub(super) use plan::Plan;
