//! Looking up rows in a table of PostgreSQL.

use std::sync::Arc;

use aqueduct_model::{Relation, Result, Secret};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::copy::Unrepresentable;
use super::input::{PostgresInputConfig, PostgresReader};
use crate::lookup::{LookupTable, Question};
use crate::sql_input::{Described, ReadLimits, Reader, Span, default_fetch_rows};

/// Rows come in blocks of about this size.
const BLOCK: ReadLimits = ReadLimits { rows: 8_192, bytes: 8 << 20 };

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
        Ok(Box::new(ServerTable(PostgresReader::new(config))))
    }
}

struct ServerTable(PostgresReader);

#[async_trait]
impl LookupTable for ServerTable {
    async fn open(&mut self) -> Result<Arc<Relation>> {
        Ok(self.0.open().await?.relation)
    }

    async fn prepare(&mut self, question: &Question) -> Result<()> {
        self.0.narrow(&question.relation).await
    }

    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let described = Described { relation: question.relation.clone(), key: Vec::new() };
        let among = Some(((0..question.key_columns).collect(), keys.clone()));
        let span = Span { order: Vec::new(), bounds: Vec::new(), among, not_null: None, rows: None };
        self.0.start(&described, &span).await?;
        let mut rows = Vec::new();
        while let Some(block) = self.0.next(BLOCK).await? {
            block.complete(&question.relation)?;
            rows.push(block.rows);
        }
        Ok(rows)
    }

    async fn close(&mut self) {
        self.0.close().await;
    }
}
