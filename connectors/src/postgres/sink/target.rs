//! A PostgreSQL database as a target of the shared transactional sink.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::{Pin, pin};

use aqueduct_model::{Error, Result};
use arrow::array::RecordBatch;
use bytes::{BufMut, Bytes, BytesMut};
use futures::Sink;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{CopyInSink, Row, Statement};

use super::column::{Column, columns};
use super::decode::rows_to_batch;
use super::encode::{COPY_HEADER, COPY_TRAILER, Encoded, array, numbers, objection, put, size};
use super::statements;
use crate::postgres::address::Address;
use crate::postgres::connection::{Purpose, Session, connect};
use crate::postgres::error::failed;
use crate::sql_target::cells::Cells;
use crate::sql_target::{
    Changes, Database, Dialect, Refused, Table, Value, one_batch, quote_ident, runs, write_isolated,
};
use crate::wait::wait;

/// Rows and bytes of one statement over arrays.
const RUN_ROWS_MAX: usize = 8_192;
const RUN_BYTES_MAX: usize = 8 << 20;
/// Below this many rows one statement is cheaper than a COPY.
const COPY_ROWS_MIN: usize = 512;
/// How much of a COPY is sent at once.
const COPY_PIECE_BYTES: usize = 256 << 10;
/// After a COPY that met rows that are there: so many groups of rows go without another try.
const COPY_PAUSE_GROUPS: u32 = 64;
/// How long to wait for a lock of someone else before the flow begins anew.
const LOCK_WAIT_S: u32 = 60;
/// How many prepared statements a session keeps.
const STATEMENTS_KEPT: usize = 512;

/// Where the target is.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub address: Address,
    pub schema: String,
}

/// A session of the target.
pub(super) struct PostgresTarget {
    session: Session,
    statements: HashMap<String, Statement>,
    /// By table: how many groups of rows are still written without COPY.
    copy_paused: HashMap<String, u32>,
}

impl PostgresTarget {
    /// Connects; with `create` the schema is made if it does not exist.
    ///
    /// # Errors
    /// Those of the connection; `Auth` without the right to make the schema.
    pub async fn open(settings: &Settings, create: bool) -> Result<Self> {
        let session = connect(&settings.address, Purpose::Write).await?;
        let schema = quote_ident(Dialect::Postgres, &settings.schema)?;
        // Types of extensions are in `public` as a rule; a commit that is confirmed is on disk.
        let sql = format!(
            "SET search_path TO {schema}, public; SET synchronous_commit TO on; SET lock_timeout TO '{LOCK_WAIT_S}s'"
        );
        session.batch_execute(&sql).await.map_err(|error| failed("cannot set the session up", error))?;
        if create {
            let sql = "SELECT FROM pg_namespace WHERE nspname = $1";
            let there = session.query(sql, &[&settings.schema]).await;
            if there.map_err(|error| failed("cannot look for the schema", error))?.is_empty() {
                let made = session.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await;
                made.map_err(|error| failed("cannot create the schema", error).with_setting("schema"))?;
            }
        }
        Ok(Self { session, statements: HashMap::new(), copy_paused: HashMap::new() })
    }

    /// The session, for reading back.
    pub fn session(&self) -> &Session {
        &self.session
    }

