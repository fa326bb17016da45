//! What `SQLiteInput` reads: the order of the rows and the kinds of the columns.

use aqueduct_model::{Error, Result};
use rusqlite::types::Type;
use rusqlite::{Connection, Statement};

use super::connection::quote;
use super::input_config::SqliteInputConfig;
use super::table::{Identity, Part, Table};
use super::types::Kind;

/// What orders the rows, as SQL.
pub(super) fn order(config: &SqliteInputConfig, table: Option<&Table>) -> Result<Vec<String>> {
    if !config.key.is_empty() {
        return Ok(config.key.iter().map(|column| quote(column)).collect());
    }
    let Some(table) = table else {
        let name = config.table.as_deref().unwrap_or("the query");
        return Err(Error::config(format!("{name} is not a table of {} that has an order", config.path.display()))
            .with_setting("table")
            .with_hint("correct `table`; for a view, name the columns that tell its rows apart in `key`"));
    };
    let part = |part: &Part| format!("{} COLLATE {}", quote(&table.columns[part.column].name), quote(&part.collation));
    Ok(match &table.identity {
        Identity::Rowid { name, .. } => vec![quote(name)],
        Identity::Key(parts) => parts.iter().map(part).collect(),
    })
}

/// Names and kinds of the columns: by declared type, or by the first row where there is none.
pub(super) fn columns(
    connection: &Connection,
    from: &str,
    config: &SqliteInputConfig,
) -> Result<(Vec<String>, Vec<Kind>)> {
    let setting = if config.query.is_some() { "query" } else { "table" };
    let refused = |e: rusqlite::Error| {
        let text = format!("cannot read `{setting}` of {}", config.path.display());
        Error::config(text).with_source(e).with_setting(setting)
    };
    let mut statement = connection.prepare(&format!("SELECT * FROM {from} LIMIT 1")).map_err(refused)?;
    let declared = declared(&statement);
    let mut rows = statement.query([]).map_err(refused)?;
    let first = rows.next().map_err(refused)?;
    let mut columns = (Vec::new(), Vec::new());
    for (i, (name, declared)) in declared.into_iter().enumerate() {
        let kind = match (declared, first) {
            (Some(declared), _) => Kind::of(&declared, config.dates),
            (None, Some(row)) => match row.get_ref(i).map(|value| value.data_type()) {
                Ok(Type::Integer) => Kind::Int64,
                Ok(Type::Real) => Kind::Float64,
                Ok(Type::Blob) => Kind::Binary,
                _ => Kind::Text,
            },
            (None, None) => Kind::Text,
        };
        columns.0.push(name);
        columns.1.push(kind);
    }
    Ok(columns)
}

fn declared(statement: &Statement<'_>) -> Vec<(String, Option<String>)> {
    statement.columns().map(|column| (column.name().to_owned(), column.decl_type().map(str::to_owned))).collect()
}
