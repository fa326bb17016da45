//! The statements that write and read rows of one table.

use aqueduct_model::Result;
use tokio_postgres::types::Type;

use super::column::Column;
use crate::sql_target::{CURRENT_COLUMN, Dialect, Table, quote_ident};

const DIALECT: Dialect = Dialect::Postgres;

/// A statement over arrays, one per column, and their types.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub sql: String,
    pub types: Vec<Type>,
}

/// `unnest($1, $2) u(c0, c1)`, for some of the columns, with more columns of numbers behind.
fn unnested(columns: &[Column], places: &[usize], more: &[&str]) -> (String, Vec<Type>) {
    let mut types: Vec<Type> = places.iter().map(|&place| columns[place].array.clone()).collect();
    types.extend(more.iter().map(|_| Type::INT8_ARRAY));
    let parameters: Vec<String> = (1..=types.len()).map(|n| format!("${n}")).collect();
    let mut names: Vec<String> = places.iter().map(|place| format!("c{place}")).collect();
    names.extend(more.iter().map(|name| (*name).to_owned()));
    (format!("unnest({}) AS u({})", parameters.join(", "), names.join(", ")), types)
}

fn name_list(columns: &[Column]) -> String {
    columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Inserts rows; where the key decides, rows that are there are updated.
pub(super) fn insert(table: &Table, columns: &[Column]) -> Result<Statement> {
    let places: Vec<usize> = (0..columns.len()).collect();
    let (unnest, types) = unnested(columns, &places, &[]);
    let values: Vec<String> = columns.iter().enumerate().map(|(i, column)| column.given(i)).collect();
    let mut sql = format!(
        "INSERT INTO {} ({}) SELECT {} FROM {unnest}",
        quote_ident(DIALECT, &table.name)?,
        name_list(columns),
        values.join(", ")
    );
    if !table.only_inserts() {
        let sets: Vec<String> = (0..columns.len())
            .filter(|place| !table.key.contains(place))
            .map(|place| format!("{name} = excluded.{name}", name = columns[place].name))
            .collect();
        let action = if sets.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", sets.join(", ")) };
        let key: Vec<&str> = table.key.iter().map(|&place| columns[place].name.as_str()).collect();
        sql.push_str(&format!(" ON CONFLICT ({}) DO {action}", key.join(", ")));
    }
    Ok(Statement { sql, types })
}

/// Takes rows that are likely new.
pub(super) fn copy(table: &Table, columns: &[Column]) -> Result<String> {
    let name = quote_ident(DIALECT, &table.name)?;
    Ok(format!("COPY {name} ({}) FROM STDIN (FORMAT binary)", name_list(columns)))
}

fn key_condition(table: &Table, columns: &[Column]) -> String {
    let parts: Vec<String> =
        table.key.iter().map(|&i| format!("t.{} = {}", columns[i].name, columns[i].given(i))).collect();
    parts.join(" AND ")
}

/// Removes rows, or marks them as gone. Parameters: the key columns in key order; without a key all columns, then how
/// many equal rows are to go.
pub(super) fn delete(table: &Table, columns: &[Column], moment: i64) -> Result<Statement> {
    let name = quote_ident(DIALECT, &table.name)?;
    if table.key.is_empty() {
        let places: Vec<usize> = (0..columns.len()).collect();
        let (unnest, types) = unnested(columns, &places, &["n"]);
        let same: Vec<String> = columns.iter().enumerate().map(|(i, column)| column.same("t.", i)).collect();
        let unnest = unnest.replace(" AS u(", " WITH ORDINALITY AS u(").replace(", n)", ", n, i)");
        let sql = format!(
            "DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT r FROM (SELECT t.ctid AS r, u.n, \
             row_number() OVER (PARTITION BY u.i ORDER BY t.ctid) AS k FROM {name} t JOIN {unnest} ON {}) x \
             WHERE k <= n))",
            same.join(" AND ")
        );
        return Ok(Statement { sql, types });
    }
    let (unnest, types) = unnested(columns, &table.key, &[]);
    let mut condition = key_condition(table, columns);
    let sql = match table.delete_sets(DIALECT, moment)? {
        Some(sets) => {
            if table.keeps_versions() {
                condition.push_str(&format!(" AND t.{}", quote_ident(DIALECT, CURRENT_COLUMN)?));
            }
            format!("UPDATE {name} t SET {sets} FROM {unnest} WHERE {condition}")
        }
        None => format!("DELETE FROM {name} t USING {unnest} WHERE {condition}"),
    };
    Ok(Statement { sql, types })
}

/// Finds rows by key: the number of the key from 1 on, then the columns of the relation.
pub(super) fn lookup(table: &Table, columns: &[Column]) -> Result<Statement> {
    let (unnest, types) = unnested(columns, &table.key, &[]);
    let unnest = unnest.replace(" AS u(", " WITH ORDINALITY AS u(");
    let unnest = format!("{}, i)", unnest.strip_suffix(')').unwrap_or(&unnest));
    let read: Vec<String> = columns[..table.taken.len()].iter().map(|column| column.read("t.")).collect();
    let mut sql = format!(
        "SELECT u.i, {} FROM {} t JOIN {unnest} ON {}",
        read.join(", "),
        quote_ident(DIALECT, &table.name)?,
        key_condition(table, columns)
    );
    if table.keeps_versions() {
        sql.push_str(&format!(" WHERE t.{}", quote_ident(DIALECT, CURRENT_COLUMN)?));
    }
    Ok(Statement { sql, types })
}
