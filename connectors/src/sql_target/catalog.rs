//! Which tables a flow writes, in the target: so that they can be read back with the types they were written with.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, RelationName, Result, SinkContext};
use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};

use super::{Database, Value, ledger};

const TABLE: &str = "_aqueduct_targets";

/// Makes the catalog. Outside of a transaction where DDL would end it.
pub(super) fn create(database: &mut dyn Database) -> Result<()> {
    if ledger::exists(database, TABLE)? {
        return Ok(());
    }
    let dialect = database.dialect();
    let (name, text, options) = (dialect.name_type(), dialect.long_text_type(), dialect.table_options());
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (flow {name} NOT NULL, task {name} NOT NULL, table_name {name} NOT NULL, \
         relation {text} NOT NULL, PRIMARY KEY (flow, task, table_name)){options}"
    );
    database.execute(&sql, &[]).map(drop)
}

/// A relation as text.
#[derive(Serialize, Deserialize)]
struct StoredRelation {
    name: RelationName,
    columns: Schema,
    key: Vec<String>,
    version: u32,
    /// Other relations whose rows are in the same table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    also: Vec<RelationName>,
}

/// Where a written table's columns say which other relations were written into it: a JSON list of names.
pub(super) const ALSO: &str = "aqueduct.also";

/// A table that a flow wrote.
#[derive(Debug, Clone)]
pub(crate) struct WrittenTable {
    /// Its name in the target.
    pub table: String,
    /// The relation that was written: its columns are in the target under their own names.
    pub relation: Arc<Relation>,
}

/// Forgets what an earlier life of a flow wrote.
pub(super) fn forget(database: &mut dyn Database, context: &SinkContext) -> Result<()> {
    let values = [context.flow.as_str().into(), context.task.as_str().into()];
    database.execute("DELETE FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2", &values).map(drop)
}

/// True when this flow has written the table before.
pub(super) fn is_registered(database: &mut dyn Database, context: &SinkContext, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2 AND table_name = ?3";
    Ok(!database.query(sql, &[context.flow.as_str().into(), context.task.as_str().into(), table.into()])?.is_empty())
}

/// Records what the table is written from.
pub(super) fn register(
    database: &mut dyn Database,
    context: &SinkContext,
    table: &str,
    relation: &Relation,
) -> Result<()> {
    let sql = "SELECT relation FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2 AND table_name = ?3";
    let before = database.query(sql, &[context.flow.as_str().into(), context.task.as_str().into(), table.into()])?;
    let mut also = Vec::new();
    if let Some(row) = before.first() {
        let before = parse(table, row[0].text()?)?;
        also.extend(before.also.into_iter().chain([before.name]).filter(|name| name != relation.name()));
    }
    let stored = StoredRelation {
        also,
        name: relation.name().clone(),
        columns: relation.columns().as_ref().clone(),
        key: relation.key_names().into_iter().map(str::to_owned).collect(),
        version: relation.version(),
    };
    let values = [context.flow.as_str().into(), context.task.as_str().into(), table.into(), text(&stored)?];
    store(database, &values)
}

fn store(database: &mut dyn Database, values: &[Value]) -> Result<()> {
    let sql = format!(
        "INSERT INTO {TABLE} (flow, task, table_name, relation) VALUES (?1, ?2, ?3, ?4) {}",
        database.dialect().replacing("flow, task, table_name", "relation")
    );
    database.execute(&sql, values).map(drop)
}

/// Follows a renamed table, which is written from the relation of that name from here on.
pub(super) fn rename(
    database: &mut dyn Database,
    context: &SinkContext,
    (from, to): (&str, &str),
    name: &RelationName,
) -> Result<()> {
    let (flow, task) = (Value::from(context.flow.as_str()), Value::from(context.task.as_str()));
    let mut rows = Vec::new();
    for table in [from, to] {
        let values = [flow.clone(), task.clone(), table.into()];
        let sql = "SELECT relation FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2 AND table_name = ?3";
        rows.extend(database.query(sql, &values)?);
    }
    let sql = "DELETE FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2 AND table_name = ?3";
    database.execute(sql, &[flow.clone(), task.clone(), from.into()])?;
    if let Some(row) = rows.first() {
        let stored = StoredRelation { name: name.clone(), ..parse(to, row[0].text()?)? };
        store(database, &[flow, task, to.into(), text(&stored)?])?;
    }
    Ok(())
}

fn parse(table: &str, text: &str) -> Result<StoredRelation> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::State, format!("cannot read what _aqueduct_targets says of {table}")).with_source(error)
    })
}

fn text(stored: &StoredRelation) -> Result<Value> {
    let text = serde_json::to_string(stored);
    text.map(Value::Text).map_err(|error| Error::bug("cannot write a relation").with_source(error))
}

/// The tables that the flow wrote, by name.
///
/// # Errors
/// `State` when the catalog cannot be read as one of ours.
pub(crate) fn written_tables(database: &mut dyn Database, context: &SinkContext) -> Result<Vec<WrittenTable>> {
    if !ledger::exists(database, TABLE)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT table_name, relation FROM _aqueduct_targets WHERE flow = ?1 AND task = ?2 ORDER BY table_name";
    let rows = database.query(sql, &[context.flow.as_str().into(), context.task.as_str().into()])?;
    rows.iter()
        .map(|row| {
            let table = row[0].text()?.to_owned();
            let stored = parse(&table, row[1].text()?)?;
            let mut columns = stored.columns;
            if !stored.also.is_empty() {
                let also = serde_json::to_string(&stored.also)
                    .map_err(|error| Error::bug("cannot write names").with_source(error))?;
                columns.metadata.insert(ALSO.to_owned(), also);
            }
            let relation = Relation::new(stored.name, Arc::new(columns), &stored.key, stored.version)?;
            Ok(WrittenTable { table, relation: Arc::new(relation) })
        })
        .collect()
}
