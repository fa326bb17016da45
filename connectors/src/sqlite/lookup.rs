//! Looking up rows in a file of SQLite.

use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, HumanDuration, Relation, RelationName, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use async_trait::async_trait;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Dates;
use super::connection::{Access, failed, open, quote};
use super::input_config::SqliteInputConfig;
use super::input_plan::columns;
use super::types::Kind;
use super::value::{Layout, Rows};
use crate::lookup::{LookupTable, Question, one_of};

/// A table of SQLite: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteLookupConfig {
    /// The database file.
    pub path: PathBuf,
    /// The table or view.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement in place of a table.
    #[serde(default)]
    pub query: Option<String>,
    /// What becomes of columns declared DATE, DATETIME or TIMESTAMP.
    #[serde(default)]
    pub dates: Dates,
    /// How long a lock held by another process is waited for.
    #[serde(default = "busy_timeout")]
    pub busy_timeout: HumanDuration,
}

const fn busy_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}

impl SqliteLookupConfig {
    /// The table; not opened.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(crate) fn table(&self) -> Result<Box<dyn LookupTable>> {
        one_of(self.table.is_some(), self.query.is_some())?;
        let config = serde_json::json!({
            "path": self.path, "table": self.table, "query": self.query, "busy_timeout": self.busy_timeout,
        });
        let input: SqliteInputConfig = serde_json::from_value(config)
            .map_err(|error| Error::bug("settings of a table cannot be read").with_source(error))?;
        let input = SqliteInputConfig { dates: self.dates, ..input };
        let (from, name) = match (&self.table, &self.query) {
            (Some(table), _) => (quote(table), table.clone()),
            // On lines of its own: a comment at the query's end must not swallow the parenthesis.
            (None, query) => {
                let query = query.as_deref().unwrap_or_default().trim().trim_end_matches(';');
                (format!("(\n{query}\n)"), "query".to_owned())
            }
        };
        Ok(Box::new(SqliteTable { input, from, name, connection: None, kinds: Vec::new() }))
    }
}

struct SqliteTable {
    input: SqliteInputConfig,
    from: String,
    name: String,
    connection: Option<Connection>,
    /// The kinds of the columns, by name.
    kinds: Vec<(String, Kind)>,
}

#[async_trait]
impl LookupTable for SqliteTable {
    async fn open(&mut self) -> Result<Arc<Relation>> {
        let connection = open(&self.input.path, Access::ReadOnly, self.input.busy_timeout.0)?;
        let pragmas = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;";
        connection.execute_batch(pragmas).map_err(|error| failed("cannot make the connection read-only", error))?;
        let (names, kinds) = columns(&connection, &self.from, &self.input)?;
        let fields: Vec<Field> =
            names.iter().zip(&kinds).map(|(name, kind)| Field::new(name, kind.data_type(), true)).collect();
        self.kinds = names.into_iter().zip(kinds).collect();
        self.connection = Some(connection);
        let name = RelationName::table(&self.name);
        Relation::new(name, Arc::new(Schema::new(fields)), &[] as &[&str], 1).map(Arc::new)
    }

    async fn prepare(&mut self, question: &Question) -> Result<()> {
        for field in &question.relation.columns().fields()[..question.key_columns] {
            if !is_key(field.data_type()) {
                let text =
                    format!("column {} holds {}, which SQLite stores in several ways", field.name(), field.data_type());
                return Err(Error::config(text)
                    .with_setting("on")
                    .with_hint("look up by a column of integers, text, booleans or blobs"));
            }
        }
        Ok(())
    }

    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let doing = "cannot look rows up";
        let connection = self.connection.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
        let fields = question.relation.columns().fields();
        let kinds: Vec<Kind> = fields
            .iter()
            .map(|field| self.kinds.iter().find(|(name, _)| name == field.name()).map(|(_, kind)| *kind))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::bug("a column that is asked for is not there"))?;
        let mut values = Vec::with_capacity(keys.num_rows() * keys.num_columns());
        for row in 0..keys.num_rows() {
            for cells in keys.columns() {
                values.push(parameter(cells.as_ref(), row)?);
            }
        }
        let sql = sql(&self.from, question, keys.num_rows());
        let mut statement = connection.prepare_cached(&sql).map_err(|error| failed(doing, error))?;
        let mut found = statement.query(params_from_iter(values)).map_err(|error| failed(doing, error))?;
        let layout = Layout { required: vec![false; kinds.len()], kinds };
        let mut rows = Rows::new(question.relation.columns().clone(), &layout);
        while let Some(row) = found.next().map_err(|error| failed(doing, error))? {
            let cell = |column: usize| row.get_ref(column).unwrap_or(ValueRef::Null);
            if let Some(column) = layout.misfit(cell) {
                let reason = layout.reason(column, fields[column].name(), cell(column));
                return Err(Error::new(ErrorKind::Data, format!("a row of {} cannot be used: {reason}", self.name))
                    .with_hint("mend the row in the table, or convert the column by `query`"));
            }
            rows.push(cell);
        }
        Ok(if rows.len() == 0 { Vec::new() } else { vec![rows.finish()?] })
    }

    async fn close(&mut self) {
        self.connection = None;
    }
}

fn is_key(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64 | DataType::Utf8 | DataType::Boolean | DataType::Binary)
}

fn parameter(cells: &dyn Array, row: usize) -> Result<Value> {
    Ok(match cells.data_type() {
        DataType::Int64 => Value::Integer(cells.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Value::Real(cells.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => Value::Integer(cells.as_boolean().value(row).into()),
        DataType::Utf8 => Value::Text(cells.as_string::<i32>().value(row).to_owned()),
        DataType::Binary => Value::Blob(cells.as_binary::<i32>().value(row).to_owned()),
        other => return Err(Error::bug(format!("a key of type {other}"))),
    })
}

fn sql(from: &str, question: &Question, keys: usize) -> String {
    let names: Vec<String> = question.relation.columns().fields().iter().map(|field| quote(field.name())).collect();
    let key = names[..question.key_columns].join(",");
    let one = vec!["?"; question.key_columns].join(",");
    let condition = if question.key_columns == 1 {
        format!("{key} IN ({})", vec!["?"; keys].join(","))
    } else {
        format!("({key}) IN (VALUES {})", vec![format!("({one})"); keys].join(","))
    };
    format!("SELECT {} FROM {from} WHERE {condition}", names.join(","))
}
