//! The settings of `Sort`.

use aqueduct_model::{ByteSize, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sql::config::{check, memory};
use crate::sql::whole::SortKey;

/// An order of rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SortConfig {
    /// What rows are sorted by, the most important first: columns or SQL expressions, each with `asc` (the default) or
    /// `desc`, and `nulls first` or `nulls last` (by default NULLs are the largest). `[amount desc, "lower(city)"]`
    pub by: Vec<String>,
    /// Only so many first rows of each table.
    #[serde(default)]
    pub limit: Option<u64>,
    /// The memory for it; what does not fit is in files. 256 MiB by default.
    #[serde(default = "memory")]
    pub memory: ByteSize,
}

impl SortConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn parse(&self) -> Result<Vec<SortKey>> {
        check(self.memory, &Default::default())?;
        if self.by.is_empty() {
            return Err(Error::config("nothing says what rows are sorted by")
                .with_setting("by")
                .with_hint("write `by: [amount desc]`"));
        }
        if self.limit == Some(0) {
            return Err(Error::config("the first 0 rows are none")
                .with_setting("limit")
                .with_hint("write `limit: 10`"));
        }
        let key = |text: &String| SortKey::parse(text).map_err(|error| error.with_setting("by"));
        self.by.iter().map(key).collect()
    }
}
