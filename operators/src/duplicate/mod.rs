//! `Duplicate`: of rows with the same key only the first or the last, within a horizon of time or rows.
//!
//! What was seen is kept in `state`, which may outgrow memory, and is forgotten behind the horizon.

mod bound;
mod config;
mod operator;
mod seen;
#[cfg(test)]
mod tests;

pub(crate) use bound::Bound;
pub use config::{DuplicateConfig, Keep};
pub(crate) use config::{check_memory, state_memory};
pub use operator::ENTRY;
pub(crate) use operator::refuse_changes;
pub(crate) use seen::Seen;
