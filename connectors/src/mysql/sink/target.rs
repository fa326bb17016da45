//! A MySQL or MariaDB database as a target of the shared transactional sink.
//!
//! A statement that fails is undone by InnoDB as a whole, and the transaction goes on: no savepoints are needed to find
//! the rows at fault.

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value as Cell};

use super::decode::Rows;
use super::literal::{objection, push_text, size};
use super::statements::{self, Column, Insert, columns};
use crate::mysql::address::Address;
use crate::mysql::connection::{Explain, Purpose, connect, disconnect};
use crate::mysql::error::{failed, server_code};
use crate::sql_target::cells::Cells;
use crate::sql_target::{
    Changes, Database, Dialect, Refused, Table, Value, one_batch, runs, same_names, write_isolated,
};
use crate::wait::wait;

/// Rows and bytes of one statement. More rows do not make the server faster.
const RUN_ROWS_MAX: usize = 4_096;
const RUN_BYTES_MAX: usize = 4 << 20;
/// What a statement is besides its rows, at most.
const STATEMENT_BYTES: usize = 256 << 10;
/// Keys of one condition: the optimizer's memory for ranges is bounded (`range_optimizer_max_mem_size`).
const KEYS_MAX: usize = 500;
/// How long DDL beside an open transaction waits for a table that the transaction may have locked.
const BESIDE_WAIT_S: u32 = 1;
/// Keys of one lookup: each is a SELECT of its own.
const LOOKUP_KEYS_MAX: usize = 64;

/// A session of the target.
pub(super) struct MySqlTarget {
    connection: Conn,
    address: Address,
    dialect: Dialect,
    packet_bytes: usize,
}

impl MySqlTarget {
    /// Connects.
    ///
    /// # Errors
    /// Those of the connection; `Config` when the URL names no database.
    pub async fn open(address: &Address) -> Result<Self> {
        let mut connection = connect(address, Purpose::Write).await?;
        let doing = || "setting the session up".to_owned();
        connection
            .query_drop("SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_BACKSLASH_ESCAPES')")
            .await
            .doing(doing)?;
        // Fewer locks than REPEATABLE READ: several tasks write one table without waiting for gaps between rows.
        connection.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await.doing(doing)?;
        let found: Option<(String, u64)> =
            connection.query_first("SELECT VERSION(), @@max_allowed_packet").await.doing(doing)?;
        let (version, packet) = found.ok_or_else(|| Error::bug("the server does not say what it is"))?;
        let dialect = if version.contains("MariaDB") { Dialect::MariaDb } else { Dialect::MySql };
        Ok(Self {
            connection,
            address: address.clone(),
            dialect,
            packet_bytes: usize::try_from(packet).unwrap_or(usize::MAX),
        })
    }

    /// The connection, for reading back.
    pub fn into_connection(self) -> Conn {
        self.connection
    }

    fn run(&mut self, sql: &str) -> Result<()> {
        wait(self.connection.query_drop(sql)).doing(|| "writing rows".to_owned())
    }

    /// Runs a statement that writes rows; the reason when the rows are refused.
    fn try_rows(&mut self, sql: String) -> Result<Option<String>> {
        match wait(self.connection.query_drop(sql)) {
            Ok(()) => Ok(None),
            Err(error) => match reason(&error) {
                Some(reason) => Ok(Some(reason)),
                None => Err(failed(error, "writing rows")),
            },
        }
    }

    fn delete(&mut self, table: &Table, columns: &[Column], changes: &Changes) -> Result<()> {
        let Some(dead) = &changes.dead else { return Ok(()) };
        let cells: Vec<Cells> = dead.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        if table.key.is_empty() {
            for (row, &count) in changes.dead_counts.iter().enumerate() {
                self.run(&statements::delete_equal(table, columns, &cells, row, count)?)?;
            }
            return Ok(());
        }
        for run in runs(dead.num_rows(), KEYS_MAX, self.run_bytes(), |row| row_size(&cells, row)) {
            let rows: Vec<usize> = run.collect();
            let condition = statements::keys_condition(table, columns, &cells, &rows);
            self.run(&statements::delete(table, &condition, changes.moment)?)?;
        }
        Ok(())
    }

    fn run_bytes(&self) -> usize {
        RUN_BYTES_MAX.min(self.packet_bytes.saturating_sub(STATEMENT_BYTES).max(self.packet_bytes / 2))
    }

