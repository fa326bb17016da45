//! `ColumnToRow` (unpivot): makes a row of each of several columns.
//!
//! Each of the columns gives a batch of its own, of which the other columns are those of the input: nothing is copied,
//! and what happens to a row happens to its rows.

mod config;
mod layout;
mod operator;
#[cfg(test)]
mod tests;

pub use config::{ColumnToRowConfig, Nulls};
pub use operator::ENTRY;
