//! The settings of `SubFlow`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::runs::OnError;

/// Which flow, with which parameters, how many at a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubFlowConfig {
    /// The flow's file, relative to the file of this flow.
    pub flow: PathBuf,
    /// Values of its parameters; `${row.column}` is a value of the row. Without it, every column whose name the flow
    /// declares as a parameter is one.
    #[serde(default)]
    pub params: Option<BTreeMap<String, Value>>,
    /// How many runs at a time.
    #[serde(default = "one")]
    pub parallel: NonZeroUsize,
    /// What a run that fails leads to.
    #[serde(default)]
    pub on_error: OnError,
    /// Columns of the row that go in front of every row that its run hands back.
    #[serde(default)]
    pub keep: Vec<String>,
}

fn one() -> NonZeroUsize {
    NonZeroUsize::MIN
}
