//! What stands between sources and sinks: one folder per operator.
//!
//! * [`Filter`](filter), [`Mapping`](mapping), [`Masking`](masking), [`SQL`](sql), [`Switch`](switch),
//!   [`Union`](union).
//! * [`sql::Expression`] is the expression that all of them share: SQL text, bound to a relation once.
//!
//! Every operator takes changelogs: folding what it emits by key gives what it makes of the folded input.
//! Invariant: nothing outside `sql/` imports DataFusion.

use aqueduct_model::PluginEntry;

mod bindings;
pub mod filter;
pub mod mapping;
pub mod masking;
mod predicate;
mod projection;
pub mod sql;
pub mod switch;
pub mod union;
mod verdicts;

#[cfg(test)]
mod tests;

/// All operators of this crate.
pub const ENTRIES: &[PluginEntry] =
    &[filter::ENTRY, mapping::ENTRY, masking::ENTRY, sql::ENTRY, switch::ENTRY, union::ENTRY];
