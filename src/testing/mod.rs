//! Tests of flows: given rows, changes, DDL, checkpoints and kills, what do the targets hold?
//!
//! * A test's sources and sinks are in memory; its operators are the flow's own, in the real engine, with its coordinator
//!   and a checkpoint store in memory. No server is asked, nothing is written.
//! * A `restart` is a real one: the generation is torn down in the middle of an epoch, and fresh tasks go on from the last
//!   checkpoint. Epochs end where the test says `checkpoint`, and nowhere else.
//! * What is compared is the table that the changes make, or the changes themselves, at any task and port.
//!
//! Not here: connectors (their conformance suite tests them) and the time that things take.

mod bad_row;
mod case;
mod cell;
mod column_type;
mod compare;
mod coverage;
mod ddl;
mod expectation;
mod given;
mod infer;
mod junit;
pub(crate) mod keys;
mod plugins;
pub(crate) mod recorder;
mod rewrite;
mod rows;
mod run;
mod script;
mod sequence;
mod source;
mod suite;
mod table;
pub(crate) mod table_state;
pub(crate) mod tap;
mod yaml_text;

#[cfg(test)]
mod tests;

pub(crate) use cell::texts as cells;
pub(crate) use compare::Difference;
pub(crate) use coverage::Coverage;
pub(crate) use junit::junit;
pub(crate) use rewrite::rewrite;
pub(crate) use run::{Outcome, Verdict, run_case};
pub(crate) use suite::{Suite, find};
