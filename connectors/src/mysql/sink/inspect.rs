//! Reads back what MySQLOutput wrote, at one consistent moment.

use std::sync::Arc;

use aqueduct_model::{Checksum, Error, ErrorKind, Inspect, Relation, RelationName, Result, SinkContext, View};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::decode::Rows;
use super::statements::read;
use super::target::MySqlTarget;
use crate::mysql::address::Address;
use crate::mysql::connection::Explain;
use crate::mysql::row_text;
use crate::row_checksum::cell_texts;
use crate::sql_target::{
    Dialect, Mode, SummedColumn, TargetColumn, WrittenTable, live_rows, quote_ident, read_columns, recorded,
    summed_columns, written_tables,
};

/// Rows per batch.
const PAGE_ROWS: usize = 8_192;
/// Batches that are read ahead.
const PAGES_AHEAD: usize = 2;

/// A reading transaction over the target.
pub(super) struct MySqlInspect {
    address: Address,
    mode: Mode,
    connection: Option<Conn>,
    tables: Vec<WrittenTable>,
    /// By table: its columns as the target has them.
    stored: Vec<Vec<TargetColumn>>,
    scan: Option<Scan>,
}

/// A table that is being read; the task has the connection until its end.
struct Scan {
    batches: mpsc::Receiver<RecordBatch>,
    task: JoinHandle<Result<Conn>>,
}

impl MySqlInspect {
    /// Connects once it is opened.
    pub fn new(address: Address, mode: Mode) -> Self {
        Self { address, mode, connection: None, tables: Vec::new(), stored: Vec::new(), scan: None }
    }

    /// Ends a scan, and takes its connection back.
    async fn end(&mut self) -> Result<()> {
        if let Some(Scan { batches, task }) = self.scan.take() {
            drop(batches);
            let connection = task.await.map_err(|error| Error::bug("a scan ended badly").with_source(error))??;
            self.connection = Some(connection);
        }
        Ok(())
    }
}

#[async_trait]
impl Inspect for MySqlInspect {
    async fn open(&mut self, context: &SinkContext) -> Result<View> {
        let mut target = MySqlTarget::open(&self.address).await?;
        let context = context.clone();
        // The bookkeeping is read by code that waits: on a thread that may.
        let read = tokio::task::spawn_blocking(move || {
            use crate::sql_target::Database;
            target.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", &[])?;
            target.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT", &[])?;
            let cut = recorded(&mut target, &context)?.map(|recorded| recorded.cut);
            let tables = written_tables(&mut target, &context)?;
            let stored = tables.iter().map(|table| read_columns(&mut target, &table.table)).collect::<Result<_>>()?;
            Ok::<_, Error>((target.into_connection(), cut, tables, stored))
        });
        let (connection, cut, tables, stored) =
            read.await.map_err(|error| Error::bug("reading the target's bookkeeping failed").with_source(error))??;
        (self.tables, self.stored) = (tables, stored);
        self.connection = Some(connection);
        Ok(View { cut, tables: self.tables.iter().map(|table| Arc::clone(&table.relation)).collect() })
    }

    async fn start(&mut self, table: &RelationName) -> Result<()> {
        self.end().await?;
        let written = self.tables.iter().find(|written| written.relation.name() == table);
        let (Some(written), Some(connection)) = (written, self.connection.take()) else {
            return Err(Error::new(ErrorKind::Schema, format!("this flow did not write {table}")));
        };
        let schema = written.relation.columns().clone();
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| Ok(read(&quote_ident(Dialect::MySql, field.name())?, field.data_type())))
            .collect::<Result<_>>()?;
        let mut sql = format!("SELECT {} FROM {}", columns.join(", "), quote_ident(Dialect::MySql, &written.table)?);
        if let Some(condition) = live_rows(Dialect::MySql, self.mode)? {
            sql.push_str(&format!(" WHERE {condition}"));
        }
        let (sender, batches) = mpsc::channel(PAGES_AHEAD);
        let task = tokio::spawn(scan(connection, sql, schema, sender));
        self.scan = Some(Scan { batches, task });
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let Some(scan) = &mut self.scan else { return Ok(None) };
        if let Some(batch) = scan.batches.recv().await {
            return Ok(Some(batch));
        }
        self.end().await?;
        Ok(None)
    }

    fn can_sum_up(&self, table: &Relation) -> bool {
        cell_texts(table).is_some()
    }

    async fn checksum(&mut self, table: &Relation) -> Result<Option<Checksum>> {
        self.end().await?;
        let mut written = self.tables.iter().zip(&self.stored);
        let found = written.find(|(written, _)| written.relation.name() == table.name());
        let (Some((written, stored)), Some(connection)) = (found, &mut self.connection) else { return Ok(None) };
        let Some(columns) = summed_columns(Dialect::MySql, written, stored, table) else { return Ok(None) };
        let Some(cells) = columns.iter().map(cell).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let mut behind = format!("FROM {}", quote_ident(Dialect::MySql, &written.table)?);
        if let Some(condition) = live_rows(Dialect::MySql, self.mode)? {
            behind.push_str(&format!(" WHERE {condition}"));
        }
        let row = connection.query_first(row_text::query(&cells, &behind)).await;
        row_text::answer(row.doing(|| "summing the target up".to_owned())?).map(Some)
    }
}

/// What makes a stored column's text; `None` where it is of a type that the text is not made from.
fn cell(column: &SummedColumn<'_>) -> Option<String> {
    let is_utf8mb4 = column.stored.collation.as_ref().is_some_and(|collation| collation.starts_with("utf8mb4_"));
    row_text::cell(&column.name, column.text, &column.stored.sql, is_utf8mb4)
}

/// Reads a query's rows until its end, or until nobody wants them any more.
async fn scan(mut connection: Conn, sql: String, schema: SchemaRef, sender: mpsc::Sender<RecordBatch>) -> Result<Conn> {
    let doing = || "reading the target".to_owned();
    let mut result = connection.query_iter(sql).await.doing(doing)?;
    let mut rows = Rows::new(&schema);
    let mut wanted = true;
    while wanted && let Some(row) = result.next().await.doing(doing)? {
        rows.push(&row, 0)?;
        if rows.len() == PAGE_ROWS {
            let full = std::mem::replace(&mut rows, Rows::new(&schema));
            wanted = sender.send(full.finish()?).await.is_ok();
        }
    }
    result.drop_result().await.doing(doing)?;
    if wanted && rows.len() > 0 {
        // Nobody wants the last rows: no error.
        let _unwanted = sender.send(rows.finish()?).await;
    }
    Ok(connection)
}
