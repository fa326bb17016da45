//! A join kept exact while both tables change.
//!
//! The rows of both tables are kept by what has to be equal. A row that comes or goes meets the rows of the other table
//! with the same values: each pair is a row of the output that comes or goes. Each kept row knows how many partners it
//! has, so that a row of an outer join with NULLs comes and goes with the last and the first of them.
//!
//! * `kept` is the state: the rows of both tables.
//! * `fold` is the join itself, row by row.
//! * `pairs` turns what comes and goes into changes of the output, compacted by key.

mod fold;
mod kept;
mod operator;
mod pairs;
#[cfg(test)]
mod tests;

pub(super) use operator::ChangelogJoin;
