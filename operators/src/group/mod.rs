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
mod config;
mod exact;
mod operator;
mod output;
mod retract;
#[cfg(test)]
mod tests;
mod total;

pub use config::GroupConfig;
pub use operator::ENTRY;
