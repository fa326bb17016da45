//! Looking up rows in a file of DuckDB.

use std::path::PathBuf;
use std::sync::Arc;

use aqueduct_model::{ByteSize, Error, Relation, RelationName, Result, cell_text};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use duckdb::params_from_iter;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::failed;
use super::load::restore;
use super::sink::{DuckDbTarget, Settings};
use crate::lookup::{LookupTable, Question, one_of};

/// A table of DuckDB: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuckDbLookupConfig {
    /// The database file. One process can have it open at a time.
    pub path: PathBuf,
    /// The table or view.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement in place of a table.
    #[serde(default)]
    pub query: Option<String>,
    /// How much memory DuckDB may use.
    #[serde(default = "memory_limit")]
    pub memory_limit: ByteSize,
    /// How many threads DuckDB may use, the calling one included.
    #[serde(default = "threads")]
    pub threads: u16,
}

const fn memory_limit() -> ByteSize {
    ByteSize(256 << 20)
}

const fn threads() -> u16 {
    1
}

impl DuckDbLookupConfig {
    /// The table; not opened.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(crate) fn table(&self) -> Result<Box<dyn LookupTable>> {
        one_of(self.table.is_some(), self.query.is_some())?;
        let (from, name) = match (&self.table, &self.query) {
            (Some(table), _) => (quoted(table), table.clone()),
            // On lines of its own: a comment at the query's end must not swallow the parenthesis.
            (None, query) => {
                let query = query.as_deref().unwrap_or_default().trim().trim_end_matches(';');
                (format!("(\n{query}\n)"), "query".to_owned())
            }
        };
        let settings =
            Settings { path: self.path.clone(), memory_limit: self.memory_limit, threads: self.threads.max(1) };
        let setting = if self.table.is_some() { "table" } else { "query" };
        Ok(Box::new(DuckDbTable { settings, from, name, setting, target: None, types: Vec::new() }))
    }
}

struct DuckDbTable {
    settings: Settings,
    from: String,
    name: String,
    /// The setting that names what is asked.
    setting: &'static str,
    target: Option<DuckDbTarget>,
    /// DuckDB's types of the columns, by name.
    types: Vec<(String, String)>,
}

#[async_trait]
impl LookupTable for DuckDbTable {
    async fn open(&mut self) -> Result<Arc<Relation>> {
        let path = &self.settings.path;
        if !path.is_file() {
            return Err(Error::config(format!("there is no database file {}", path.display()))
                .with_setting("path")
                .with_hint("correct `path`, or create the database first: a lookup does not"));
        }
        let target = DuckDbTarget::open(&self.settings)?;
        let (types, fields) = described(&target, &self.from)
            .map_err(|error| Error::config(format!("cannot read {}", self.name)).with_source(error))
            .map_err(|error| error.with_setting(self.setting))?;
        self.types = types;
        self.target = Some(target);
        let name = RelationName::table(&self.name);
        Relation::new(name, Arc::new(Schema::new(fields)), &[] as &[&str], 1).map(Arc::new)
    }

    async fn prepare(&mut self, question: &Question) -> Result<()> {
        for field in &question.relation.columns().fields()[..question.key_columns] {
            if !is_key(field.data_type()) {
                let text =
                    format!("rows cannot be found by column {}, which holds {}", field.name(), field.data_type());
                return Err(Error::config(text)
                    .with_setting("on")
                    .with_hint("look up by a column of whole numbers, decimals, text, booleans or dates"));
            }
        }
        Ok(())
    }

    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let target = self.target.as_ref().ok_or_else(|| Error::bug("a lookup before open"))?;
        let mut values = Vec::with_capacity(keys.num_rows() * keys.num_columns());
        for row in 0..keys.num_rows() {
            for cells in keys.columns() {
                values.push(cell_text(cells.as_ref(), row)?);
            }
        }
        let looking = |error| failed("cannot look rows up", error);
        let mut statement =
            target.connection().prepare_cached(&self.sql(question, keys.num_rows())?).map_err(looking)?;
        let batches = statement.query_arrow(params_from_iter(values)).map_err(looking)?;
        let schema = question.relation.columns();
        batches.map(|batch| restore(&batch, 0, schema)).collect()
    }

    async fn close(&mut self) {
        self.target = None;
    }
}

impl DuckDbTable {
    fn sql(&self, question: &Question, keys: usize) -> Result<String> {
        let fields = question.relation.columns().fields();
        let names: Vec<String> = fields.iter().map(|field| quoted(field.name())).collect();
        let mut marks = Vec::with_capacity(question.key_columns);
        for field in &fields[..question.key_columns] {
            let known = self.types.iter().find(|(name, _)| name == field.name());
            let (_, sql_type) = known.ok_or_else(|| Error::bug("a key column is not there"))?;
            marks.push(format!("CAST(? AS {sql_type})"));
        }
        let (key, one) = (names[..question.key_columns].join(","), marks.join(","));
        let condition = if question.key_columns == 1 {
            format!("{key} IN ({})", vec![one; keys].join(","))
        } else {
            format!("({key}) IN ({})", vec![format!("({one})"); keys].join(","))
        };
        Ok(format!("SELECT {} FROM {} AS looked_up WHERE {condition}", names.join(","), self.from))
    }
}

/// DuckDB's own types of the columns, by name, and the columns as Arrow has them.
fn described(target: &DuckDbTarget, from: &str) -> duckdb::Result<(Vec<(String, String)>, Vec<Field>)> {
    let mut statement = target.connection().prepare(&format!("DESCRIBE SELECT * FROM {from} AS looked_up"))?;
    let types = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<duckdb::Result<_>>()?;
    let mut statement = target.connection().prepare(&format!("SELECT * FROM {from} AS looked_up LIMIT 0"))?;
    let schema = statement.query_arrow([])?.get_schema();
    let plain = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            // An enum.
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    };
    Ok((types, schema.fields().iter().map(plain).collect()))
}

fn is_key(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Utf8 | DataType::Boolean | DataType::Decimal128(..) | DataType::Date32)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
