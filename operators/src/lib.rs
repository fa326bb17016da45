//! What stands between sources and sinks: one folder per operator.
//!
//! * [`Checker`](checker), [`ColumnToRow`](column_to_row), [`Filter`](filter), [`Function`](function),
//!   [`Group`](group), [`If`](if_else), [`Mapping`](mapping), [`Masking`](masking), [`RowToColumn`](row_to_column), [`Samples`](samples),
//!   [`Split`](split), [`SQL`](sql), [`Str`](str), [`Switch`](switch), [`Union`](union).
//! * Control: [`Starter`](starter) and [`For`](for_each) make rows of which [`SubFlow`](sub_flow) and
//!   [`While`](while_loop) make runs of other flows.
//! * [`sql::Expression`] is the expression that all of them share: SQL text, bound to a relation once.
//!
//! Every operator takes changelogs, unless its properties say otherwise: folding what it emits by key gives what it makes
//! of the folded input.
//! Invariant: nothing outside `sql/` imports DataFusion.

use aqueduct_model::PluginEntry;

mod bindings;
pub mod checker;
pub mod column_to_row;
mod described;
pub mod filter;
pub mod for_each;
pub mod function;
pub mod group;
pub mod if_else;
mod kept_rows;
pub mod mapping;
pub mod masking;
mod predicate;
mod projection;
pub mod row_to_column;
pub(crate) mod runs;
pub mod samples;
pub mod split;
pub mod sql;
pub mod starter;
mod state;
pub mod str;
pub mod sub_flow;
pub mod switch;
mod text;
pub mod union;
mod verdicts;
pub mod while_loop;

#[cfg(test)]
mod tests;

/// All operators of this crate.
pub const ENTRIES: &[PluginEntry] = &[
    checker::ENTRY,
    column_to_row::ENTRY,
    filter::ENTRY,
    for_each::ENTRY,
    function::ENTRY,
    group::ENTRY,
    if_else::ENTRY,
    mapping::ENTRY,
    masking::ENTRY,
    row_to_column::ENTRY,
    samples::ENTRY,
    split::ENTRY,
    sql::ENTRY,
    starter::ENTRY,
    str::ENTRY,
    sub_flow::ENTRY,
    switch::ENTRY,
    union::ENTRY,
    while_loop::ENTRY,
];
