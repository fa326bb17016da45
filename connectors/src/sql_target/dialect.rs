//! Where the SQL of the targets differs, and the one place that quotes names.

use aqueduct_model::{Error, ErrorKind, Result};

use super::{iso_time, queries};

/// A target's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(all(feature = "duckdb", feature = "mysql", feature = "postgres", feature = "sqlite")), allow(dead_code))]
pub(crate) enum Dialect {
    /// SQLite 3.35 or later.
    Sqlite,
    /// DuckDB 1.x.
    DuckDb,
    /// MySQL 8.0 or later.
    MySql,
    /// MariaDB 10.5 or later.
    MariaDb,
    /// PostgreSQL 13 or later.
    Postgres,
}

/// No embedded database takes longer names than a few kilobytes gracefully; a name of this length is a mistake.
const NAME_BYTES_MAX: usize = 1024;
/// MySQL 8.4 manual, Identifier Length Limits: characters.
const MYSQL_NAME_CHARS_MAX: usize = 64;
/// PostgreSQL cuts longer names without a word (NAMEDATALEN - 1 bytes).
const POSTGRES_NAME_BYTES_MAX: usize = 63;

/// Quotes a table's or column's name. Every name of every statement goes through here.
///
/// # Errors
/// `Schema` for a name that the target cannot have, or would cut.
pub(crate) fn quote_ident(dialect: Dialect, name: &str) -> Result<String> {
    if let Some(rule) = dialect.forbids(name) {
        let shown: String = name.chars().take(80).collect();
        return Err(Error::new(
            ErrorKind::Schema,
            format!("{} cannot have a table or column named {shown:?}", dialect.product()),
        )
        .with_hint(format!("rename it with Mapping or `table`: {rule}")));
    }
    Ok(match dialect {
        Dialect::MySql | Dialect::MariaDb => format!("`{}`", name.replace('`', "``")),
        // The SQL standard: double quotes, an inner one doubled.
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    })
}

impl Dialect {
    /// The product's name, for messages.
    pub fn product(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::DuckDb => "DuckDB",
            Self::MySql => "MySQL",
            Self::MariaDb => "MariaDB",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// MySQL or MariaDB.
    pub fn is_mysql(self) -> bool {
        matches!(self, Self::MySql | Self::MariaDb)
    }

    /// DDL ends the running transaction, and cannot be undone.
    pub fn ddl_commits(self) -> bool {
        self.is_mysql()
    }

    /// Names that differ by case only are one name.
    pub fn folds_names(self) -> bool {
        self != Self::Postgres
    }

    /// The rule that a name breaks, if it does.
    fn forbids(self, name: &str) -> Option<String> {
        let broken = |bad: bool, rule: &str| bad.then(|| rule.to_owned());
        let any = broken(name.is_empty() || name.contains('\0'), "a name is not empty and has no NUL character");
        any.or_else(|| match self {
            Self::Sqlite | Self::DuckDb => {
                (name.len() > NAME_BYTES_MAX).then(|| format!("a name has at most {NAME_BYTES_MAX} bytes"))
            }
            Self::Postgres => (name.len() > POSTGRES_NAME_BYTES_MAX)
                .then(|| format!("a name has at most {POSTGRES_NAME_BYTES_MAX} bytes of UTF-8")),
            Self::MySql | Self::MariaDb => {
                let long = (name.chars().count() > MYSQL_NAME_CHARS_MAX)
                    .then(|| format!("a name has at most {MYSQL_NAME_CHARS_MAX} characters"));
                let blank = name.ends_with([' ', '\t', '\n', '\r']);
                let beyond = name.chars().any(|letter| letter > '\u{ffff}');
                long.or_else(|| broken(blank, "a name does not end with a blank"))
                    .or_else(|| broken(beyond, "a name has no characters beyond U+FFFF"))
            }
        })
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
            Self::MySql | Self::MariaDb => "START TRANSACTION",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        }
    }

