//! Input rows that are kept for the end of a bounded input.
//!
//! * **Exact.** What [`Spool::snapshot`] returned brings back exactly the rows of that moment: a checkpoint names the
//!   files, how far each counts, and a digest over every block up to there. What was written behind that is cut off.
//! * **Incremental.** A checkpoint writes the rows that came since the one before, to the end of a file.
//! * **Bounded.** While all rows fit the budget they stay in memory too; beyond it, only those of one unwritten block.
//! * A file that a checkpoint names and that is gone or damaged is an error that says so, never fewer rows.
//!
//! Not here: updates and deletes, and any order but that of arrival.

mod intake;
mod manifest;
mod reader;
mod segment;
mod store;
mod table;

#[cfg(test)]
mod tests;

pub(crate) use intake::Intake;
pub(crate) use reader::View;
pub(crate) use store::{Spool, SpoolSettings};
