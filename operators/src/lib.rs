//! What stands between sources and sinks: one folder per operator.
//!
//! * [`Checker`](checker), [`ColumnToRow`](column_to_row), [`Delay`](delay), [`Duplicate`](duplicate), [`Filter`](filter),
//!   [`Function`](function), [`Group`](group), [`If`](if_else), [`Join`](join), [`Mapping`](mapping),
//!   [`Masking`](masking), [`RowToColumn`](row_to_column), [`Samples`](samples), [`Sort`](sort), [`Split`](split),
//!   [`SQL`](sql), [`Str`](str), [`Switch`](switch), [`Union`](union), [`Unique`](unique), [`Watermark`](watermark),
//!   [`Window`](window).
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
pub mod delay;
mod described;
pub mod duplicate;
mod event_time;
pub mod filter;
pub mod for_each;
pub mod function;
pub mod group;
pub mod if_else;
pub mod join;
mod kept_relation;
mod kept_rows;
pub mod mapping;
pub mod masking;
mod one_table;
mod predicate;
mod projection;
pub mod row_to_column;
pub(crate) mod runs;
pub mod samples;
pub mod sort;
pub mod split;
mod spool;
pub mod sql;
pub mod starter;
mod state;
pub mod str;
pub mod sub_flow;
pub mod switch;
mod text;
pub mod union;
pub mod unique;
mod verdicts;
pub mod watermark;
pub mod while_loop;
pub mod window;

#[cfg(test)]
mod tests;

/// All operators of this crate.
pub const ENTRIES: &[PluginEntry] = &[
    checker::ENTRY,
    column_to_row::ENTRY,
    delay::ENTRY,
    duplicate::ENTRY,
    filter::ENTRY,
    for_each::ENTRY,
    function::ENTRY,
    group::ENTRY,
    if_else::ENTRY,
    join::ENTRY,
    mapping::ENTRY,
    masking::ENTRY,
    row_to_column::ENTRY,
    samples::ENTRY,
    sort::ENTRY,
    split::ENTRY,
    sql::ENTRY,
    starter::ENTRY,
    str::ENTRY,
    sub_flow::ENTRY,
    switch::ENTRY,
    union::ENTRY,
    unique::ENTRY,
    watermark::ENTRY,
    while_loop::ENTRY,
    window::ENTRY,
];
