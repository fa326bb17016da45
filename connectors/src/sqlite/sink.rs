//! A SQLite database as a target of the shared transactional sink.

use std::path::Path;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags};
use tracing::warn;

use super::connection::{failed, open_to_read};
use super::sink_reader::Reader;
use super::sink_values::Cells;
use crate::sql_target::{CURRENT_COLUMN, Changes, Database, Dialect, Refused, Table, Value, quote_ident};

/// How many prepared statements a connection keeps: three per table of a large flow.
const STATEMENTS_KEPT: usize = 256;
/// Page cache in KiB: upserts of an epoch touch the index all over.
const CACHE_KIB: u32 = 16 << 10;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// Looking, without changing anything.
    Existing,
    /// Writing; the file is created if need be.
    Create,
}

/// A connection to the database file.
pub(super) struct SqliteTarget {
    connection: Connection,
}

impl SqliteTarget {
    /// Opens the file; `None` when it does not exist and is not to be created.
    ///
    /// # Errors
    /// `Config` when it cannot be a database, `Auth` without permission, `Unavailable` while it is locked.
    pub fn open(path: &Path, how: Open, busy_timeout: Duration) -> Result<Option<Self>> {
        let opening = |error| failed(format!("cannot open {}", path.display()), error).with_setting("path");
        if how == Open::Existing && !path.exists() {
            return Ok(None);
        }
        if let Some(folder) = path.parent()
            && !folder.as_os_str().is_empty()
            && !folder.is_dir()
        {
            return Err(Error::config(format!("the folder {} does not exist", folder.display()))
                .with_setting("path")
                .with_hint(format!("create it: mkdir -p {}", folder.display())));
        }
        let connection = match how {
            Open::Existing => open_to_read(path, busy_timeout),
            Open::Create => create(path, busy_timeout),
        };
        let connection = connection.map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Some(Self { connection }))
    }
}

fn create(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    make_durable(&connection)?;
    Ok(connection)
}

/// WAL, so that readers never wait and never see half an epoch; FULL, so that a commit is on disk when it returns.
fn make_durable(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        warn!(mode, "SQLite cannot use a write-ahead log here; readers will wait for commits");
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", format!("-{CACHE_KIB}"))
}

/// An error of a statement; what the schema forbids is a matter of the schema.
fn statement_failed(error: rusqlite::Error) -> Error {
    let schema = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::Unknown | ErrorCode::SchemaChanged | ErrorCode::TypeMismatch | ErrorCode::ConstraintViolation)
    );
    if schema {
        return Error::new(ErrorKind::Schema, "SQLite refused a statement").with_source(error);
    }
    failed("SQLite failed to run a statement", error)
}

impl Database for SqliteTarget {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(statement_failed)?;
        bind_values(&mut statement, values)?;
        statement.raw_execute().map_err(statement_failed)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(statement_failed)?;
        bind_values(&mut statement, values)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut result = Vec::new();
        while let Some(row) = rows.next().map_err(statement_failed)? {
            let cells = (0..columns).map(|i| match row.get_ref(i).map_err(statement_failed)? {
                ValueRef::Null => Ok(Value::Null),
                ValueRef::Integer(value) => Ok(Value::Int(value)),
                ValueRef::Text(bytes) => Ok(Value::Text(String::from_utf8_lossy(bytes).into_owned())),
                _ => Err(Error::bug("a bookkeeping query returned a blob or a float")),
            });
            result.push(cells.collect::<Result<_>>()?);
        }
        Ok(result)
    }

    fn lookup(&mut self, table: &Table, keys: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)> {
        let columns =
            Dialect::Sqlite.name_list(table.target.iter().take(table.taken.len()).map(|c| c.name.as_str()))?;
        let condition = conditions(table.key_names(), "=")?;
        let mut sql = format!("SELECT {columns} FROM {} WHERE {condition}", quote_ident(Dialect::Sqlite, &table.name)?);
        if table.keeps_versions() {
            sql.push_str(&format!(" AND {}", quote_ident(Dialect::Sqlite, CURRENT_COLUMN)?));
        }
        let mut statement = self.connection.prepare_cached(&sql).map_err(statement_failed)?;
        let cells = Cells::new(keys)?;
        let mut reader = Reader::new(&table.data_columns())?;
        let mut found = Vec::new();
        for key in 0..keys.num_rows() {
            cells.bind(&mut statement, key, 1).map_err(statement_failed)?;
            let mut rows = statement.raw_query();
            if let Some(row) = rows.next().map_err(statement_failed)? {
                reader.push(row, 0)?;
                found.push(key);
            }
        }
        Ok((reader.finish()?, found))
    }

    fn apply(&mut self, table: &Table, changes: &Changes) -> Result<Vec<Refused>> {
        if let Some(dead) = &changes.dead {
            let mut statement =
                self.connection.prepare_cached(&delete_sql(table, changes.moment)?).map_err(statement_failed)?;
            let cells = Cells::new(dead)?;
            for row in 0..dead.num_rows() {
                cells.bind(&mut statement, row, 1).map_err(statement_failed)?;
                if table.key.is_empty() {
                    let limit = dead.num_columns() + 1;
                    statement.raw_bind_parameter(limit, changes.dead_counts[row]).map_err(statement_failed)?;
                }
                statement.raw_execute().map_err(statement_failed)?;
            }
        }
        self.write_rows(table, &changes.rows)
    }
}

