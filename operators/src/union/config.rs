//! The settings of `Union`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// How inputs are merged.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnionConfig {
    /// The name of the one table that all become. Without it every table keeps its name and its columns.
    #[serde(default)]
    pub table: Option<String>,
    /// How columns find each other; only with `table`.
    #[serde(default)]
    pub by: By,
    /// A further column with the name of the table that a row came from. It becomes part of the key, so that rows of
    /// several tables (shards) with equal keys stay apart; only with `table`.
    #[serde(default)]
    pub source_column: Option<String>,
}

/// How columns find each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By their names; a column that a table does not have is NULL.
    #[default]
    Name,
    /// By their places; all tables have the same number of columns, and the first one seen gives the names.
    Position,
}

impl UnionConfig {
    /// # Errors
    /// `Config` when a setting needs `table`.
    pub(super) fn check(&self) -> Result<()> {
        let alone = [("by", self.by == By::Position), ("source_column", self.source_column.is_some())];
        match alone.iter().find(|(_, given)| *given && self.table.is_none()) {
            Some((setting, _)) => Err(Error::config(format!("`{setting}` has a meaning only with `table`"))
                .with_setting(*setting)
                .with_hint("name the table that all become: `table: orders`")),
            None => Ok(()),
        }
    }
}
