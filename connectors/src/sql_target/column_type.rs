//! Which type a column has in the target, and when one type holds all values of another.

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::datatypes::{DataType, Field, TimeUnit};

use super::{Dialect, mysql_type, postgres_type};

/// How a target keeps a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    /// The type in DDL.
    pub sql: String,
    /// The Arrow type that is loaded (DuckDB); the others are given values of the relation's own type.
    #[cfg_attr(not(feature = "duckdb"), allow(dead_code))]
    pub arrow: DataType,
}

/// The storage of a column by its Arrow type; `key_columns` is the number of columns of the key it belongs to, or 0.
///
/// # Errors
/// `Schema` for a type that the target cannot hold without loss.
pub(crate) fn storage(dialect: Dialect, field: &Field, key_columns: usize) -> Result<Storage> {
    let (column, data_type) = (field.name(), field.data_type());
    let own = |sql: Option<String>| sql.map(|sql| Storage { sql, arrow: data_type.clone() });
    let storage = match dialect {
        Dialect::Sqlite => own(sqlite(data_type).map(str::to_owned)),
        Dialect::DuckDb => duckdb(data_type),
        Dialect::MySql | Dialect::MariaDb => own(mysql_type::generic(dialect, field, key_columns)),
        Dialect::Postgres => own(postgres_type::generic(field, key_columns > 0)),
    };
    storage.ok_or_else(|| {
        Error::new(
            ErrorKind::Schema,
            format!("column {column} has type {data_type}, which {} columns cannot hold here", dialect.product()),
        )
        .with_hint(format!(
            "cast or drop it before this task, for example with Mapping: {column}: \"CAST({column} AS VARCHAR)\""
        ))
    })
}

/// The storage of a column outside of a key.
///
/// # Errors
/// As [`storage`].
pub(crate) fn storage_type(dialect: Dialect, column: &str, data_type: &DataType) -> Result<Storage> {
    storage(dialect, &Field::new(column, data_type.clone(), true), 0)
}

/// True when a field is of that Arrow extension type.
pub(super) fn is_extension(field: &Field, name: &str) -> bool {
    field.metadata().get("ARROW:extension:name").is_some_and(|extension| extension == name)
}

/// SQLite converts what looks like a number in a column of numeric affinity, so each type is declared with a name
/// whose affinity leaves its values as they are (sqlite.org/datatype3.html, section 3.1).
fn sqlite(data_type: &DataType) -> Option<&'static str> {
    use DataType::*;
    Some(match data_type {
        Boolean => "BOOLEAN",
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Duration(_) => "INTEGER",
        // No affinity: values above i64::MAX are text, and numeric affinity would make them floats.
        UInt64 => "U64 BLOB",
        Float16 | Float32 | Float64 => "REAL",
        Null | Utf8 | LargeUtf8 | Utf8View | Decimal32(..) | Decimal64(..) | Decimal128(..) | Decimal256(..) => "TEXT",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "BLOB",
        Date32 => "DATE",
        Date64 | Timestamp(..) => "TIMESTAMP",
        Time32(_) | Time64(_) => "TIME",
        Dictionary(_, values) => return sqlite(values),
        _ => return None,
    })
}

