//! What happens when: the choices that a capture leaves to its user.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whether the rows that are already there are read before the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// At the first start.
    #[default]
    Initial,
    /// Not at all: changes from the first start on. Tables that are created later are still read whole.
    Never,
    /// At the first start, and then the task ends.
    InitialOnly,
    /// As `initial`, and again whenever the source no longer has what comes next: the target tables are emptied first.
    WhenNeeded,
    /// At every start: existing rows come again, as updates.
    Always,
}

/// What happens when the source no longer has what comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostPosition {
    /// The flow stops with an error that says why.
    #[default]
    Fail,
    /// The target tables are emptied and everything is read again.
    Resnapshot,
}

/// What becomes of DDL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaChanges {
    /// Every change is passed on; what the target cannot follow stops the flow.
    #[default]
    Evolve,
    /// Changes that fit everywhere are passed on: new tables, new, renamed and altered columns. Dropped columns stay, and
    /// are null from then on; a dropped table stays, and another one of its name comes as updates of it.
    TryEvolve,
    /// Nothing is ever taken away: new columns are added, a renamed column is a new one beside the old one, which is null
    /// from then on, as a dropped one is; a dropped table stays.
    Lenient,
    /// Nothing is passed on: rows keep the columns that they had; a column that is gone is null.
    Ignore,
    /// Every change stops the flow.
    Exception,
    /// The table is parked: its changes are withheld until a person approves (`aqueduct cdc approve`), the other tables
    /// go on.
    Ask,
}

/// What happens when one table cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnTableError {
    /// The flow stops.
    #[default]
    Fail,
    /// The table is set aside with its error, the other tables go on; `aqueduct cdc approve` reads it anew.
    Park,
}

/// What becomes of TRUNCATE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truncates {
    /// The target is emptied too.
    #[default]
    Apply,
    /// The target keeps its rows.
    Ignore,
    /// The flow stops.
    Error,
}
