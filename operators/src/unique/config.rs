//! The settings of `Unique`.

use aqueduct_model::{ByteSize, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::duplicate::{check_memory, state_memory};

/// What makes rows the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UniqueConfig {
    /// The columns that are equal in rows that are the same; by default all of them. NULL is equal to NULL.
    #[serde(default)]
    pub by: Vec<String>,
    /// A column for how often the row came. Rows are given when the input has ended then.
    #[serde(default)]
    pub count_column: Option<String>,
    /// About how much of what was seen is held in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

impl UniqueConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        if self.count_column.as_deref() == Some("") {
            return Err(Error::config("a column without a name")
                .with_setting("count_column")
                .with_hint("write `count_column: times`"));
        }
        check_memory(self.state_memory)
    }
}
