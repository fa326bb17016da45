//! Queries that need all rows: groups, joins, orders, windows, sets. They are run by DataFusion at the end of their inputs,
//! over the rows that were kept.
//!
//! * The inputs are bounded and append-only; the planner sees to that by the operator's properties.
//! * **Bounded.** Memory in equal shares; sorts, groups and sort-merge joins write what does not fit into files. A join by hash is
//!   chosen where its smaller side surely fits, and given up for a sort-merge join when it did not.
//! * **Exact.** Sums and arithmetic of whole numbers and decimals that do not fit their type are errors, never wrapped; one
//!   partition, so that the same rows in the same order give the same result in the same order.
//! * No functions that give another value each time, no files, no DDL.

mod arithmetic;
mod explain;
mod made;
mod names;
mod operator;
mod query;
mod run;
mod session;
mod shares;
mod sum;
mod table;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use made::{First, SortKey, quoted};
pub(super) use operator::build;
pub(crate) use query::WholeQuery;
pub(crate) use run::Input;
pub(crate) use work::{Target, Work, all_known};
