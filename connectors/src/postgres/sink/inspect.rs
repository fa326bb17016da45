//! Reads back what PostgresOutput wrote, at one consistent moment.

use std::sync::Arc;

use aqueduct_model::{Checksum, Error, ErrorKind, Inspect, Relation, RelationName, Result, SinkContext, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::decode::rows_to_batch;
use super::target::{PostgresTarget, Settings};
use crate::postgres::error::failed;
use crate::postgres::row_text;
use crate::row_checksum::{CellText, cell_texts};
use crate::sql_target::cells::{Kind, kind};
use crate::sql_target::{
    Dialect, Mode, SummedColumn, TargetColumn, WrittenTable, live_rows, quote_ident, read_columns, recorded,
    summed_columns, written_tables,
};

/// Rows per batch.
const PAGE_ROWS: usize = 8_192;

/// A reading transaction over the target.
pub(super) struct PostgresInspect {
    settings: Settings,
    mode: Mode,
    target: Option<PostgresTarget>,
    tables: Vec<WrittenTable>,
    /// By table: its columns as the target has them.
    stored: Vec<Vec<TargetColumn>>,
    /// The columns of the table that the cursor reads.
    schema: Option<SchemaRef>,
}

impl PostgresInspect {
    /// Connects once it is opened.
    pub fn new(settings: Settings, mode: Mode) -> Self {
        Self { settings, mode, target: None, tables: Vec::new(), stored: Vec::new(), schema: None }
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
            let stored = tables.iter().map(|table| read_columns(&mut target, &table.table)).collect::<Result<_>>()?;
            Ok::<_, Error>((target, cut, tables, stored))
        });
        let (target, cut, tables, stored) =
            read.await.map_err(|error| Error::bug("reading the target's catalog failed").with_source(error))??;
        (self.tables, self.stored) = (tables, stored);
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
            columns.push(if as_text { format!("{name}::text") } else { name });
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

    fn can_sum_up(&self, table: &Relation) -> bool {
        cell_texts(table).is_some_and(|texts| !texts.contains(&CellText::Duration))
    }

    async fn checksum(&mut self, table: &Relation) -> Result<Option<Checksum>> {
        let mut written = self.tables.iter().zip(&self.stored);
        let found = written.find(|(written, _)| written.relation.name() == table.name());
        let (Some((written, stored)), Some(target)) = (found, &self.target) else { return Ok(None) };
        let Some(columns) = summed_columns(Dialect::Postgres, written, stored, table) else { return Ok(None) };
        let Some(cells) = columns.iter().map(cell).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut behind = format!("FROM {}", quote_ident(Dialect::Postgres, &written.table)?);
        if let Some(condition) = live_rows(Dialect::Postgres, self.mode)? {
            behind.push_str(&format!(" WHERE {condition}"));
        }
        let sql = row_text::query(&cells, &behind);
        let row = target.session().query_one(&sql, &[]).await;
        row_text::answer(&row.map_err(|error| failed("cannot sum the target up", error))?)
    }
}

/// What makes a stored column's text; `None` where it is of a type that the text is not made from.
fn cell(column: &SummedColumn<'_>) -> Option<Vec<String>> {
    let (name, stored) = (&column.name, column.stored.sql.as_str());
    let scale = stored.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')).map(|inside| {
        inside.split_once(',').and_then(|(_, scale)| scale.trim().parse::<u8>().ok()).unwrap_or_default()
    });
    let fits = match column.text {
        CellText::Bool => stored == "boolean",
        CellText::Int => matches!(stored, "smallint" | "integer" | "bigint" | "oid") || scale == Some(0),
        CellText::Decimal { scale: wanted } => scale == Some(wanted),
        CellText::Date => stored == "date",
        CellText::Stamp { utc } => {
            let zone = if utc { " with time zone" } else { " without time zone" };
            stored.starts_with("timestamp") && stored.ends_with(zone)
        }
        CellText::Time => {
            stored.starts_with("time") && stored.ends_with(" without time zone") && !stored.contains("stamp")
        }
        CellText::Bytes => stored == "bytea",
        // Whatever has a text.
        CellText::Text | CellText::Padded => return row_text::cell(&format!("{name}::text"), column.text),
        CellText::Duration => false,
    };
    if fits { row_text::cell(name, column.text) } else { None }
}
