//! Reads back what DuckDBOutput wrote, at one consistent moment.

use std::sync::Arc;

use aqueduct_model::{Checksum, Error, ErrorKind, Inspect, Relation, RelationName, Result, SinkContext, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::error::failed;
use super::load::restore;
use super::row_text;
use super::sink::{DuckDbTarget, Settings};
use crate::row_checksum::{cell_texts, checksum_of};
use crate::sql_target::{
    Database, Dialect, Mode, Value, WrittenTable, live_rows, quote_ident, read_columns, recorded, summed_columns,
    written_tables,
};

/// Row numbers per query; a batch has as many rows or, where rows were deleted, fewer.
const PAGE_ROWS: i64 = 122_880;

/// A reading transaction over the target.
pub(super) struct DuckDbInspect {
    settings: Settings,
    mode: Mode,
    target: Option<DuckDbTarget>,
    tables: Vec<WrittenTable>,
    scan: Option<Scan>,
}

/// A table that is being read by ranges of its row numbers.
struct Scan {
    sql: String,
    schema: SchemaRef,
    next: i64,
    end: i64,
    /// Batches of the last range, in reverse.
    ready: Vec<RecordBatch>,
}

impl DuckDbInspect {
    /// Reads the file once it is opened.
    pub fn new(settings: Settings, mode: Mode) -> Self {
        Self { settings, mode, target: None, tables: Vec::new(), scan: None }
    }
}

#[async_trait]
impl Inspect for DuckDbInspect {
    async fn open(&mut self, context: &SinkContext) -> Result<View> {
        if !self.settings.path.exists() {
            return Ok(View::default());
        }
        let mut target = DuckDbTarget::open(&self.settings)?;
        target.execute("BEGIN TRANSACTION", &[])?;
        let cut = recorded(&mut target, context)?.map(|recorded| recorded.cut);
        self.tables = written_tables(&mut target, context)?;
        self.target = Some(target);
        Ok(View { cut, tables: self.tables.iter().map(|table| Arc::clone(&table.relation)).collect() })
    }

    async fn start(&mut self, table: &RelationName) -> Result<()> {
        let written = self.tables.iter().find(|written| written.relation.name() == table);
        let (Some(written), Some(target)) = (written, &mut self.target) else {
            return Err(Error::new(ErrorKind::Schema, format!("this flow did not write {table}")));
        };
        let schema = written.relation.columns().clone();
        let name = quote_ident(Dialect::DuckDb, &written.table)?;
        let end = match target.query(&format!("SELECT max(rowid) FROM {name}"), &[])?.first().map(|row| &row[0]) {
            Some(Value::Int(last)) => last + 1,
            _ => 0,
        };
        let columns = Dialect::DuckDb.name_list(schema.fields().iter().map(|field| field.name().as_str()))?;
        let mut sql = format!("SELECT {columns} FROM {name} WHERE rowid >= ? AND rowid < ?");
        if let Some(condition) = live_rows(Dialect::DuckDb, self.mode)? {
            sql.push_str(&format!(" AND {condition}"));
        }
        self.scan = Some(Scan { sql, schema, next: 0, end, ready: Vec::new() });
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(target), Some(scan)) = (&self.target, &mut self.scan) else { return Ok(None) };
        let reading = |error| failed("cannot read the target", error);
        while scan.ready.is_empty() && scan.next < scan.end {
            let mut statement = target.connection().prepare(&scan.sql).map_err(reading)?;
            let until = scan.next + PAGE_ROWS;
            let batches = statement.query_arrow([scan.next, until]).map_err(reading)?;
            scan.ready = batches.map(|batch| restore(&batch, 0, &scan.schema)).collect::<Result<_>>()?;
            scan.ready.retain(|batch| batch.num_rows() > 0);
            scan.ready.reverse();
            scan.next = until;
        }
        Ok(scan.ready.pop())
    }

    fn can_sum_up(&self, table: &Relation) -> bool {
        cell_texts(table).is_some()
    }

    async fn checksum(&mut self, table: &Relation) -> Result<Option<Checksum>> {
        let written = self.tables.iter().find(|written| written.relation.name() == table.name());
        let (Some(written), Some(target)) = (written, &mut self.target) else { return Ok(None) };
        let stored = read_columns(target, &written.table)?;
        let Some(columns) = summed_columns(Dialect::DuckDb, written, &stored, table) else { return Ok(None) };
        let cells = columns.iter().map(|column| row_text::cell(&column.name, column.text, &column.stored.sql));
        let Some(cells) = cells.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut behind = format!("FROM {}", quote_ident(Dialect::DuckDb, &written.table)?);
        if let Some(condition) = live_rows(Dialect::DuckDb, self.mode)? {
            behind.push_str(&format!(" WHERE {condition}"));
        }
        let answer = target.query(&row_text::query(&cells, &behind), &[])?;
        let row = answer.first().ok_or_else(|| Error::bug("a sum has no answer"))?;
        checksum_of(row[0].int()?, row[1].text()?).map(Some)
    }
}
