//! The index on the key of a table that has none of its own.

use aqueduct_model::Result;
use xxhash_rust::xxh3::xxh3_64;

use super::{Database, Dialect, Value, quote_ident};

const PREFIX: &str = "_aqueduct_key_";
/// No target has a shorter limit for names; longer ones end with a number of their own.
const NAME_BYTES_MAX: usize = 60;

/// The index's name: in SQLite and PostgreSQL index names are one space with all others.
fn name(table: &str) -> String {
    let name = format!("{PREFIX}{table}");
    let fits = name.len() <= NAME_BYTES_MAX && name.chars().all(|letter| letter <= '\u{ffff}') && !name.ends_with(' ');
    if fits { name } else { format!("{PREFIX}{:016x}", xxh3_64(table.as_bytes())) }
}

/// The statement that creates it.
pub(super) fn create(dialect: Dialect, table: &str, key: &[&str], unique: bool) -> Result<String> {
    let (index, columns) = (quote_ident(dialect, &name(table))?, dialect.name_list(key.iter().copied())?);
    let unique = if unique { "UNIQUE " } else { "" };
    Ok(format!("CREATE {unique}INDEX {index} ON {} ({columns})", quote_ident(dialect, table)?))
}

/// Removes one of an earlier key, where a statement can do so without knowing whether it is there.
pub(super) fn drop_stale(dialect: Dialect, table: &str) -> Result<Option<String>> {
    match dialect {
        Dialect::Sqlite | Dialect::Postgres => {
            Ok(Some(format!("DROP INDEX IF EXISTS {}", quote_ident(dialect, &name(table))?)))
        }
        _ => Ok(None),
    }
}

/// True when the table has it.
pub(super) fn is_there(database: &mut dyn Database, table: &str) -> Result<bool> {
    let sql = match database.dialect() {
        Dialect::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = ?1",
        Dialect::DuckDb => return Ok(false),
        Dialect::MySql | Dialect::MariaDb => {
            "SELECT count(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME = ?1"
        }
        Dialect::Postgres => {
            "SELECT count(*) FROM pg_class WHERE relkind = 'i' AND relname = ?1 \
             AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
        }
    };
    let rows = database.query(sql, &[Value::Text(name(table))])?;
    Ok(rows.first().is_some_and(|row| row[0] != Value::Int(0)))
}
