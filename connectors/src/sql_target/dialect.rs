//! Where the SQL of the targets differs, and the one place that quotes names.

use aqueduct_model::{Error, ErrorKind, Result};

/// A target's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
    /// DuckDB 1.x.
    DuckDb,
}

/// No database takes longer names than a few kilobytes gracefully; a name of this length is a mistake.
const NAME_BYTES_MAX: usize = 1024;

/// Quotes a table's or column's name. Every name of every statement goes through here.
///
/// # Errors
/// `Schema` for an empty name, one with a NUL, or one that is too long.
pub(crate) fn quote_ident(dialect: Dialect, name: &str) -> Result<String> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        let shown: String = name.chars().take(40).collect();
        return Err(Error::new(
            ErrorKind::Schema,
            format!("{} cannot have a table or column named {shown:?}", dialect.product()),
        )
        .with_hint(format!("rename it with Mapping: a name has 1 to {NAME_BYTES_MAX} bytes and no NUL character")));
    }
    // Both follow the SQL standard: double quotes, an inner one doubled.
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

impl Dialect {
    /// The product's name, for messages.
    pub fn product(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::DuckDb => "DuckDB",
        }
    }

    /// Quotes several names and joins them with commas.
    pub fn name_list<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let quoted: Vec<_> = names.into_iter().map(|name| quote_ident(self, name)).collect::<Result<_>>()?;
        Ok(quoted.join(", "))
    }

    /// Starts a writing transaction.
    pub fn begin(self) -> &'static str {
        match self {
            // A deferred transaction would find out only at its first write that someone else is writing.
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::DuckDb => "BEGIN TRANSACTION",
        }
    }

    /// "Equal, or both NULL".
    pub fn not_distinct(self) -> &'static str {
        match self {
            Self::Sqlite => "IS",
            Self::DuckDb => "IS NOT DISTINCT FROM",
        }
    }

    /// Reads a table's columns: name, type, not null, has a default, is part of the primary key. Parameter: the table.
    pub fn columns_query(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT name, upper(type), \"notnull\", dflt_value IS NOT NULL, pk > 0 FROM pragma_table_info(?1) ORDER BY cid"
            }
            Self::DuckDb => {
                "SELECT column_name, data_type, CASE WHEN is_nullable THEN 0 ELSE 1 END, \
                 CASE WHEN column_default IS NULL THEN 0 ELSE 1 END, 0 FROM duckdb_columns() \
                 WHERE table_name = ?1 AND schema_name = current_schema() AND database_name = current_database() \
                 ORDER BY column_index"
            }
        }
    }

    /// Counts tables of a name; SQLite's names match without case, and so do DuckDB's. Parameter: the table.
    pub fn table_exists_query(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
            Self::DuckDb => {
                "SELECT count(*) FROM duckdb_tables() WHERE lower(table_name) = lower(?1) \
                 AND schema_name = current_schema() AND database_name = current_database() AND NOT temporary"
            }
        }
    }

    /// Reads the unique sets of columns: a name per set, a column. Parameter: the table.
    pub fn unique_query(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT 'primary key', name FROM pragma_table_info(?1) WHERE pk > 0 UNION ALL \
                 SELECT * FROM (SELECT 'index ' || l.name, i.name FROM pragma_index_list(?1) l, pragma_index_info(l.name) i \
                 WHERE l.\"unique\" = 1 AND l.partial = 0 AND l.origin <> 'pk' ORDER BY l.name, i.seqno)"
            }
            Self::DuckDb => {
                "SELECT constraint_index::VARCHAR, unnest(constraint_column_names) FROM duckdb_constraints() \
                 WHERE table_name = ?1 AND schema_name = current_schema() AND database_name = current_database() \
                 AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') ORDER BY 1"
            }
        }
    }

    /// Reads the CHECK conditions as SQL, where they have to be known. Parameter: the table.
    pub fn checks_query(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::DuckDb => Some(
                "SELECT expression FROM duckdb_constraints() WHERE table_name = ?1 AND schema_name = current_schema() \
                 AND database_name = current_database() AND constraint_type = 'CHECK'",
            ),
        }
    }

    /// True.
    pub fn true_literal(self) -> &'static str {
        match self {
            Self::Sqlite => "1",
            Self::DuckDb => "true",
        }
    }

    /// The present moment in UTC, as a timestamp column holds it.
    pub fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            Self::DuckDb => "now()",
        }
    }
}
