//! The session that reads: one statement per chunk.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use arrow::datatypes::Schema;
use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::config::MySqlInputConfig;
use super::query::column_spec;
use crate::mysql::connection::{Explain, Purpose, connect, disconnect};
use crate::mysql::error::server_code;
use crate::mysql::rows::{Rows, among, beside, order_by, quoted, select_list, table_name};
use crate::mysql::table::describe;
use crate::sql_input::{Block, Described, ReadLimits, Reader, Span, with_key};

/// No such table; no such database.
const NO_TABLE: [u16; 2] = [1146, 1049];

/// Reads what the settings name.
pub(in crate::mysql) struct MySqlReader {
    config: MySqlInputConfig,
    connection: Option<Conn>,
    rows: Option<Rows>,
    /// What stands behind FROM.
    from: String,
}

impl MySqlReader {
    /// A reader that is not connected.
    pub(in crate::mysql) fn new(config: MySqlInputConfig) -> Self {
        Self { config, connection: None, rows: None, from: String::new() }
    }

    /// The rows of a table, view or query: their relation without a name, and its own key.
    async fn look(&mut self, connection: &mut Conn) -> Result<Relation> {
        let Some(wanted) = self.config.table.clone() else {
            let query = self.config.query.as_deref().unwrap_or_default().trim().trim_end_matches(';');
            // On lines of its own: a comment at the query's end must not swallow the parenthesis.
            self.from = format!("(\n{query}\n) AS `query`");
            return self
                .columns_of(connection, RelationName::table("query"), "query")
                .await?
                .ok_or_else(|| Error::config("`query` reads a table that does not exist").with_setting("query"));
        };
        let database = connection.opts().db_name().map(str::to_owned);
        for name in candidates(&wanted, database.as_deref()) {
            if let Some(table) = describe(connection, std::slice::from_ref(&name), self.config.zero_dates).await?.pop()
            {
                self.from = table_name(&name);
                return Ok(table.relation.as_ref().clone());
            }
            self.from = table_name(&name);
            if let Some(view) = self.columns_of(connection, name, "table").await? {
                return Ok(view);
            }
        }
        let hint = match database {
            Some(_) => "correct `table`, or GRANT SELECT ON it to the account: it cannot see the table",
            None => "name the database: `table: database.table`, or at the end of `url`",
        };
        Err(Error::config(format!("there is no table {wanted}")).with_setting("table").with_hint(hint))
    }

    /// What `self.from` is made of; `None` when it does not exist.
    async fn columns_of(&self, connection: &mut Conn, name: RelationName, setting: &str) -> Result<Option<Relation>> {
        let prepared = connection.prep(format!("SELECT * FROM {}", self.from)).await;
        let statement = match prepared {
            Err(error) if server_code(&error).is_some_and(|code| NO_TABLE.contains(&code)) => return Ok(None),
            // The server's text may quote the query.
            Err(mysql_async::Error::Server(error)) if setting == "query" => {
                return Err(Error::config(format!("`query` was refused with error {}: {}", error.code, error.message))
                    .with_setting("query")
                    .with_hint("write one SELECT statement whose columns have names of their own"));
            }
            other => other.doing(|| format!("reading {name}"))?,
        };
        let fields: Vec<_> =
            statement.columns().iter().map(|column| column_spec(column).field(self.config.zero_dates)).collect();
        connection.close(statement).await.doing(|| format!("reading {name}"))?;
        Relation::new(name, Arc::new(Schema::new(fields)), &[] as &[&str], 1).map(Some)
    }

    fn statement(&self, relation: &Relation, span: &Span) -> Result<(String, Vec<mysql_async::Value>)> {
        let mut params = Vec::new();
        let mut conditions = Vec::new();
        for (side, edge) in &span.bounds {
            conditions.push(beside(relation, &span.order[..edge.num_columns()], *side, edge, &mut params)?);
        }
        if let Some((columns, keys)) = &span.among {
            conditions.push(among(relation, columns, keys, &mut params)?);
        }
        if let Some(column) = span.not_null {
            conditions.push(format!("{} IS NOT NULL", quoted(relation.columns().field(column).name())));
        }
        let mut sql = format!("SELECT {} FROM {}", select_list(relation), self.from);
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !span.order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order_by(relation, &span.order)));
        }
        if let Some(rows) = span.rows {
            sql.push_str(&format!(" LIMIT {rows}"));
        }
        Ok((sql, params))
    }
}

/// `a.b` may be table `a.b` of the URL's database, or table `b` of database `a`.
fn candidates(wanted: &str, database: Option<&str>) -> Vec<RelationName> {
    let split = |(schema, table): (&str, &str)| RelationName {
        catalog: None,
        schema: Some(schema.to_owned()),
        table: table.to_owned(),
    };
    let in_default = database.map(|database| split((database, wanted)));
    let dots = wanted.match_indices('.').map(|(at, _)| split((&wanted[..at], &wanted[at + 1..])));
    in_default.into_iter().chain(dots).collect()
}

#[async_trait]
impl Reader for MySqlReader {
    async fn open(&mut self) -> Result<Described> {
        let mut connection = connect(&self.config.address()?, Purpose::Read).await?;
        let relation = self.look(&mut connection).await?;
        self.connection = Some(connection);
        with_key(&relation, &self.config.key, self.config.unordered, self.config.name.as_deref())
    }

    async fn start(&mut self, described: &Described, span: &Span) -> Result<()> {
        self.rows = None;
        let (sql, params) = self.statement(&described.relation, span)?;
        let connection = self.connection.as_mut().ok_or_else(|| Error::bug("a read before open"))?;
        self.rows = Some(Rows::start(connection, &sql, params, &described.relation, self.config.zero_dates).await?);
        Ok(())
    }

    async fn next(&mut self, limits: ReadLimits) -> Result<Option<Block>> {
        match (&mut self.rows, &mut self.connection) {
            (Some(rows), Some(connection)) => rows.next(connection, limits).await,
            _ => Err(Error::bug("a read before its start")),
        }
    }

    async fn close(&mut self) {
        self.rows = None;
        if let Some(connection) = self.connection.take() {
            disconnect(connection).await;
        }
    }
}
