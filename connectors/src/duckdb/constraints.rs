//! Constraints of tables that someone else made, checked before the merge.
//!
//! DuckDB has no savepoints: a row that violates a constraint would take the whole transaction with it.

use aqueduct_model::Result;

use super::merge::key_condition;
use super::sink::STAGE;
use crate::sql_target::{Dialect, Table, quote_ident};

/// Queries for the numbers of staged rows that the target would refuse, each with its reason. In this order, each after
/// the rows of the one before are gone.
pub(super) fn violations(table: &Table) -> Result<Vec<(String, String)>> {
    let mut queries = Vec::new();
    for check in &table.checks {
        let columns: Vec<String> = table
            .target
            .iter()
            .enumerate()
            .map(|(i, column)| Ok(format!("c{i}::{} AS {}", column.sql, quote_ident(Dialect::DuckDb, &column.name)?)))
            .collect::<Result<_>>()?;
        let sql = format!(
            "SELECT n FROM (SELECT n, {} FROM temp.{STAGE} WHERE live) WHERE NOT coalesce(({check})::BOOLEAN, true)",
            columns.join(", ")
        );
        queries.push((sql, "a CHECK constraint of the target forbids it".to_owned()));
    }
    let key: Vec<&str> = table.key_names().collect();
    for set in &table.unique {
        let is_key =
            set.len() == key.len() && key.iter().all(|name| set.iter().any(|other| other.eq_ignore_ascii_case(name)));
        let places: Option<Vec<usize>> = set
            .iter()
            .map(|name| table.target.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
            .collect();
        let (false, Some(places)) = (is_key, places) else { continue };
        let reason = format!("the target keeps {} unique, and another row has the same", set.join(", "));
        for sql in unique_queries(table, &places)? {
            queries.push((sql, reason.clone()));
        }
    }
    Ok(queries)
}

/// Equal values inside the epoch, and in rows of the target that the epoch does not rewrite.
fn unique_queries(table: &Table, places: &[usize]) -> Result<[String; 2]> {
    let columns: Vec<String> = places.iter().map(|i| format!("c{i}")).collect();
    let not_null: Vec<String> = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
    let equal: Vec<String> = places
        .iter()
        .map(|&i| Ok(format!("t.{} = s.c{i}", quote_ident(Dialect::DuckDb, &table.target[i].name)?)))
        .collect::<Result<_>>()?;
    let rewritten = if table.key.is_empty() {
        String::new()
    } else {
        let condition = key_condition(table, "t")?;
        format!(" AND NOT EXISTS (SELECT 1 FROM temp.{STAGE} s WHERE {condition})")
    };
    Ok([
        format!(
            "SELECT n FROM (SELECT n, row_number() OVER (PARTITION BY {} ORDER BY n) AS i FROM temp.{STAGE} \
             WHERE live AND {}) WHERE i > 1",
            columns.join(", "),
            not_null.join(" AND ")
        ),
        format!(
            "SELECT DISTINCT s.n FROM temp.{STAGE} s JOIN (SELECT * FROM {} t WHERE true{rewritten}) t ON {} WHERE s.live",
            quote_ident(Dialect::DuckDb, &table.name)?,
            equal.join(" AND ")
        ),
    ])
}
