//! Reads back what SQLiteOutput wrote, at one consistent moment.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{Checksum, Error, ErrorKind, Inspect, Relation, RelationName, Result, SinkContext, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use super::connection::failed;
use super::row_text;
use super::sink::{Open, SqliteTarget, rowid_name};
use super::sink_reader::Reader;
use crate::row_checksum::{CellText, RowText, cell_texts};
use crate::sql_target::{
    Database, Dialect, Mode, WrittenTable, live_rows, quote_ident, read_columns, recorded, summed_columns,
    written_tables,
};

/// Rows per batch.
const PAGE_ROWS: usize = 8_192;

/// A reading transaction over the target.
pub(super) struct SqliteInspect {
    path: PathBuf,
    busy_timeout: Duration,
    mode: Mode,
    target: Option<SqliteTarget>,
    tables: Vec<WrittenTable>,
    scan: Option<Scan>,
}

/// A table that is being read, in the order of its row numbers.
struct Scan {
    sql: String,
    schema: SchemaRef,
    /// The next row number; `None` at the end.
    next: Option<i64>,
}

impl SqliteInspect {
    /// Reads the file once it is opened.
    pub fn new(path: PathBuf, busy_timeout: Duration, mode: Mode) -> Self {
        Self { path, busy_timeout, mode, target: None, tables: Vec::new(), scan: None }
    }

    fn scan(&self, table: &WrittenTable) -> Result<Scan> {
        let schema = table.relation.columns().clone();
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        let rowid = rowid_name(names())?;
        let mut sql = format!(
            "SELECT {rowid}, {} FROM {} WHERE {rowid} >= ?1",
            Dialect::Sqlite.name_list(names())?,
            quote_ident(Dialect::Sqlite, &table.table)?
        );
        if let Some(condition) = live_rows(Dialect::Sqlite, self.mode)? {
            sql.push_str(&format!(" AND {condition}"));
        }
        sql.push_str(&format!(" ORDER BY {rowid} LIMIT {PAGE_ROWS}"));
        Ok(Scan { sql, schema: schema.clone(), next: Some(i64::MIN) })
    }
}

#[async_trait]
impl Inspect for SqliteInspect {
    async fn open(&mut self, context: &SinkContext) -> Result<View> {
        let Some(mut target) = SqliteTarget::open(&self.path, Open::Existing, self.busy_timeout)? else {
            return Ok(View::default());
        };
        // The first read fixes what the transaction sees.
        target.execute("BEGIN", &[])?;
        let cut = recorded(&mut target, context)?.map(|recorded| recorded.cut);
        self.tables = written_tables(&mut target, context)?;
        self.target = Some(target);
        Ok(View { cut, tables: self.tables.iter().map(|table| Arc::clone(&table.relation)).collect() })
    }

    async fn start(&mut self, table: &RelationName) -> Result<()> {
        let Some(written) = self.tables.iter().find(|written| written.relation.name() == table) else {
            return Err(Error::new(ErrorKind::Schema, format!("this flow did not write {table}")));
        };
        self.scan = Some(self.scan(written)?);
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(target), Some(scan)) = (&self.target, &mut self.scan) else { return Ok(None) };
        let Some(from) = scan.next else { return Ok(None) };
        let reading = |error| failed("cannot read the target", error);
        let mut statement = target.connection().prepare_cached(&scan.sql).map_err(reading)?;
        let mut rows = statement.query([from]).map_err(reading)?;
        let mut reader = Reader::new(&scan.schema)?;
        let mut last = None;
        while let Some(row) = rows.next().map_err(reading)? {
            last = Some(row.get::<_, i64>(0).map_err(reading)?);
            reader.push(row, 1)?;
        }
        scan.next = last.and_then(|last| last.checked_add(1)).filter(|_| reader.len() == PAGE_ROWS);
        if reader.len() == 0 { Ok(None) } else { reader.finish().map(Some) }
    }

    fn can_sum_up(&self, table: &Relation) -> bool {
        cell_texts(table).is_some()
    }

    /// Row by row, but without making columns of them: SQLite has no digest of its own.
    async fn checksum(&mut self, table: &Relation) -> Result<Option<Checksum>> {
        let written = self.tables.iter().find(|written| written.relation.name() == table.name());
        let (Some(written), Some(target)) = (written, &mut self.target) else { return Ok(None) };
        let stored = read_columns(target, &written.table)?;
        let Some(columns) = summed_columns(Dialect::Sqlite, written, &stored, table) else { return Ok(None) };
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let texts: Vec<CellText> = columns.iter().map(|column| column.text).collect();
        let name = quote_ident(Dialect::Sqlite, &written.table)?;
        let mut sql = format!("SELECT {} FROM {name}", names.join(", "));
        if let Some(condition) = live_rows(Dialect::Sqlite, self.mode)? {
            sql.push_str(&format!(" WHERE {condition}"));
        }
        let reading = |error| failed("cannot sum the target up", error);
        let mut statement = target.connection().prepare(&sql).map_err(reading)?;
        let mut rows = statement.query([]).map_err(reading)?;
        let (mut checksum, mut text) = (Checksum::default(), RowText::default());
        while let Some(row) = rows.next().map_err(reading)? {
            if !row_text::push(&mut text, &texts, row, 0) {
                return Ok(None);
            }
            checksum.add(text.digest());
        }
        Ok(Some(checksum))
    }
}
