//! `Group`: totals per group, kept exact through inserts, updates and deletes.
//!
//! What comes out is a table with one row per group, as a changelog: folding it by key gives what a query over the folded
//! input would give, at every point. A checkpoint holds the totals; rows that were counted before a crash are not counted
//! again.
//!
//! * `retract` turns the input into rows to add and rows to take away, remembering rows where the source does not send
//!   old values.
//! * `total` is one total of one group; what cannot be taken back from a total (least and greatest value, distinct
//!   values) is kept as a set of values beside it.
//! * Sums of floating point numbers are exact and rounded once: the order of rows and the place of a crash do not matter.

mod bound;
mod columns;
mod config;
mod exact;
mod merge;
mod operator;
mod output;
mod retract;
#[cfg(test)]
mod tests;
mod total;
mod values;

pub(crate) use bound::{Bound, converter, restored};
pub(crate) use columns::Columns;
pub use config::{By, GroupConfig};
pub(crate) use config::{Parsed, check_memory, state_memory};
pub(crate) use merge::remove;
pub use operator::ENTRY;
pub(crate) use output::{Group, Groups, name, totals};
pub(crate) use retract::{Moves, moves};
pub(crate) use values::Values;