fn duckdb(data_type: &DataType) -> Option<Storage> {
    use DataType::*;
    let (sql, arrow) = match data_type {
        Boolean => ("BOOLEAN", Boolean),
        Int8 => ("TINYINT", Int8),
        Int16 => ("SMALLINT", Int16),
        Int32 => ("INTEGER", Int32),
        Int64 => ("BIGINT", Int64),
        UInt8 => ("UTINYINT", UInt8),
        UInt16 => ("USMALLINT", UInt16),
        UInt32 => ("UINTEGER", UInt32),
        UInt64 => ("UBIGINT", UInt64),
        Float16 | Float32 => ("FLOAT", Float32),
        Float64 => ("DOUBLE", Float64),
        Null | Utf8 | LargeUtf8 | Utf8View => ("VARCHAR", Utf8),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => ("BLOB", Binary),
        Date32 => ("DATE", Date32),
        Date64 => ("TIMESTAMP_MS", Timestamp(TimeUnit::Millisecond, None)),
        Timestamp(TimeUnit::Second, None) => ("TIMESTAMP_S", data_type.clone()),
        Timestamp(TimeUnit::Millisecond, None) => ("TIMESTAMP_MS", data_type.clone()),
        Timestamp(TimeUnit::Microsecond, None) => ("TIMESTAMP", data_type.clone()),
        // TIMESTAMPTZ has microseconds only, so nanoseconds in UTC are kept without their zone.
        Timestamp(TimeUnit::Nanosecond, _) => ("TIMESTAMP_NS", Timestamp(TimeUnit::Nanosecond, None)),
        Timestamp(_, Some(_)) => ("TIMESTAMP WITH TIME ZONE", Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Time64(TimeUnit::Nanosecond) | Duration(_) => ("BIGINT", Int64),
        Time32(_) | Time64(_) => ("TIME", Time64(TimeUnit::Microsecond)),
        Dictionary(_, values) => return duckdb(values),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => {
            return Some(duckdb_decimal(*precision, *scale));
        }
        _ => return None,
    };
    Some(Storage { sql: sql.to_owned(), arrow })
}

/// DECIMAL has at most 38 digits and no negative scale; what does not fit is kept as text.
fn duckdb_decimal(precision: u8, scale: i8) -> Storage {
    let (precision, scale) =
        if scale < 0 { (precision.saturating_add(scale.unsigned_abs()), 0) } else { (precision, scale) };
    if precision > 38 || scale.unsigned_abs() > precision {
        return Storage { sql: "VARCHAR".to_owned(), arrow: DataType::Utf8 };
    }
    Storage { sql: format!("DECIMAL({precision},{scale})"), arrow: DataType::Decimal128(precision, scale) }
}

/// True when a column of type `actual` holds every value of type `wanted` exactly.
pub(crate) fn holds(dialect: Dialect, actual: &str, wanted: &str) -> bool {
    match dialect {
        Dialect::Sqlite => sqlite_holds(affinity(actual), wanted),
        Dialect::DuckDb => actual == wanted || duckdb_holds(actual, wanted),
        Dialect::MySql | Dialect::MariaDb => mysql_type::holds(actual, wanted),
        Dialect::Postgres => postgres_type::holds(actual, wanted),
    }
}

/// True when the target can turn a column of type `actual` into `wanted` without changing a value.
pub(crate) fn widens(dialect: Dialect, actual: &str, wanted: &str) -> bool {
    match dialect {
        Dialect::Sqlite => affinity(actual) == Affinity::Integer && wanted == "TEXT",
        Dialect::DuckDb => {
            actual != wanted && (duckdb_holds(wanted, actual) || (wanted == "VARCHAR" && digits(actual).is_some()))
        }
        Dialect::MySql | Dialect::MariaDb => mysql_type::widens(actual, wanted),
        Dialect::Postgres => postgres_type::widens(actual, wanted),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Affinity::Integer
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() {
        Affinity::Blob
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

fn sqlite_holds(actual: Affinity, wanted: &str) -> bool {
    use Affinity::*;
    match wanted {
        "BOOLEAN" | "INTEGER" => matches!(actual, Integer | Numeric | Blob),
        "REAL" => actual != Text,
        "TEXT" => matches!(actual, Text | Blob),
        "DATE" | "TIMESTAMP" | "TIME" => matches!(actual, Text | Numeric | Blob),
        _ => actual == Blob,
    }
}

/// Digits before and after the point of an exact DuckDB type.
fn digits(sql: &str) -> Option<(u32, u32)> {
    Some(match sql {
        "TINYINT" | "UTINYINT" => (3, 0),
        "SMALLINT" | "USMALLINT" => (5, 0),
        "INTEGER" | "UINTEGER" => (10, 0),
        "BIGINT" => (19, 0),
        "UBIGINT" => (20, 0),
        "HUGEINT" | "UHUGEINT" => (39, 0),
        _ => {
            let (precision, scale) = sql.strip_prefix("DECIMAL(")?.strip_suffix(')')?.split_once(',')?;
            let (precision, scale) = (precision.trim().parse::<u32>().ok()?, scale.trim().parse::<u32>().ok()?);
            (precision.checked_sub(scale)?, scale)
        }
    })
}

fn duckdb_holds(actual: &str, wanted: &str) -> bool {
    const SIGNED: [&str; 5] = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"];
    const UNSIGNED: [&str; 5] = ["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"];
    let rank = |list: [&str; 5], sql: &str| list.iter().position(|name| *name == sql);
    match (rank(SIGNED, actual), rank(SIGNED, wanted), rank(UNSIGNED, actual), rank(UNSIGNED, wanted)) {
        (Some(actual), Some(wanted), ..) | (.., Some(actual), Some(wanted)) => return actual >= wanted,
        (Some(actual), _, _, Some(wanted)) => return actual > wanted,
        (_, Some(_), Some(_), _) => return false,
        _ => {}
    }
    match (actual, wanted) {
        ("DOUBLE", "FLOAT" | "TINYINT" | "SMALLINT" | "INTEGER" | "UTINYINT" | "USMALLINT" | "UINTEGER") => true,
        _ if actual.starts_with("DECIMAL(") => match (digits(actual), digits(wanted)) {
            (Some(actual), Some(wanted)) => actual.0 >= wanted.0 && actual.1 >= wanted.1,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_types_keep_what_they_hold() {
        for (actual, wanted, holds_it) in [
            ("BIGINT", "INTEGER", true),
            ("VARCHAR(20)", "TEXT", true),
            ("DECIMAL(10,2)", "TEXT", false),
            ("DATETIME", "TIMESTAMP", true),
            ("INTEGER", "TIMESTAMP", false),
            ("", "BLOB", true),
            ("INTEGER", "TEXT", false),
            ("TEXT", "INTEGER", false),
            ("DOUBLE PRECISION", "REAL", true),
        ] {
            assert_eq!(holds(Dialect::Sqlite, actual, wanted), holds_it, "{wanted} in {actual}");
        }
        assert!(widens(Dialect::Sqlite, "INTEGER", "TEXT") && !widens(Dialect::Sqlite, "REAL", "TEXT"));
    }

    #[test]
    fn duckdb_types_keep_what_they_hold() {
        for (actual, wanted, holds_it) in [
            ("BIGINT", "INTEGER", true),
            ("INTEGER", "BIGINT", false),
            ("BIGINT", "UINTEGER", true),
            ("INTEGER", "UINTEGER", false),
            ("UBIGINT", "BIGINT", false),
            ("HUGEINT", "UBIGINT", true),
            ("DECIMAL(12,2)", "DECIMAL(10,2)", true),
            ("DECIMAL(12,2)", "DECIMAL(12,4)", false),
            ("DECIMAL(38,2)", "BIGINT", true),
            ("DOUBLE", "BIGINT", false),
            ("VARCHAR", "BIGINT", false),
            ("UHUGEINT", "UBIGINT", true),
        ] {
            assert_eq!(holds(Dialect::DuckDb, actual, wanted), holds_it, "{wanted} in {actual}");
        }
        assert!(widens(Dialect::DuckDb, "INTEGER", "BIGINT") && widens(Dialect::DuckDb, "DECIMAL(5,2)", "VARCHAR"));
        assert!(!widens(Dialect::DuckDb, "BIGINT", "INTEGER") && !widens(Dialect::DuckDb, "DOUBLE", "VARCHAR"));
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let list = DataType::new_list(DataType::Int32, true);
        for dialect in [Dialect::Sqlite, Dialect::DuckDb] {
            let error = storage_type(dialect, "tags", &list).unwrap_err();
            assert!(error.to_string().contains("tags") && error.hint().is_some(), "{error:?}");
        }
        assert_eq!(storage_type(Dialect::DuckDb, "x", &DataType::Decimal256(76, 10)).unwrap().sql, "VARCHAR");
        assert_eq!(storage_type(Dialect::DuckDb, "x", &DataType::Decimal128(5, -3)).unwrap().sql, "DECIMAL(8,0)");
    }
}
