//! A DuckDB database as a target of the shared transactional sink.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{ByteSize, Error, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use duckdb::ToSql;
use duckdb::types::{ToSqlOutput, Value as Cell};

use super::error::failed;
use super::load::{all_but, lost, restore, to_storage};
use super::shared::SharedConnection;
use super::{alter, constraints, merge};
use crate::sql_target::{Changes, Database, Dialect, Refused, Table, Value, quote_ident, storage_type};

/// The temporary table that rows are loaded into. Temporary tables are no part of the file.
pub(super) const STAGE: &str = "_aqueduct_stage";

/// How to open a database.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub path: PathBuf,
    pub memory_limit: ByteSize,
    pub threads: u16,
}

/// A connection to the database file.
pub(super) struct DuckDbTarget {
    connection: SharedConnection,
    /// Tables, in lower case, that had rows changed or deleted in the open transaction.
    changed: HashSet<String>,
}

impl DuckDbTarget {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// `Unavailable` while another process has it open, `Config` when it cannot be a database.
    pub fn open(settings: &Settings) -> Result<Self> {
        let path = &settings.path;
        if let Some(folder) = path.parent()
            && !folder.as_os_str().is_empty()
            && !folder.is_dir()
        {
            return Err(Error::config(format!("the folder {} does not exist", folder.display()))
                .with_setting("path")
                .with_hint(format!("create it: mkdir -p {}", folder.display())));
        }
        let opening = |error| failed(format!("cannot open {}", path.display()), error);
        let config = duckdb::Config::default()
            .max_memory(&format!("{}B", settings.memory_limit.0))
            .and_then(|config| config.threads(i64::from(settings.threads)))
            // Nothing is to be fetched or loaded on the quiet.
            .and_then(|config| config.enable_autoload_extension(false))
            .map_err(opening)?;
        Ok(Self { connection: SharedConnection::open(path, config).map_err(opening)?, changed: HashSet::new() })
    }

    /// The connection, for reading back.
    pub fn connection(&self) -> &duckdb::Connection {
        &self.connection
    }

    fn run(&self, sql: &str) -> Result<usize> {
        self.connection.execute(sql, []).map_err(|error| failed("DuckDB failed to run a statement", error))
    }

    /// Makes the staging table anew, with the columns of the table in the types that are loaded.
    fn create_stage(&self, table: &Table) -> Result<()> {
        let mut columns = vec!["n BIGINT".to_owned(), "live BOOLEAN".to_owned()];
        for (i, field) in table.columns.fields().iter().enumerate() {
            columns.push(format!("c{i} {}", storage_type(Dialect::DuckDb, field.name(), field.data_type())?.sql));
        }
        self.run(&format!("CREATE OR REPLACE TEMP TABLE {STAGE} ({})", columns.join(", "))).map(drop)
    }

    fn append(&self, batches: Vec<RecordBatch>) -> Result<()> {
        let loading = |error| failed("cannot load rows", error);
        let mut appender = self.connection.appender_to_catalog_and_db(STAGE, "temp", "main").map_err(loading)?;
        for batch in batches {
            appender.append_record_batch(batch).map_err(loading)?;
        }
        appender.flush().map_err(loading)
    }

    /// Loads what is to go, numbered with how many equal rows are to go, and what is to stay, numbered through.
    fn load(&self, table: &Table, changes: &Changes) -> Result<Vec<Refused>> {
        self.create_stage(table)?;
        let mut batches = Vec::with_capacity(changes.rows.len() + 1);
        if let Some(dead) = &changes.dead {
            batches.push(stage_dead(table, dead, &changes.dead_counts)?);
        }
        let mut refused = Vec::new();
        let mut first = 0;
        for rows in &changes.rows {
            batches.push(stage_rows(table, rows, first, &mut refused)?);
            first += rows.num_rows();
        }
        self.append(batches)?;
        Ok(refused)
    }
}

