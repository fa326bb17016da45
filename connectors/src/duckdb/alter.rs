//! Columns that change behind changed rows, in one transaction.
//!
//! DuckDB refuses to commit a transaction that deleted or updated rows of a table and changed its columns afterwards
//! ("another transaction has altered this table", measured with 1.5.4); rows that were only inserted, and a new name, do
//! no harm. So a table with changed rows is made anew, as it is defined, before its columns change.

use aqueduct_model::{Error, Result};

use super::sink::DuckDbTarget;
use crate::sql_target::{Database, Dialect, quote_ident};

/// What the old table is called for a moment.
const OLD: &str = "_aqueduct_old";

/// Puts a new table with the same rows, columns and constraints in the place of a table.
pub(super) fn renew(target: &mut DuckDbTarget, table: &str) -> Result<()> {
    let sql = "SELECT sql FROM duckdb_tables() WHERE lower(table_name) = lower(?1) AND NOT temporary \
               AND schema_name = current_schema() AND database_name = current_database()";
    let rows = target.query(sql, &[table.into()])?;
    let definition = rows.first().ok_or_else(|| Error::bug(format!("table {table} is gone")))?[0].text()?.to_owned();
    let name = quote_ident(Dialect::DuckDb, table)?;
    for sql in [
        format!("ALTER TABLE {name} RENAME TO {OLD}"),
        definition,
        format!("INSERT INTO {name} SELECT * FROM {OLD}"),
        format!("DROP TABLE {OLD}"),
    ] {
        target.execute(&sql, &[])?;
    }
    Ok(())
}
