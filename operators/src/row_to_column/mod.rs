//! `RowToColumn` (pivot): makes one row of several, a column for each of their names.
//!
//! It holds the rows that it made, so every change of one of the input's rows is an exact change of the row that it is
//! part of, with its old image.

mod config;
mod held;
mod layout;
mod operator;
mod pivot;
#[cfg(test)]
mod tests;

pub use config::{Emit, Others, RowToColumnConfig};
pub use operator::ENTRY;