fn staged(table: &Table, numbers: Int64Array, live: bool, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let mut fields = vec![Field::new("n", DataType::Int64, true), Field::new("live", DataType::Boolean, true)];
    fields.extend(
        columns.iter().enumerate().map(|(i, column)| Field::new(format!("c{i}"), column.data_type().clone(), true)),
    );
    let live = BooleanArray::from(vec![live; numbers.len()]);
    let arrays = [Arc::new(numbers) as ArrayRef, Arc::new(live)].into_iter().chain(columns).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
        .map_err(|error| Error::bug(format!("cannot stage rows of {}", table.name)).with_source(error))
}

fn stage_dead(table: &Table, dead: &RecordBatch, counts: &[u32]) -> Result<RecordBatch> {
    let numbers = (0..dead.num_rows()).map(|i| counts.get(i).map_or(0, |&count| i64::from(count))).collect();
    let mut columns = Vec::with_capacity(table.columns.fields().len());
    for (column, field) in table.columns.fields().iter().enumerate() {
        let place = if table.key.is_empty() { Some(column) } else { table.key.iter().position(|key| *key == column) };
        columns.push(match place {
            Some(place) => to_storage(field.name(), dead.column(place))?,
            None => {
                new_null_array(&storage_type(Dialect::DuckDb, field.name(), field.data_type())?.arrow, dead.num_rows())
            }
        });
    }
    staged(table, numbers, false, columns)
}

fn stage_rows(table: &Table, rows: &RecordBatch, first: usize, refused: &mut Vec<Refused>) -> Result<RecordBatch> {
    let numbers = Int64Array::from_iter_values((first as i64)..(first + rows.num_rows()) as i64);
    let mut bad: Vec<usize> = Vec::new();
    let mut columns = Vec::with_capacity(rows.num_columns());
    for (i, (field, array)) in table.columns.fields().iter().zip(rows.columns()).enumerate() {
        let stored = to_storage(field.name(), array)?;
        let mut refuse = |row: usize, why: String| {
            bad.push(row);
            refused.push(Refused { row: first + row, reason: why });
        };
        for row in lost(array, &stored) {
            refuse(row, format!("column {} holds a value beyond the range of {}", field.name(), table.target[i].sql));
        }
        if table.target[i].not_null && stored.null_count() > 0 {
            for row in (0..stored.len()).filter(|&row| stored.is_null(row)) {
                refuse(row, format!("column {} must not be NULL in the target", field.name()));
            }
        }
        columns.push(stored);
    }
    let batch = staged(table, numbers, true, columns)?;
    if bad.is_empty() {
        return Ok(batch);
    }
    refused.sort_by_key(|refused| refused.row);
    refused.dedup_by_key(|refused| refused.row);
    filter_record_batch(&batch, &all_but(batch.num_rows(), &bad))
        .map_err(|error| Error::bug("cannot leave out refused rows").with_source(error))
}

/// A bookkeeping value as a parameter.
struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> duckdb::Result<ToSqlOutput<'_>> {
        match self.0 {
            Value::Null => Ok(ToSqlOutput::Owned(Cell::Null)),
            Value::Int(value) => Ok(ToSqlOutput::Owned(Cell::BigInt(*value))),
            Value::Text(value) => value.as_str().to_sql(),
        }
    }
}

/// The shared SQL numbers its parameters `?1`; DuckDB spells that `$1`. Only bookkeeping statements have parameters, and
/// their texts have no other question mark.
fn numbered(sql: &str, values: &[Value]) -> String {
    if values.is_empty() { sql.to_owned() } else { sql.replace('?', "$") }
}

