//! SQLiteOutput against a real database.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::sql_target::Dialect;
use crate::sql_target::tests::{IN_FILES, Kit, check};

const KIT: Kit =
    Kit { entry: super::sink_config::OUTPUT, dialect: Dialect::Sqlite, place, sql, cases: 60, refuses: &[] };

fn place(folder: &Path) -> Value {
    json!({ "path": folder.join("target.db") })
}

fn sql(place: &Value, sql: &str) -> Vec<String> {
    let path = Path::new(place["path"].as_str().unwrap());
    if !path.exists() && sql.starts_with("SELECT") {
        return Vec::new();
    }
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut result = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<String> = (0..columns).map(|i| show(row.get_ref(i).unwrap())).collect();
        result.push(cells.join("|"));
    }
    result
}

fn show(cell: ValueRef<'_>) -> String {
    match cell {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(value) => String::from_utf8_lossy(value).into_owned(),
        ValueRef::Blob(value) => format!("{value:?}"),
    }
}

#[test]
fn passes_all_tests_of_a_sql_target() {
    check(&KIT, IN_FILES);
}
