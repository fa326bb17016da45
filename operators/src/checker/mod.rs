//! `Checker`: lets the rows through that keep all rules; the others go to the port `rejected` with all their reasons.
//!
//! Each port is the changelog of its own part of the table: a row that begins to break a rule is deleted on the main
//! port and inserted on `rejected`. What became of a row is kept where other rows had a say in it (`kept`), so that a later
//! delete goes the way that the row went.
//!
//! * `rule` reads the settings; `condition` has the rules that a row decides alone, as SQL.
//! * `bound` binds the rules to a table, `judge` asks them about each row, `kept` is what they remember.
//! * `references` keeps the inputs that rules refer to; the planner has them read to their end first.

mod bound;
mod condition;
mod config;
mod judge;
mod kept;
mod operator;
mod references;
mod rejected;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{Check, CheckerConfig, Freshness, Length, Range, Reference, RowCount, Rule};
pub use operator::ENTRY;
