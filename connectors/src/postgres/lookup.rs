//! Looking up rows in a table of PostgreSQL.

use aqueduct_model::{Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::copy::Unrepresentable;
use super::input::{PostgresInputConfig, PostgresReader};
use crate::lookup::LookupTable;
use crate::sql_input::{LookedUp, default_fetch_rows};

/// A table of PostgreSQL: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresLookupConfig {
    /// Where the server is and who is asking: `postgres://role:password@host:5432/database?sslmode=verify-full`.
    pub url: Secret,
    /// The role's password, instead of one in `url`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The table or view: `customers` by the role's search path, or `shop.customers`.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement in place of a table; it is asked as a derived table.
    #[serde(default)]
    pub query: Option<String>,
    /// What becomes of dates and times that Arrow cannot hold, such as `infinity`.
    #[serde(default)]
    pub unrepresentable: Unrepresentable,
}

impl PostgresLookupConfig {
    /// The table; not connected.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(crate) fn table(&self) -> Result<Box<dyn LookupTable>> {
        crate::lookup::one_of(self.table.is_some(), self.query.is_some())?;
        let config = PostgresInputConfig {
            url: self.url.clone(),
            table: self.table.clone(),
            query: self.query.clone(),
            name: None,
            key: Vec::new(),
            unordered: true,
            incremental: None,
            poll_interval: None,
            fetch_rows: default_fetch_rows(),
            password: self.password.clone(),
            unrepresentable: self.unrepresentable,
        };
        config.address()?;
        Ok(Box::new(LookedUp(PostgresReader::new(config))))
    }
}
