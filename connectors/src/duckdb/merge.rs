//! The statements that bring the staged rows into the table.
//!
//! A table of our making has no index: rows of the staged keys are deleted by a hash join and inserted anew. That is
//! several times faster than an upsert through DuckDB's ART index, and one transaction may delete and insert the same
//! key, which the index forbids in places. A table that has columns of others, or an index, is updated in place.

use aqueduct_model::{Error, ErrorKind, Result};

use super::sink::STAGE;
use crate::sql_target::{CURRENT_COLUMN, Dialect, Table, quote_ident};

/// `<alias>.key = s.c0 AND …`, with `s` the stage.
pub(super) fn key_condition(table: &Table, alias: &str) -> Result<String> {
    let parts: Vec<String> = table
        .key
        .iter()
        .map(|&i| Ok(format!("{alias}.{} = s.c{i}", quote_ident(Dialect::DuckDb, &table.target[i].name)?)))
        .collect::<Result<_>>()?;
    Ok(parts.join(" AND "))
}

/// Removes (or marks) the rows that are gone.
pub(super) fn deletes(table: &Table, moment: i64) -> Result<Vec<String>> {
    let name = quote_ident(Dialect::DuckDb, &table.name)?;
    if table.key.is_empty() {
        return Ok(vec![delete_whole_rows(table, &name)?]);
    }
    let condition = key_condition(table, "t")?;
    Ok(vec![match table.delete_sets(Dialect::DuckDb, moment)? {
        Some(sets) => {
            let current = current_condition(table)?;
            format!("UPDATE {name} t SET {sets} FROM temp.{STAGE} s WHERE NOT s.live AND {condition}{current}")
        }
        None => format!("DELETE FROM {name} t USING temp.{STAGE} s WHERE NOT s.live AND {condition}"),
    }])
}

/// ` AND t.is_current` of a table that keeps versions.
pub(super) fn current_condition(table: &Table) -> Result<String> {
    if !table.keeps_versions() {
        return Ok(String::new());
    }
    Ok(format!(" AND t.{}", quote_ident(Dialect::DuckDb, CURRENT_COLUMN)?))
}

/// Without a key: as many equal rows as the stage says.
fn delete_whole_rows(table: &Table, name: &str) -> Result<String> {
    if table.target.iter().any(|column| column.name.eq_ignore_ascii_case("rowid")) {
        return Err(Error::new(
            ErrorKind::Schema,
            format!("{} has no key and a column named rowid; its rows cannot be told apart", table.name),
        )
        .with_hint("rename the column with Mapping, or give the table a key"));
    }
    let equal: Vec<String> = table
        .target
        .iter()
        .enumerate()
        .map(|(i, column)| Ok(format!("t.{} IS NOT DISTINCT FROM s.c{i}", quote_ident(Dialect::DuckDb, &column.name)?)))
        .collect::<Result<_>>()?;
    Ok(format!(
        "DELETE FROM {name} WHERE rowid IN (SELECT r FROM (SELECT t.rowid AS r, s.n AS n, \
         row_number() OVER (PARTITION BY s.rowid ORDER BY t.rowid) AS i \
         FROM {name} t JOIN temp.{STAGE} s ON {} WHERE NOT s.live) WHERE i <= n)",
        equal.join(" AND ")
    ))
}

/// Brings in the rows that are there.
pub(super) fn upserts(table: &Table) -> Result<Vec<String>> {
    let dialect = Dialect::DuckDb;
    let name = quote_ident(dialect, &table.name)?;
    let columns = dialect.name_list(table.target.iter().map(|column| column.name.as_str()))?;
    let staged: Vec<String> = (0..table.target.len()).map(|i| format!("s.c{i}")).collect();
    let insert =
        format!("INSERT INTO {name} ({columns}) SELECT {} FROM temp.{STAGE} s WHERE s.live", staged.join(", "));
    if table.only_inserts() {
        return Ok(vec![insert]);
    }
    let condition = key_condition(table, "t")?;
    if !table.has_others && table.unique.is_empty() {
        let delete = format!("DELETE FROM {name} t USING temp.{STAGE} s WHERE s.live AND {condition}");
        return Ok(vec![delete, insert]);
    }
    let assignments = |from: &dyn Fn(usize, &str) -> String| -> Result<String> {
        let parts: Vec<String> = (0..table.target.len())
            .filter(|i| !table.key.contains(i))
            .map(|i| {
                let column = quote_ident(dialect, &table.target[i].name)?;
                Ok(format!("{column} = {}", from(i, &column)))
            })
            .collect::<Result<_>>()?;
        Ok(parts.join(", "))
    };
    let only_key = table.key.len() == table.target.len();
    if table.key_is_unique() {
        let set = assignments(&|_, column| format!("excluded.{column}"))?;
        let action = if only_key { "NOTHING".to_owned() } else { format!("UPDATE SET {set}") };
        return Ok(vec![format!("{insert} ON CONFLICT ({}) DO {action}", dialect.name_list(table.key_names())?)]);
    }
    let insert = format!("{insert} AND NOT EXISTS (SELECT 1 FROM {name} t WHERE {condition})");
    if only_key {
        return Ok(vec![insert]);
    }
    let set = assignments(&|i, _| format!("s.c{i}"))?;
    Ok(vec![format!("UPDATE {name} t SET {set} FROM temp.{STAGE} s WHERE s.live AND {condition}"), insert])
}