impl Database for DuckDbTarget {
    fn dialect(&self) -> Dialect {
        Dialect::DuckDb
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize> {
        if matches!(sql, "COMMIT" | "ROLLBACK") {
            self.changed.clear();
        }
        self.connection
            .execute(&numbered(sql, values), duckdb::params_from_iter(values.iter().map(Parameter)))
            .map_err(|error| failed("DuckDB failed to run a statement", error))
    }

    fn alter(&mut self, table: &str, sql: &str) -> Result<()> {
        if self.changed.remove(&table.to_ascii_lowercase()) {
            alter::renew(self, table)?;
        }
        self.execute(sql, &[]).map(drop)
    }

    fn changes_rows(&mut self, table: &str) {
        self.changed.insert(table.to_ascii_lowercase());
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>> {
        let querying = |error| failed("DuckDB failed to run a query", error);
        let mut statement = self.connection.prepare(&numbered(sql, values)).map_err(querying)?;
        let mut rows = statement.query(duckdb::params_from_iter(values.iter().map(Parameter))).map_err(querying)?;
        let mut result = Vec::new();
        while let Some(row) = rows.next().map_err(querying)? {
            let columns = row.as_ref().column_count();
            let cells = (0..columns).map(|i| match row.get::<_, Cell>(i).map_err(querying)? {
                Cell::Null => Ok(Value::Null),
                Cell::Boolean(value) => Ok(Value::Int(i64::from(value))),
                Cell::Int(value) => Ok(Value::Int(i64::from(value))),
                Cell::BigInt(value) => Ok(Value::Int(value)),
                Cell::Text(value) => Ok(Value::Text(value)),
                _ => Err(Error::bug("a bookkeeping query returned another type than asked for")),
            });
            result.push(cells.collect::<Result<_>>()?);
        }
        Ok(result)
    }

    fn lookup(&mut self, table: &Table, keys: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)> {
        let looking = |error| failed("cannot look rows up", error);
        self.create_stage(table)?;
        let counts: Vec<u32> = (0..keys.num_rows() as u32).collect();
        self.append(vec![stage_dead(table, keys, &counts)?])?;
        let columns: Vec<String> = table.target[..table.taken.len()]
            .iter()
            .map(|column| Ok(format!("t.{}", quote_ident(Dialect::DuckDb, &column.name)?)))
            .collect::<Result<_>>()?;
        let sql = format!(
            "SELECT s.n, {} FROM temp.{STAGE} s JOIN {} t ON {}{}",
            columns.join(", "),
            quote_ident(Dialect::DuckDb, &table.name)?,
            merge::key_condition(table, "t")?,
            merge::current_condition(table)?
        );
        let mut statement = self.connection.prepare(&sql).map_err(looking)?;
        let mut found = Vec::new();
        let mut parts = Vec::new();
        for batch in statement.query_arrow([]).map_err(looking)? {
            let numbers = batch.column(0).as_any().downcast_ref::<Int64Array>();
            let numbers = numbers.ok_or_else(|| Error::bug("a row number is no BIGINT"))?;
            found.extend(numbers.values().iter().map(|&n| n as usize));
            parts.push(restore(&batch, 1, &table.data_columns())?);
        }
        let rows = arrow::compute::concat_batches(&table.data_columns(), &parts)
            .map_err(|error| Error::bug("cannot join rows that were looked up").with_source(error))?;
        Ok((rows, found))
    }

    fn apply(&mut self, table: &Table, changes: &Changes) -> Result<Vec<Refused>> {
        if changes.dead.is_none() && changes.row_count() == 0 {
            return Ok(Vec::new());
        }
        self.changes_rows(&table.name);
        let mut refused = self.load(table, changes)?;
        for sql in merge::deletes(table, changes.moment)?.iter().filter(|_| changes.dead.is_some()) {
            self.run(sql)?;
        }
        for (sql, reason) in constraints::violations(table)? {
            let rows = self.query(&sql, &[])?;
            for row in &rows {
                refused.push(Refused { row: row[0].int()? as usize, reason: reason.clone() });
                self.run(&format!("DELETE FROM temp.{STAGE} WHERE live AND n = {}", row[0].int()?))?;
            }
        }
        for sql in merge::upserts(table)? {
            self.run(&sql)?;
        }
        self.run(&format!("DROP TABLE temp.{STAGE}"))?;
        Ok(refused)
    }
}
