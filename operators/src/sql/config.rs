//! The settings of `SQL`.

use schemars::JsonSchema;
use serde::Deserialize;

/// A stateless query.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    /// The query: `select … from <table> where …`. The table is one of the stream (`orders`, `shop.orders`), or the id
    /// of an input task, which then means all of its tables.
    pub query: String,
    /// The name of the output table; by default the input table's.
    #[serde(default)]
    pub table: Option<String>,
    /// What happens to tables that the query does not name.
    #[serde(default)]
    pub others: Others,
}

/// What happens to tables that the query does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// They pass unchanged.
    #[default]
    Pass,
    /// They are left out.
    Drop,
}