impl SqliteTarget {
    /// Rows that a constraint forbids are tried again after the others: one may take a unique value that another one of
    /// the same epoch gives up.
    fn write_rows(&self, table: &Table, batches: &[RecordBatch]) -> Result<Vec<Refused>> {
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = self.connection.prepare_cached(&insert_sql(table)?).map_err(statement_failed)?;
        let mut first = 0;
        let mut cells = Vec::with_capacity(batches.len());
        let mut refused: Vec<(usize, usize, Refused)> = Vec::new();
        for (part, batch) in batches.iter().enumerate() {
            cells.push(Cells::new(batch)?);
            for row in 0..batch.num_rows() {
                if let Some(reason) = write_row(&mut statement, &cells[part], row)? {
                    refused.push((part, row, Refused { row: first + row, reason }));
                }
            }
            first += batch.num_rows();
        }
        loop {
            let before = refused.len();
            let mut again = Vec::new();
            for (part, row, old) in refused {
                if let Some(reason) = write_row(&mut statement, &cells[part], row)? {
                    again.push((part, row, Refused { reason, ..old }));
                }
            }
            refused = again;
            if refused.is_empty() || refused.len() == before {
                return Ok(refused.into_iter().map(|(_, _, refused)| refused).collect());
            }
        }
    }

    /// The connection, for reading back.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Writes one row; the reason when a constraint forbids it. SQLite undoes the one statement and keeps the transaction.
fn write_row(statement: &mut CachedStatement<'_>, cells: &Cells, row: usize) -> Result<Option<String>> {
    cells.bind(statement, row, 1).map_err(statement_failed)?;
    match statement.raw_execute() {
        Ok(_) => Ok(None),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(Some(error.to_string())),
        Err(error) => Err(statement_failed(error)),
    }
}

fn bind_values(statement: &mut CachedStatement<'_>, values: &[Value]) -> Result<()> {
    for (i, value) in values.iter().enumerate() {
        let bound = match value {
            Value::Null => statement.raw_bind_parameter(i + 1, rusqlite::types::Null),
            Value::Int(value) => statement.raw_bind_parameter(i + 1, value),
            Value::Text(value) => statement.raw_bind_parameter(i + 1, value),
        };
        bound.map_err(statement_failed)?;
    }
    Ok(())
}

fn conditions<'a>(names: impl Iterator<Item = &'a str>, equal: &str) -> Result<String> {
    let parts: Vec<String> = names
        .enumerate()
        .map(|(i, name)| Ok(format!("{} {equal} ?{}", quote_ident(Dialect::Sqlite, name)?, i + 1)))
        .collect::<Result<_>>()?;
    Ok(parts.join(" AND "))
}

fn insert_sql(table: &Table) -> Result<String> {
    let dialect = Dialect::Sqlite;
    let columns = dialect.name_list(table.target.iter().map(|column| column.name.as_str()))?;
    let places: Vec<String> = (1..=table.target.len()).map(|i| format!("?{i}")).collect();
    let mut sql =
        format!("INSERT INTO {} ({columns}) VALUES ({})", quote_ident(dialect, &table.name)?, places.join(", "));
    if table.only_inserts() {
        return Ok(sql);
    }
    let updates: Vec<String> = (0..table.target.len())
        .filter(|column| !table.key.contains(column))
        .map(|column| {
            let name = quote_ident(dialect, &table.target[column].name)?;
            Ok(format!("{name} = excluded.{name}"))
        })
        .collect::<Result<_>>()?;
    let action = if updates.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", updates.join(", ")) };
    sql.push_str(&format!(" ON CONFLICT ({}) DO {action}", dialect.name_list(table.key_names())?));
    Ok(sql)
}

fn delete_sql(table: &Table, moment: i64) -> Result<String> {
    let dialect = Dialect::Sqlite;
    let name = quote_ident(dialect, &table.name)?;
    if table.key.is_empty() {
        let rowid = rowid_name(table.target.iter().map(|column| column.name.as_str()))?;
        let condition = conditions(table.target.iter().map(|column| column.name.as_str()), dialect.not_distinct())?;
        let limit = table.target.len() + 1;
        return Ok(format!(
            "DELETE FROM {name} WHERE {rowid} IN (SELECT {rowid} FROM {name} WHERE {condition} LIMIT ?{limit})"
        ));
    }
    let condition = conditions(table.key_names(), "=")?;
    Ok(match table.delete_sets(dialect, moment)? {
        Some(sets) if table.keeps_versions() => {
            format!("UPDATE {name} SET {sets} WHERE {condition} AND {}", quote_ident(dialect, CURRENT_COLUMN)?)
        }
        Some(sets) => format!("UPDATE {name} SET {sets} WHERE {condition}"),
        None => format!("DELETE FROM {name} WHERE {condition}"),
    })
}

/// A name of the row number that no column hides.
pub(super) fn rowid_name<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> Result<&'static str> {
    ["rowid", "_rowid_", "oid"]
        .into_iter()
        .find(|name| !columns.clone().any(|column| column.eq_ignore_ascii_case(name)))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Schema,
                "a table has columns named rowid, _rowid_ and oid; its rows cannot be told apart",
            )
            .with_hint("rename one of them with Mapping")
        })
}