    fn insert(&mut self, table: &Table, columns: &[Column], changes: &Changes) -> Result<Vec<Refused>> {
        let Some(rows) = one_batch(&changes.rows)? else { return Ok(Vec::new()) };
        let cells: Vec<Cells> = rows.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        let mut refused = self.objections(table, columns, &rows, &cells);
        let bad: std::collections::HashSet<usize> = refused.iter().map(|refused| refused.row).collect();
        let good: Vec<usize> = (0..rows.num_rows()).filter(|row| !bad.contains(row)).collect();
        let key: Vec<&str> = table.key_names().collect();
        let others_unique = table.unique.iter().any(|set| !same_names(set, &key));
        // ON DUPLICATE KEY UPDATE would update the row that another unique index finds.
        let by_hand = others_unique && !table.only_inserts();
        let there = if by_hand { self.keys_there(table, &rows, &good)? } else { Vec::new() };
        let insert = Insert::new(table, columns, !by_hand && !table.only_inserts())?;
        let (updated, inserted): (Vec<usize>, Vec<usize>) = good.iter().partition(|row| there.contains(row));
        let cut = runs(inserted.len(), RUN_ROWS_MAX, self.run_bytes(), |i| row_size(&cells, inserted[i]));
        let update_first = updated.len();
        // Updates first, one by one; numbered through with the inserts behind them.
        let all = (0..update_first)
            .map(|i| i..i + 1)
            .chain(cut.into_iter().map(|run| run.start + update_first..run.end + update_first));
        let written = write_isolated(all, |run| {
            let sql = if run.start < update_first {
                statements::update(table, columns, &cells, updated[run.start])?
            } else {
                insert.of(columns, &cells, &inserted[run.start - update_first..run.end - update_first])
            };
            self.try_rows(sql)
        })?;
        let row_of = |i: usize| if i < update_first { updated[i] } else { inserted[i - update_first] };
        refused.extend(written.into_iter().map(|refused| Refused { row: row_of(refused.row), ..refused }));
        Ok(refused)
    }

    /// Those of the rows whose keys are in the target.
    fn keys_there(&mut self, table: &Table, rows: &RecordBatch, good: &[usize]) -> Result<Vec<usize>> {
        let keys = rows.project(&table.key).map_err(|error| Error::bug("cannot take keys").with_source(error))?;
        let (_, found) = self.lookup(table, &keys)?;
        let found: std::collections::HashSet<usize> = found.into_iter().collect();
        Ok(good.iter().copied().filter(|row| found.contains(row)).collect())
    }

    /// Rows with a cell that MySQL has no place for, or that no packet takes.
    fn objections(&self, table: &Table, columns: &[Column], rows: &RecordBatch, cells: &[Cells]) -> Vec<Refused> {
        let mut refused: Vec<Refused> = Vec::new();
        for (i, (cells, column)) in cells.iter().zip(columns).enumerate() {
            let name = &table.target[i].name;
            for row in cells.lost(rows.column(i)) {
                let reason = format!("column {name} holds a moment outside of the years 0 to 9999");
                refused.push(Refused { row, reason });
            }
            for row in 0..rows.num_rows() {
                if let Some(why) = objection(cells, column.kind, row) {
                    refused.push(Refused { row, reason: format!("column {name} {why}") });
                }
            }
        }
        let room = self.packet_bytes.saturating_sub(STATEMENT_BYTES).max(self.packet_bytes / 2);
        for row in (0..rows.num_rows()).filter(|&row| row_size(cells, row) > room) {
            let reason = format!("it is larger than max_allowed_packet ({} bytes) of the target", self.packet_bytes);
            refused.push(Refused { row, reason });
        }
        refused.sort_by_key(|refused| refused.row);
        refused.dedup_by_key(|refused| refused.row);
        refused
    }
}

fn row_size(cells: &[Cells], row: usize) -> usize {
    cells.iter().map(|cells| size(cells, row)).sum()
}