    /// "Equal, or both NULL".
    #[cfg(feature = "sqlite")]
    pub fn not_distinct(self) -> &'static str {
        match self {
            Self::Sqlite => "IS",
            Self::MySql | Self::MariaDb => "<=>",
            Self::DuckDb | Self::Postgres => "IS NOT DISTINCT FROM",
        }
    }

    /// Locks the rows of a SELECT until the transaction ends, where someone else could change them meanwhile.
    pub fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite | Self::DuckDb => "",
            Self::MySql | Self::MariaDb | Self::Postgres => " FOR UPDATE",
        }
    }

    /// Makes an INSERT of a bookkeeping row replace the one with the same key.
    pub fn replacing(self, key: &str, column: &str) -> String {
        match self {
            Self::MySql | Self::MariaDb => format!("ON DUPLICATE KEY UPDATE {column} = VALUES({column})"),
            _ => format!("ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}"),
        }
    }

    /// The type of a name in a key of a bookkeeping table.
    pub fn name_type(self) -> &'static str {
        match self {
            // A key has at most 3,072 bytes, and names that differ by case are two.
            Self::MySql | Self::MariaDb => "VARCHAR(190) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            _ => "TEXT",
        }
    }

    /// The type of a long text in a bookkeeping table.
    pub fn long_text_type(self) -> &'static str {
        match self {
            Self::MySql | Self::MariaDb => "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            _ => "TEXT",
        }
    }

    /// What a bookkeeping table's definition ends with: MySQL's other engines know no transactions.
    pub fn table_options(self) -> &'static str {
        if self.is_mysql() { " ENGINE=InnoDB" } else { "" }
    }

    /// What a table's definition ends with.
    pub fn data_table_options(self) -> &'static str {
        if self.is_mysql() { " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 ROW_FORMAT=DYNAMIC" } else { "" }
    }

    /// Runs before a bookkeeping table is made: two that make it at once would fail otherwise.
    pub fn lock_for_ddl(self) -> Option<&'static str> {
        // An arbitrary number of our own.
        (self == Self::Postgres).then_some("SELECT pg_advisory_xact_lock(7308332045213827954)")
    }

    /// Reads a table's columns: name, type, not null, has a default, is part of the primary key, collation.
    /// Parameter: the table.
    pub fn columns_query(self) -> &'static str {
        queries::columns(self)
    }

    /// Counts tables of a name, as the target compares names. Parameter: the table.
    pub fn table_exists_query(self) -> &'static str {
        queries::table_exists(self)
    }

    /// Reads the unique sets of columns: a name per set, a column. Parameter: the table.
    pub fn unique_query(self) -> &'static str {
        queries::unique(self)
    }

    /// Reads the CHECK conditions as SQL, where they have to be known. Parameter: the table.
    pub fn checks_query(self) -> Option<&'static str> {
        queries::checks(self)
    }

    /// True.
    pub fn true_literal(self) -> &'static str {
        match self {
            Self::Sqlite | Self::MySql | Self::MariaDb => "1",
            Self::DuckDb | Self::Postgres => "true",
        }
    }

    /// False.
    pub fn false_literal(self) -> &'static str {
        match self {
            Self::Sqlite | Self::MySql | Self::MariaDb => "0",
            Self::DuckDb | Self::Postgres => "false",
        }
    }

    /// The present moment in UTC, as a timestamp column holds it.
    pub fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            Self::DuckDb => "now()",
            Self::MySql | Self::MariaDb => "UTC_TIMESTAMP(6)",
            Self::Postgres => "clock_timestamp()",
        }
    }

    /// A moment in UTC, given in microseconds, as a timestamp column holds it.
    pub fn moment(self, micros: i64) -> String {
        let mut text = String::with_capacity(32);
        let utc = !self.is_mysql();
        iso_time::format_timestamp(micros, arrow::datatypes::TimeUnit::Microsecond, utc, &mut text);
        match self {
            Self::Sqlite | Self::MySql | Self::MariaDb => format!("'{text}'"),
            Self::DuckDb | Self::Postgres => format!("TIMESTAMPTZ '{text}'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_or_refused() {
        for (dialect, name, quoted) in [
            (Dialect::Sqlite, "a\"b", Some("\"a\"\"b\"")),
            (Dialect::MySql, "a`b", Some("`a``b`")),
            (Dialect::MySql, "a ", None),
            (Dialect::MySql, &"ü".repeat(64), Some(&*format!("`{}`", "ü".repeat(64)))),
            (Dialect::MariaDb, &"ü".repeat(65), None),
            (Dialect::MySql, "\u{1F600}", None),
            (Dialect::Postgres, &"x".repeat(63), Some(&*format!("\"{}\"", "x".repeat(63)))),
            (Dialect::Postgres, &"ü".repeat(32), None),
            (Dialect::DuckDb, &"x".repeat(1_025), None),
            (Dialect::Sqlite, "", None),
            (Dialect::Postgres, "a\0", None),
        ] {
            match quote_ident(dialect, name) {
                Ok(sql) => assert_eq!(Some(sql.as_str()), quoted, "{name:?}"),
                Err(error) => assert!(quoted.is_none() && error.hint().is_some(), "{name:?}: {error:?}"),
            }
        }
    }
}
