//! Reads back what PostgresOutput wrote, at one consistent moment.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Inspect, RelationName, Result, SinkContext, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::decode::rows_to_batch;
use super::target::{PostgresTarget, Settings};
use crate::postgres::error::failed;
use crate::sql_target::cells::{Kind, kind};
use crate::sql_target::{Dialect, Mode, WrittenTable, live_rows, quote_ident, recorded, written_tables};

/// Rows per batch.
const PAGE_ROWS: usize = 8_192;

/// A reading transaction over the target.
pub(super) struct PostgresInspect {
    settings: Settings,
    mode: Mode,
    target: Option<PostgresTarget>,
    tables: Vec<WrittenTable>,
    /// The columns of the table that the cursor reads.
    schema: Option<SchemaRef>,
}

impl PostgresInspect {
    /// Connects once it is opened.
    pub fn new(settings: Settings, mode: Mode) -> Self {
        Self { settings, mode, target: None, tables: Vec::new(), schema: None }
    }
}

#[async_trait]
impl Inspect for PostgresInspect {
    async fn open(&mut self, context: &SinkContext) -> Result<View> {
        let mut target = PostgresTarget::open(&self.settings, false).await?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        target.session().batch_execute(begin).await.map_err(|error| failed("cannot read the target", error))?;
        let context = context.clone();
        // The catalogs are read by code that waits: on a thread that may.
        let read = tokio::task::spawn_blocking(move || {
            let cut = recorded(&mut target, &context)?.map(|recorded| recorded.cut);
            let tables = written_tables(&mut target, &context)?;
            Ok::<_, Error>((target, cut, tables))
        });
        let (target, cut, tables) =
            read.await.map_err(|error| Error::bug("reading the target's catalog failed").with_source(error))??;
        self.tables = tables;
        self.target = Some(target);
        Ok(View { cut, tables: self.tables.iter().map(|table| Arc::clone(&table.relation)).collect() })
    }

    async fn start(&mut self, table: &RelationName) -> Result<()> {
        let written = self.tables.iter().find(|written| written.relation.name() == table);
        let (Some(written), Some(target)) = (written, &mut self.target) else {
            return Err(Error::new(ErrorKind::Schema, format!("this flow did not write {table}")));
        };
        let schema = written.relation.columns().clone();
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let name = quote_ident(Dialect::Postgres, field.name())?;
            let as_text = matches!(kind(field.data_type()), Kind::Text | Kind::UInt64 | Kind::Decimal { .. });
            let padded =
                field.metadata().get("source.type").is_some_and(|of_source| of_source.starts_with("character("));
            columns.push(match (as_text, padded) {
                // A cast to text would take the blanks at its end away, which are part of the source's text.
                (true, true) => format!("CASE WHEN {name} IS NOT NULL THEN format('%s', {name}) END"),
                (true, false) => format!("{name}::text"),
                (false, _) => name,
            });
        }
        let mut sql = format!(
            "CLOSE ALL; DECLARE aqueduct_rows NO SCROLL CURSOR FOR SELECT {} FROM {}",
            columns.join(", "),
            quote_ident(Dialect::Postgres, &written.table)?
        );
        if let Some(condition) = live_rows(Dialect::Postgres, self.mode)? {
            sql.push_str(&format!(" WHERE {condition}"));
        }
        target.session().batch_execute(&sql).await.map_err(|error| failed("cannot read the target", error))?;
        self.schema = Some(schema);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(target), Some(schema)) = (&self.target, &self.schema) else { return Ok(None) };
        let sql = format!("FETCH {PAGE_ROWS} FROM aqueduct_rows");
        let rows = target.session().query(&sql, &[]).await.map_err(|error| failed("cannot read the target", error))?;
        if rows.is_empty() {
            self.schema = None;
            return Ok(None);
        }
        rows_to_batch(&rows, 0, schema).map(Some)
    }
}