/// Why rows were refused, free of cell values; `None` when the rows are not at fault.
fn reason(error: &mysql_async::Error) -> Option<String> {
    let code = server_code(error)?;
    let text = match code {
        1062 | 1169 | 1022 | 1586 => "another row has the same unique value",
        1048 | 1364 => "a column must not be NULL",
        1216 | 1452 => "the row that it refers to does not exist",
        1217 | 1451 => "other rows refer to it",
        3819 | 4025 => "a check constraint forbids it",
        1406 => "a value is too long for its column",
        1264 | 1690 => "a number is out of range",
        1265 | 1366 | 1292 | 1411 | 1525 | 1367 => "a value is none of its column's type",
        1416 => "bytes are no geometry",
        3140..=3147 | 3156 => "a text is no JSON document",
        1644 => "a trigger refused it",
        1118 | 139 => "the row is larger than a page takes",
        1300 | 3854 | 3988 => "a character does not exist in the column's character set",
        _ => return None,
    };
    Some(format!("{text} (error {code})"))
}

/// Puts values in the place of `?1` and the like. Only bookkeeping statements have parameters, and their texts have no
/// other question mark.
fn with_values(sql: &str, values: &[Value]) -> String {
    if values.is_empty() {
        return sql.to_owned();
    }
    let mut out = String::with_capacity(sql.len() + values.len() * 32);
    let mut parts = sql.split('?');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = part[..digits].parse().unwrap_or(0);
        match number.checked_sub(1).and_then(|i| values.get(i)) {
            Some(Value::Int(value)) => out.push_str(&value.to_string()),
            Some(Value::Text(value)) => push_text(value, &mut out),
            _ => out.push_str("NULL"),
        }
        out.push_str(&part[digits..]);
    }
    out
}

fn cell(row: &Row, i: usize) -> Result<Value> {
    let wrong = || Error::bug("a bookkeeping query returned another type than asked for");
    let number = matches!(
        row.columns_ref()[i].column_type(),
        ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_LONGLONG
            | ColumnType::MYSQL_TYPE_INT24
    );
    match row.as_ref(i) {
        Some(Cell::Bytes(bytes)) => {
            let text = std::str::from_utf8(bytes).map_err(|_| wrong())?;
            if number { text.parse().map(Value::Int).map_err(|_| wrong()) } else { Ok(Value::Text(text.to_owned())) }
        }
        Some(Cell::NULL) => Ok(Value::Null),
        _ => Err(wrong()),
    }
}

impl Database for MySqlTarget {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize> {
        wait(self.connection.query_drop(with_values(sql, values))).doing(|| "running a statement".to_owned())?;
        Ok(usize::try_from(self.connection.affected_rows()).unwrap_or(usize::MAX))
    }

    fn execute_beside(&mut self, sql: &str) -> Result<()> {
        wait(async {
            let mut beside = connect(&self.address, Purpose::Write).await?;
            let doing = || "changing a table".to_owned();
            // What our own transaction has locked is not given up by waiting.
            beside.query_drop(format!("SET SESSION lock_wait_timeout = {BESIDE_WAIT_S}")).await.doing(doing)?;
            let done = beside.query_drop(sql).await.doing(doing);
            disconnect(beside).await;
            done
        })
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let rows: Vec<Row> =
            wait(self.connection.query(with_values(sql, values))).doing(|| "running a query".to_owned())?;
        rows.iter().map(|row| (0..row.len()).map(|i| cell(row, i)).collect()).collect()
    }

    fn lookup(&mut self, table: &Table, keys: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)> {
        let columns = columns(table)?;
        let cells: Vec<Cells> = keys.columns().iter().map(Cells::of).collect::<Result<_>>()?;
        let mut found = Vec::new();
        let mut read = Rows::new(&table.data_columns());
        let size = |row| row_size(&cells, row) + STATEMENT_BYTES / LOOKUP_KEYS_MAX;
        for run in runs(keys.num_rows(), LOOKUP_KEYS_MAX, self.run_bytes(), size) {
            let sql = statements::lookup(table, &columns, &cells, run)?;
            let rows: Vec<Row> = wait(self.connection.query(sql)).doing(|| "looking rows up".to_owned())?;
            for row in &rows {
                let number = cell(row, 0)?.int()?;
                found.push(usize::try_from(number).map_err(|_| Error::bug("a row number is negative"))?);
                read.push(row, 1)?;
            }
        }
        Ok((read.finish()?, found))
    }

    fn apply(&mut self, table: &Table, changes: &Changes) -> Result<Vec<Refused>> {
        let columns = columns(table)?;
        self.delete(table, &columns, changes)?;
        self.insert(table, &columns, changes)
    }
}

/// The error of a URL without a database.
pub(super) fn no_database() -> Error {
    Error::new(ErrorKind::Config, "the URL names no database to write into")
        .with_setting("url")
        .with_hint("append it: mysql://user:password@host:3306/database")
}
