//! Rows as canonical text, read from a server and from a SQLite file: what is compared is the value, not how a system
//! writes it.

use std::collections::BTreeMap;
use std::path::Path;

use aqueduct_test_servers::{Client, Database, Rows};
use rusqlite::types::ValueRef;

/// What a column's values are, as far as writing them goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whole numbers, decimals, booleans.
    Number,
    /// A number of 32 bits.
    Float32,
    /// A number of 64 bits.
    Float64,
    /// Dates and times of day.
    Moment,
    /// MySQL's TIME: microseconds.
    Duration,
    /// Bytes, as hexadecimal digits.
    Bytes,
    /// JSON: equal as values.
    Json,
    /// Text, and whatever stays text.
    Text,
}

/// A table of the source.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// The name with its schema, quoted for the source.
    quoted: String,
    /// Name, form, and the expression that gives its text at the source.
    columns: Vec<(String, Form, String)>,
    prologue: &'static str,
}

/// The base tables of a database (MySQL) or of its schema `public` (PostgreSQL).
pub fn tables(database: &Database<'_>) -> Vec<Table> {
    let mysql = database.server().kind().is_mysql();
    let rows = database.sql(&if mysql { mysql_columns(database.name()) } else { POSTGRES_COLUMNS.to_owned() });
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for row in rows {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        let (table, column, kind, full) = (next(), next(), next(), next());
        let quote = |name: &str| quoted(name, mysql);
        let (form, expression) = if mysql {
            mysql_form(&kind, &full, &quote(&column))
        } else {
            postgres_form(&kind, &full, &quote(&column))
        };
        let entry = tables.entry(table.clone()).or_insert_with(|| Table {
            quoted: if mysql { quote(&table) } else { format!("public.{}", quote(&table)) },
            name: table,
            columns: Vec::new(),
            prologue: if mysql { "SET time_zone = '+00:00'" } else { POSTGRES_PROLOGUE },
        });
        entry.columns.push((column, form, expression));
    }
    tables.into_values().collect()
}

fn quoted(name: &str, mysql: bool) -> String {
    if mysql { format!("`{}`", name.replace('`', "``")) } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn mysql_columns(database: &str) -> String {
    format!(
        "SELECT c.table_name, c.column_name, c.data_type, c.column_type FROM information_schema.columns c
         JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
         WHERE c.table_schema = '{database}' AND t.table_type = 'BASE TABLE' ORDER BY 1, c.ordinal_position"
    )
}

const POSTGRES_COLUMNS: &str = "
    SELECT c.relname, a.attname, coalesce(base.typname, t.typname), format_type(a.atttypid, a.atttypmod)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type base ON base.oid = nullif(t.typbasetype, 0)
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, a.attnum";

const POSTGRES_PROLOGUE: &str =
    "SET timezone = 'UTC'; SET datestyle = 'ISO'; SET extra_float_digits = 1; SET bytea_output = 'hex'";

fn mysql_form(kind: &str, full: &str, column: &str) -> (Form, String) {
    let text = || column.to_owned();
    match kind {
        "geometry" | "point" | "linestring" | "polygon" | "geomcollection" | "multipoint" | "vector" => {
            (Form::Bytes, format!("HEX({column})"))
        }
        "bit" | "year" => (Form::Number, format!("{column} + 0")),
        "float" => (Form::Float32, format!("CAST({column} AS DOUBLE)")),
        "double" => (Form::Float64, text()),
        "date" | "datetime" | "timestamp" => (Form::Moment, format!("CAST({column} AS CHAR)")),
        "time" => (Form::Duration, format!("CAST({column} AS CHAR)")),
        "json" => (Form::Json, text()),
        _ if kind.ends_with("int") || kind == "decimal" => (Form::Number, format!("CAST({column} AS CHAR)")),
        _ if kind.ends_with("binary") || kind.ends_with("blob") => (Form::Bytes, format!("HEX({column})")),
        _ if full.contains("geometry") => (Form::Bytes, format!("HEX({column})")),
        _ => (Form::Text, text()),
    }
}

fn postgres_form(kind: &str, full: &str, column: &str) -> (Form, String) {
    let form = match kind {
        "bool" | "int2" | "int4" | "int8" | "oid" => Form::Number,
        "numeric" if full.contains('(') => Form::Number,
        "float4" => Form::Float32,
        "float8" => Form::Float64,
        "date" | "timestamp" | "timestamptz" | "time" => Form::Moment,
        "bytea" => Form::Bytes,
        "json" | "jsonb" => Form::Json,
        _ => Form::Text,
    };
    // The type's own output: a cast to text would cut blanks off and add masks.
    (form, column.to_owned())
}

impl Table {
    /// Rows as canonical text, at the source.
    pub fn source_rows(&self, client: &mut Client) -> Vec<String> {
        let columns: Vec<&str> = self.columns.iter().map(|(_, _, expression)| expression.as_str()).collect();
        client.sql(self.prologue);
        // A table that was dropped or changed since its columns were read holds nothing to compare.
        let rows = client.run(&format!("SELECT {} FROM {}", columns.join(", "), self.quoted)).unwrap_or_default();
        self.canonical(rows)
    }

    /// Rows as canonical text, in a SQLite file; none while it has no such table or other columns.
    pub fn copied_rows(&self, file: &Path) -> Vec<String> {
        let columns: Vec<String> = self.columns.iter().map(|(name, _, _)| quoted(name, false)).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), quoted(&self.name, false));
        self.canonical(lite(file, &sql).unwrap_or_default())
    }

    fn canonical(&self, rows: Rows) -> Vec<String> {
        let value = |(value, (_, form, _)): (Option<String>, &(String, Form, String))| match value {
            Some(text) => canonical(*form, text),
            None => "∅".to_owned(),
        };
        let row =
            |row: Vec<Option<String>>| row.into_iter().zip(&self.columns).map(value).collect::<Vec<_>>().join("|");
        let mut rows: Vec<String> = rows.into_iter().map(row).collect();
        rows.sort();
        rows
    }
}

