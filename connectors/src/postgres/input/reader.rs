//! The session that reads: one COPY per chunk.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Error, Relation, RelationName, Result};
use arrow::datatypes::Schema;
use async_trait::async_trait;
use tokio_postgres::Client;

use super::config::PostgresInputConfig;
use crate::postgres::column_type::ColumnType;
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::copy::{CopyRows, Select, among, beside, order_by, quoted, table_name};
use crate::postgres::error::failed;
use crate::postgres::table::describe;
use crate::sql_input::{Block, Described, ReadLimits, Reader, Span, with_key};

/// Reads what the settings name.
pub(in crate::postgres) struct PostgresReader {
    config: PostgresInputConfig,
    session: Option<Session>,
    select: Option<Select>,
    /// What stands behind FROM.
    from: String,
    rows: Option<CopyRows>,
}

impl PostgresReader {
    /// A reader that is not connected.
    pub(in crate::postgres) fn new(config: PostgresInputConfig) -> Self {
        Self { config, session: None, select: None, from: String::new(), rows: None }
    }

    /// What stands behind FROM, and the relation of its rows.
    async fn look(&self, client: &Client) -> Result<(String, Relation)> {
        let Some(wanted) = &self.config.table else {
            let query = self.config.query.as_deref().unwrap_or_default().trim().trim_end_matches(';');
            // On lines of its own: a comment at the query's end must not swallow the parenthesis.
            let from = format!("(\n{query}\n) AS \"query\"");
            let relation = query_relation(client, &from).await?;
            return Ok((from, relation));
        };
        let row =
            client.query_opt(FIND, &[wanted]).await.map_err(|error| failed("cannot look for the table", error))?;
        let table = match row {
            Some(row) => describe(client, &[row.get("oid")], true).await?.pop(),
            None => None,
        };
        let table = table.ok_or_else(|| {
            Error::config(format!("there is no table {wanted}")).with_setting("table").with_hint(
                "correct `table`: name its schema, as in `public.orders`, and the database at the end of `url`",
            )
        })?;
        if !table.readable {
            let name = table_name(table.relation.name());
            let schema = table.relation.name().schema.as_deref().map(quoted).unwrap_or_default();
            return Err(Error::new(aqueduct_model::ErrorKind::Auth, format!("the role may not read {wanted}"))
                .with_setting("table")
                .with_hint(format!(
                    "GRANT USAGE ON SCHEMA {schema} TO current_role; GRANT SELECT ON {name} TO current_role;"
                )));
        }
        Ok((table_name(table.relation.name()), table.relation.as_ref().clone()))
    }

    fn statement(select: &Select, relation: &Relation, span: &Span) -> Result<String> {
        let mut conditions = Vec::new();
        for (side, edge) in &span.bounds {
            conditions.push(beside(relation, &span.order[..edge.num_columns()], *side, edge)?);
        }
        if let Some((columns, keys)) = &span.among {
            conditions.push(among(relation, columns, keys)?);
        }
        if let Some(column) = span.not_null {
            conditions.push(format!("{} IS NOT NULL", quoted(relation.columns().field(column).name())));
        }
        let mut sql = select.sql();
        if !conditions.is_empty() {
            sql.push_str(&format!(" WHERE {}", conditions.join(" AND ")));
        }
        if !span.order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order_by(relation, &span.order)));
        }
        if let Some(rows) = span.rows {
            sql.push_str(&format!(" LIMIT {rows}"));
        }
        Ok(sql)
    }
}

/// The relation of a query's rows: without a key.
async fn query_relation(client: &Client, from: &str) -> Result<Relation> {
    let refused = |error: tokio_postgres::Error| {
        let said = error.as_db_error().map_or_else(|| error.to_string(), |db| db.message().to_owned());
        match error.as_db_error() {
            Some(_) => Error::config(format!("`query` was refused: {said}"))
                .with_setting("query")
                .with_hint("write one SELECT statement whose columns have names of their own"),
            None => failed("cannot prepare `query`", error),
        }
    };
    let statement = client.prepare(&format!("SELECT * FROM {from}")).await.map_err(refused)?;
    let columns = statement.columns();
    let oids: Vec<u32> = columns.iter().map(|column| column.type_().oid()).collect();
    let modifiers: Vec<i32> = columns.iter().map(|column| column.type_modifier()).collect();
    let rows = client
        .query(TYPES, &[&oids, &modifiers])
        .await
        .map_err(|error| failed("cannot look at the columns of `query`", error))?;
    let texts: BTreeMap<(u32, i32), String> =
        rows.iter().map(|row| ((row.get("oid"), row.get("modifier")), row.get("type"))).collect();
    let mut fields = Vec::with_capacity(columns.len());
    for (number, column) in (1..).zip(columns) {
        let (base, modifier) = (column.type_().oid(), column.type_modifier());
        let text = texts.get(&(base, modifier)).cloned().unwrap_or_else(|| column.type_().name().to_owned());
        fields.push(ColumnType { text, base, modifier }.field(column.name(), number, false));
    }
    Relation::new(RelationName::table("query"), Arc::new(Schema::new(fields)), &[] as &[&str], 1)
}

#[async_trait]
impl Reader for PostgresReader {
    async fn open(&mut self) -> Result<Described> {
        let session = connect(&self.config.address()?, Purpose::Read).await?;
        let (from, relation) = self.look(&session).await?;
        let described = with_key(&relation, &self.config.key, self.config.unordered, self.config.name.as_deref())?;
        self.select = Some(Select::plan(&session, &from, &described.relation).await?);
        (self.session, self.from) = (Some(session), from);
        Ok(described)
    }

    async fn narrow(&mut self, relation: &Relation) -> Result<()> {
        let session = self.session.as_ref().ok_or_else(|| Error::bug("a read before open"))?;
        self.select = Some(Select::plan(session, &self.from, relation).await?);
        Ok(())
    }

    async fn start(&mut self, described: &Described, span: &Span) -> Result<()> {
        self.rows = None;
        let (Some(session), Some(select)) = (&self.session, &self.select) else {
            return Err(Error::bug("a read before open"));
        };
        let sql = Self::statement(select, &described.relation, span)?;
        self.rows = Some(CopyRows::start(session, &sql, &described.relation, self.config.unrepresentable).await?);
        Ok(())
    }

    async fn next(&mut self, limits: ReadLimits) -> Result<Option<Block>> {
        match &mut self.rows {
            Some(rows) => rows.next(limits).await,
            None => Err(Error::bug("a read before its start")),
        }
    }

    async fn close(&mut self) {
        self.rows = None;
        if let Some(session) = self.session.take() {
            session.close().await;
        }
    }
}

/// `a.b` may be table `a.b` of the search path, or table `b` of schema `a`.
const FIND: &str = "
SELECT c.oid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND (c.relname = $1::text AND pg_catalog.pg_table_is_visible(c.oid) OR n.nspname || '.' || c.relname = $1::text)
 ORDER BY c.relname = $1::text DESC LIMIT 1";

const TYPES: &str = "
SELECT t.oid, t.modifier, pg_catalog.format_type(t.oid, t.modifier) AS type
  FROM unnest($1::oid[], $2::int4[]) AS t (oid, modifier)";