    async fn prepared(&mut self, sql: &str, types: &[Type]) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.session.prepare_typed(sql, types).await?;
        if self.statements.len() >= STATEMENTS_KEPT {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement over arrays inside a savepoint, in one round trip; the reason when the rows are refused.
    async fn try_rows(&mut self, statement: &statements::Statement, arrays: Vec<Encoded>) -> Result<Option<String>> {
        let doing = "cannot write rows";
        let prepared = self.prepared(&statement.sql, &statement.types).await.map_err(|error| failed(doing, error))?;
        let session = &self.session;
        // Each is sent when it is first polled: the server has all three before the first answer is awaited.
        let (begun, written, released) = tokio::join!(
            session.batch_execute("SAVEPOINT aqueduct_rows"),
            session.execute_raw(&prepared, arrays),
            session.batch_execute("RELEASE SAVEPOINT aqueduct_rows")
        );
        begun.map_err(|error| failed(doing, error))?;
        match written {
            Ok(_) => released.map(|()| None).map_err(|error| failed(doing, error)),
            Err(error) => self.refused(doing, error).await.map(Some),
        }
    }

    /// Goes back to before the rows that were refused, and says why they were; other errors are errors.
    async fn refused(&mut self, doing: &str, error: tokio_postgres::Error) -> Result<String> {
        let Some(reason) = reason(&error) else { return Err(failed(doing, error)) };
        self.session
            .batch_execute("ROLLBACK TO SAVEPOINT aqueduct_rows; RELEASE SAVEPOINT aqueduct_rows")
            .await
            .map_err(|error| failed("cannot undo refused rows", error))?;
        Ok(reason)
    }

    /// Takes all rows by COPY, or none: false when one of them is refused.
    async fn try_copy(&mut self, sql: &str, columns: &[Column], cells: &[Cells], rows: &[usize]) -> Result<bool> {
        let doing = "cannot copy rows";
        let statement = self.prepared(sql, &[]).await.map_err(|error| failed(doing, error))?;
        self.session.batch_execute("SAVEPOINT aqueduct_rows").await.map_err(|error| failed(doing, error))?;
        let mut sink = pin!(self.session.copy_in(&statement).await.map_err(|error| failed(doing, error))?);
        let mut copied = send_rows(sink.as_mut(), columns, cells, rows).await;
        if copied.is_ok() {
            copied = sink.finish().await.map(drop);
        }
        match copied {
            Ok(()) => {
                let released = self.session.batch_execute("RELEASE SAVEPOINT aqueduct_rows").await;
                released.map(|()| true).map_err(|error| failed(doing, error))
            }
            Err(error) => self.refused(doing, error).await.map(|_| false),
        }
    }

    async fn delete(&mut self, table: &Table, columns: &[Column], changes: &Changes) -> Result<()> {
        let Some(dead) = &changes.dead else { return Ok(()) };
        let statement = statements::delete(table, columns, changes.moment)?;
        let places: Vec<usize> = if table.key.is_empty() { (0..columns.len()).collect() } else { table.key.clone() };
        let cells: Vec<Cells> = dead.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        for run in runs(dead.num_rows(), RUN_ROWS_MAX, RUN_BYTES_MAX, |row| row_size(&cells, row)) {
            let mut arrays: Vec<Encoded> =
                cells.iter().zip(&places).map(|(cells, &place)| array(cells, &columns[place], run.clone())).collect();
            if table.key.is_empty() {
                let counts = &changes.dead_counts[run.clone()];
                arrays.push(numbers(counts.iter().map(|&count| i64::from(count))));
            }
            let doing = "cannot delete rows";
            let prepared =
                self.prepared(&statement.sql, &statement.types).await.map_err(|error| failed(doing, error))?;
            self.session.execute_raw(&prepared, arrays).await.map_err(|error| failed(doing, error))?;
            if table.delete_sets(Dialect::Postgres, changes.moment)?.is_some() {
                // Its text has the moment in it, and never comes again.
                self.statements.remove(&statement.sql);
            }
        }
        Ok(())
    }

    fn insert(&mut self, table: &Table, columns: &[Column], changes: &Changes) -> Result<Vec<Refused>> {
        let Some(rows) = one_batch(&changes.rows)? else { return Ok(Vec::new()) };
        let cells: Vec<Cells> = rows.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        let mut refused = objections(table, columns, &rows, &cells);
        let good: Vec<usize> = if refused.is_empty() {
            (0..rows.num_rows()).collect()
        } else {
            let bad: std::collections::HashSet<usize> = refused.iter().map(|refused| refused.row).collect();
            (0..rows.num_rows()).filter(|row| !bad.contains(row)).collect()
        };
        if self.may_copy(table, columns, changes, good.len()) {
            let sql = statements::copy(table, columns)?;
            if wait(self.try_copy(&sql, columns, &cells, &good))? {
                return Ok(refused);
            }
            self.copy_paused.insert(table.name.clone(), COPY_PAUSE_GROUPS);
        }
        let statement = statements::insert(table, columns)?;
        let cut = runs(good.len(), RUN_ROWS_MAX, RUN_BYTES_MAX, |i| row_size(&cells, good[i]));
        let written = write_isolated(cut, |run: Range<usize>| {
            let arrays = cells
                .iter()
                .zip(columns)
                .map(|(cells, column)| array(cells, column, good[run.clone()].iter().copied()));
            wait(self.try_rows(&statement, arrays.collect()))
        })?;
        refused.extend(written.into_iter().map(|refused| Refused { row: good[refused.row], ..refused }));
        Ok(refused)
    }

    fn may_copy(&mut self, table: &Table, columns: &[Column], changes: &Changes, rows: usize) -> bool {
        if rows < COPY_ROWS_MIN || !(changes.likely_new || table.only_inserts()) {
            return false;
        }
        if let Some(paused) = self.copy_paused.get_mut(&table.name).filter(|paused| **paused > 0) {
            *paused -= 1;
            return false;
        }
        columns.iter().all(|column| column.copies)
    }
}

/// Sends rows; the server's refusal comes as the error of a later call.
async fn send_rows(
    mut sink: Pin<&mut CopyInSink<Bytes>>,
    columns: &[Column],
    cells: &[Cells],
    rows: &[usize],
) -> Result<(), tokio_postgres::Error> {
    let mut out = BytesMut::with_capacity(COPY_PIECE_BYTES + (COPY_PIECE_BYTES >> 2));
    let mut scratch = String::new();
    out.put_slice(COPY_HEADER);
    for &row in rows {
        out.put_i16(columns.len() as i16);
        for (cells, column) in cells.iter().zip(columns) {
            put(cells, column, row, &mut out, &mut scratch);
        }
        if out.len() >= COPY_PIECE_BYTES {
            poll_fn(|context| sink.as_mut().poll_ready(context)).await?;
            sink.as_mut().start_send(out.split().freeze())?;
        }
    }
    out.put_i16(COPY_TRAILER);
    poll_fn(|context| sink.as_mut().poll_ready(context)).await?;
    sink.as_mut().start_send(out.freeze())
}

fn row_size(cells: &[Cells], row: usize) -> usize {
    cells.iter().map(|cells| size(cells, row)).sum()
}

/// Rows with a cell that PostgreSQL has no place for.
fn objections(table: &Table, columns: &[Column], rows: &RecordBatch, cells: &[Cells]) -> Vec<Refused> {
    let mut refused: Vec<Refused> = Vec::new();
    for (i, (cells, column)) in cells.iter().zip(columns).enumerate() {
        let name = &table.target[i].name;
        for row in cells.lost(rows.column(i)) {
            refused
                .push(Refused { row, reason: format!("column {name} holds a moment that PostgreSQL does not have") });
        }
        for row in 0..rows.num_rows() {
            if let Some(why) = objection(cells, column.kind, row) {
                refused.push(Refused { row, reason: format!("column {name} {why}") });
            }
        }
    }
    refused.sort_by_key(|refused| refused.row);
    refused.dedup_by_key(|refused| refused.row);
    refused
}

/// Why rows were refused, free of cell values; `None` when the rows are not at fault.
fn reason(error: &tokio_postgres::Error) -> Option<String> {
    let db = error.as_db_error()?;
    let code = db.code().code();
    // Data, constraints, check options, two rows that become one, a key that is too long for its index, a trigger's
    // own refusal. PostgreSQL 18 manual, Appendix A.
    let rows_fault = matches!(code.get(..2), Some("22" | "23" | "44")) || matches!(code, "21000" | "54000" | "P0001");
    let text = match code {
        "23505" => "another row has the same unique value",
        "23502" => "a column must not be NULL",
        "23503" => "the row that it refers to does not exist",
        "23514" => "a check constraint forbids it",
        "22001" => "a text is too long",
        "22003" => "a number is out of range",
        "22P02" | "22007" => "a text is no value of its column's type",
        "22008" => "a date or time is out of range",
        "54000" => "its key is too long for the index",
        "P0001" => "a trigger refused it",
        _ => "the target refused it",
    };
    rows_fault.then(|| {
        let part = |what: &str, name: Option<&str>| name.map(|name| format!(", {what} {name}")).unwrap_or_default();
        format!("{text}{}{} (SQLSTATE {code})", part("column", db.column()), part("constraint", db.constraint()))
    })
}

/// A bookkeeping value as a parameter.
#[derive(Debug)]
struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Int(value) => match *of {
                Type::INT4 => out.put_i32(i32::try_from(*value)?),
                _ => out.put_i64(*value),
            },
            Value::Text(value) => out.put_slice(value.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The shared SQL numbers its parameters `?1`. Only bookkeeping statements have parameters, and their texts have no
/// other question mark.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

fn cell(row: &Row, i: usize) -> Result<Value> {
    let wrong = |error| Error::bug("a bookkeeping query returned another type than asked for").with_source(error);
    let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
    Ok(match *row.columns()[i].type_() {
        Type::INT8 => int(row.try_get(i).map_err(wrong)?),
        Type::INT4 => int(row.try_get::<_, Option<i32>>(i).map_err(wrong)?.map(i64::from)),
        Type::BOOL => int(row.try_get::<_, Option<bool>>(i).map_err(wrong)?.map(i64::from)),
        Type::VOID => Value::Null,
        _ => row.try_get::<_, Option<String>>(i).map_err(wrong)?.map_or(Value::Null, Value::Text),
    })
}

impl Database for PostgresTarget {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize> {
        let doing = "PostgreSQL failed to run a statement";
        wait(async {
            if values.is_empty() {
                // DDL may change what a statement returns.
                if ["ALTER", "CREATE", "DROP"].iter().any(|word| sql.starts_with(word)) {
                    self.statements.clear();
                }
                return self.session.batch_execute(sql).await.map(|()| 0).map_err(|error| failed(doing, error));
            }
            let statement = self.prepared(&numbered(sql), &[]).await.map_err(|error| failed(doing, error))?;
            let parameters = values.iter().map(Parameter).collect::<Vec<_>>();
            let changed = self.session.execute_raw(&statement, parameters).await;
            changed.map(|rows| rows as usize).map_err(|error| failed(doing, error))
        })
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let doing = "PostgreSQL failed to run a query";
        wait(async {
            let statement = self.prepared(&numbered(sql), &[]).await.map_err(|error| failed(doing, error))?;
            let parameters: Vec<Parameter<'_>> = values.iter().map(Parameter).collect();
            let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|p| p as _).collect();
            let rows = self.session.query(&statement, &parameters).await.map_err(|error| failed(doing, error))?;
            rows.iter().map(|row| (0..row.len()).map(|i| cell(row, i)).collect()).collect()
        })
    }

    fn lookup(&mut self, table: &Table, keys: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)> {
        let columns = columns(table)?;
        let statement = statements::lookup(table, &columns)?;
        let cells: Vec<Cells> = keys.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        let doing = "cannot look rows up";
        let mut found = Vec::new();
        let mut parts = Vec::new();
        for run in runs(keys.num_rows(), RUN_ROWS_MAX, RUN_BYTES_MAX, |row| row_size(&cells, row)) {
            let arrays: Vec<Encoded> = cells
                .iter()
                .zip(&table.key)
                .map(|(cells, &place)| array(cells, &columns[place], run.clone()))
                .collect();
            let rows = wait(async {
                let prepared = self.prepared(&statement.sql, &statement.types).await?;
                let arrays: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| array as _).collect();
                self.session.query(&prepared, &arrays).await
            });
            let rows = rows.map_err(|error| failed(doing, error))?;
            for row in &rows {
                let number: i64 = row.try_get(0).map_err(|error| failed(doing, error))?;
                found.push(run.start + number as usize - 1);
            }
            parts.push(rows_to_batch(&rows, 1, &table.data_columns())?);
        }
        let rows = arrow::compute::concat_batches(&table.data_columns(), &parts)
            .map_err(|error| Error::bug("cannot join rows that were looked up").with_source(error))?;
        Ok((rows, found))
    }

    fn apply(&mut self, table: &Table, changes: &Changes) -> Result<Vec<Refused>> {
        let columns = columns(table)?;
        wait(self.delete(table, &columns, changes))?;
        self.insert(table, &columns, changes)
    }
}