/// The value of a text, however a system writes it.
pub fn canonical(form: Form, text: String) -> String {
    match form {
        Form::Number => number(&text),
        Form::Float32 => text.parse::<f64>().map_or(text, |value| format!("{:?}", value as f32 + 0.0)),
        Form::Float64 => text.parse::<f64>().map_or(text, |value| format!("{:?}", value + 0.0)),
        Form::Moment => moment(&text),
        Form::Duration => duration(&text).unwrap_or(text),
        Form::Bytes => text.trim_start_matches("\\x").to_uppercase(),
        Form::Json => serde_json::from_str(&text).map_or(text, |value| sorted(value).to_string()),
        Form::Text => text,
    }
}

fn number(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    match digits {
        "t" | "true" => return "1".to_owned(),
        "f" | "false" => return "0".to_owned(),
        _ if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => return text.to_owned(),
        _ => {}
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    match (whole, fraction) {
        ("", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        ("", fraction) => format!("{sign}0.{fraction}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

fn moment(text: &str) -> String {
    let text = text.replace('T', " ");
    // PostgreSQL counts the years before our era from 1, ISO 8601 from 0.
    let before = text.strip_suffix(" BC").and_then(|text| text.split_once('-'));
    let year = before.and_then(|(year, rest)| Some((year.parse::<i32>().ok()? - 1, rest)));
    let text = match year {
        Some((year, rest)) => format!("{}{year:04}-{rest}", if year > 0 { "-" } else { "" }),
        None => text,
    };
    let text = ["Z", "+00:00", "+00"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(&text);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// `[-]HHH:MM:SS[.ffffff]` as microseconds.
fn duration(text: &str) -> Option<String> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = rest.splitn(3, ':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let micros = format!("{fraction:0<6}").parse::<i64>().ok()?;
    let whole = (hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?) * 60 + seconds.parse::<i64>().ok()?;
    Some((sign * (whole * 1_000_000 + micros)).to_string())
}

fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, sorted(value))).collect::<BTreeMap<_, _>>().into_iter().collect()
        }
        serde_json::Value::Array(list) => list.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// Runs a query on a SQLite file; `None` when it cannot be run. Bytes are hexadecimal digits.
pub fn lite(file: &Path, sql: &str) -> Option<Rows> {
    let connection = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).ok()?;
    let mut statement = connection.prepare(sql).ok()?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| (0..columns).map(|i| Ok(lite_text(row.get_ref(i)?))).collect());
    rows.ok()?.collect::<Result<_, _>>().ok()
}

fn lite_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|byte| format!("{byte:02X}")).collect()),
    }
}

/// The first rows that one side has and the other lacks; both are sorted.
pub fn first_difference(expected: &[String], found: &[String]) -> Option<String> {
    if expected == found {
        return None;
    }
    let only = |these: &[String], others: &[String]| {
        let mut left: BTreeMap<&String, i64> = BTreeMap::new();
        these.iter().for_each(|row| *left.entry(row).or_default() += 1);
        others.iter().for_each(|row| *left.entry(row).or_default() -= 1);
        let rows: Vec<String> =
            left.into_iter().filter(|(_, n)| *n > 0).map(|(row, n)| format!("{n}× {row:.300}")).collect();
        format!("{} ({})", rows.len(), rows.iter().take(4).cloned().collect::<Vec<_>>().join(" ; "))
    };
    let (missing, extra) = (only(expected, found), only(found, expected));
    Some(format!(
        "{} rows and {}; only at the source: {missing}; only in the target: {extra}",
        expected.len(),
        found.len()
    ))
}
