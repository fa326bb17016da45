//! The settings of `SQL`.

use aqueduct_model::{ByteSize, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::declared::declared;
use super::query::Query;
use super::streaming::Plan;
use super::whole::WholeQuery;
use crate::mapping::Ordered;

/// The least memory for a query over all rows.
pub(crate) const MEMORY_MIN: ByteSize = ByteSize(8 << 20);

/// A query: of each row alone, or of all rows together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    /// The query: `select … from <table> where …`. A table is one of the stream (`orders`, `shop.orders`), or the id of an
    /// input task, which then means all of its tables, or its only one where the query needs all rows.
    pub query: String,
    /// The name of the output table; by default the input table's, or the task's id where there are several.
    #[serde(default)]
    pub table: Option<String>,
    /// How a query with `group by` is computed.
    #[serde(default)]
    pub mode: Mode,
    /// What happens to tables that the query does not name.
    #[serde(default)]
    pub others: Others,
    /// The key of the output table, where the query needs all rows: columns that are never NULL and together never the
    /// same. By default it has none. Rows of which only some columns are selected keep their key by themselves.
    #[serde(default)]
    pub key: Vec<String>,
    /// The memory of a query that needs all rows; what does not fit is in files. 256 MiB by default.
    #[serde(default = "memory")]
    pub memory: ByteSize,
    /// The columns of tables that may be without any row, with their SQL types, where the query needs all rows:
    /// `columns: { customers: { id: bigint, city: varchar } }`.
    #[serde(default)]
    pub columns: Ordered<Ordered<String>>,
}

impl SqlConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        let of_query = |error: Error| error.with_setting("query");
        if self.is_streaming().map_err(of_query)? {
            if !self.key.is_empty() || !self.columns.is_empty() {
                return Err(Error::config("the groups are the key, and the table says its columns itself")
                    .with_setting(if self.key.is_empty() { "columns" } else { "key" })
                    .with_hint("remove it"));
            }
            return Plan::parse(&self.query).and_then(|plan| plan.check(self.memory)).map_err(of_query);
        }
        if Query::needs_all_rows(&self.query).map_err(of_query)? {
            check(self.memory, &self.columns)?;
            return WholeQuery::parse(&self.query).map(drop).map_err(of_query);
        }
        Query::parse(&self.query).map_err(of_query)?;
        if !self.key.is_empty() {
            return Err(Error::config("a query of each row alone keeps the key of its table")
                .with_setting("key")
                .with_hint("remove `key`"));
        }
        Ok(())
    }
}

impl SqlConfig {
    /// True for totals that are kept while rows come and change.
    ///
    /// # Errors
    /// `Config` when the query is not SQL.
    pub(super) fn is_streaming(&self) -> Result<bool> {
        Ok(self.mode == Mode::Changelog && Query::needs_all_rows(&self.query)?)
    }
}

/// How a query with `group by` is computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// When its inputs have ended, over all rows; they take inserts only.
    #[default]
    Bounded,
    /// Row by row: the input may be endless and may have updates and deletes, and the totals change with it. Windows of
    /// event time are groups too: `tumble(ts, '1m')`, `hop(ts, '10m', '1m')`, `session(ts, '30s')`.
    Changelog,
}

/// The default of `memory`.
pub(crate) fn memory() -> ByteSize {
    ByteSize(256 << 20)
}

/// Checks what is set for work that needs all rows.
///
/// # Errors
/// `Config` for too little memory, and columns without a type.
pub(crate) fn check(memory: ByteSize, columns: &Ordered<Ordered<String>>) -> Result<()> {
    if memory < MEMORY_MIN {
        return Err(Error::config(format!("less than {MEMORY_MIN} of memory"))
            .with_setting("memory")
            .with_hint("write `memory: 256MiB`"));
    }
    columns.0.iter().try_for_each(|(table, columns)| declared(table, columns).map(drop))
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
