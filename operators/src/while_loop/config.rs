//! The settings of `While`.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use aqueduct_model::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::runs::OnError;

/// Which flow, as long as which condition holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhileConfig {
    /// The flow's file, relative to the file of this flow.
    pub flow: PathBuf,
    /// It is run again as long as this SQL condition holds for the last row that it handed back: `has_more`,
    /// `page < pages`. A run that hands nothing back is the last one.
    #[serde(rename = "while")]
    pub condition: String,
    /// Values of its parameters; `${row.column}` is a value of the row that came in. Without it, every column whose name
    /// the flow declares as a parameter is one.
    #[serde(default)]
    pub params: Option<BTreeMap<String, Value>>,
    /// From the second run on: parameters that take their value from a column of the last row, as
    /// `{ page: next_page }`.
    #[serde(default)]
    pub carry: BTreeMap<String, String>,
    /// Which rows are given on: all that are handed back, or the last one.
    #[serde(default)]
    pub emit: Emit,
    /// More runs than this are an error.
    #[serde(default = "thousand")]
    pub max_runs: NonZeroU64,
    /// No other run is begun after this time; that is an error.
    #[serde(default)]
    pub max_time: Option<HumanDuration>,
    /// How many rows are worked on at a time.
    #[serde(default = "one")]
    pub parallel: NonZeroUsize,
    /// What a run that fails leads to.
    #[serde(default)]
    pub on_error: OnError,
    /// Columns of the row that go in front of every row that is given on.
    #[serde(default)]
    pub keep: Vec<String>,
}

/// Which rows are given on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// All rows of all runs.
    #[default]
    All,
    /// The last row of the last run.
    Last,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}

fn thousand() -> NonZeroU64 {
    NonZeroU64::new(1_000).unwrap_or(NonZeroU64::MIN)
}
