//! Tables as the server describes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Relation, RelationName, Result};
use arrow::datatypes::{DataType, Schema};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value, params};

use super::column_default::ColumnDefault;
use super::column_type::{ColumnSpec, SOURCE_CHARSET, SOURCE_COLLATION, SOURCE_KEY, base};
use super::connection::Explain;
use super::ddl::{CharsetDefault, Dialect, default_value};
use super::rows::ZeroDates;

/// Up to this many tables are asked for one by one; more of them by whole databases.
///
/// MariaDB opens every table of a database for a question that is not about one table.
const ONE_BY_ONE_MAX: usize = 50;

/// Databases of the server itself.
const SYSTEM_DATABASES: &str = "'mysql','information_schema','performance_schema','sys'";

/// A table, and what is known of it beside its columns.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Name, columns and key; version 1.
    pub relation: Arc<Relation>,
    /// The storage engine, as the server writes it.
    pub engine: String,
    /// About how many rows; 0 when unknown.
    pub rows_estimate: u64,
}

impl Table {
    /// True when rows of a transaction that is rolled back stay in the table.
    pub(crate) fn is_transactional(&self) -> bool {
        is_transactional(&self.engine)
    }
}

/// True for storage engines that take part in transactions.
pub(crate) fn is_transactional(engine: &str) -> bool {
    ["InnoDB", "ROCKSDB", "TokuDB", "ndbcluster", "XTRADB"].iter().any(|name| engine.eq_ignore_ascii_case(name))
}

/// True when Arrow values of this type are in the order in which the server keeps them.
pub(crate) fn has_native_order(data_type: &DataType) -> bool {
    !matches!(data_type, DataType::Utf8)
}

/// The names of all base tables, ordered, without the server's own.
///
/// # Errors
/// As [`Explain::doing`].
pub(crate) async fn names(connection: &mut Conn) -> Result<Vec<RelationName>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN ({SYSTEM_DATABASES})"
    );
    let pairs: Vec<(String, String)> = connection.query(sql).await.doing(|| "listing tables".to_owned())?;
    let mut names: Vec<RelationName> = pairs.into_iter().map(|(schema, table)| name(schema, table)).collect();
    names.sort();
    Ok(names)
}

/// A table's name with its database.
pub(crate) fn name(schema: impl Into<String>, table: impl Into<String>) -> RelationName {
    RelationName { catalog: None, schema: Some(schema.into()), table: table.into() }
}

/// Describes tables, ordered by name; those that are gone (or may not be seen) are left out.
///
/// # Errors
/// As [`Explain::doing`]; `Schema` for two columns of one name, which no server allows.
pub(crate) async fn describe(
    connection: &mut Conn,
    wanted: &[RelationName],
    zero_dates: ZeroDates,
) -> Result<Vec<Table>> {
    let mut found = Found::default();
    if wanted.len() <= ONE_BY_ONE_MAX {
        for name in wanted {
            found.read(connection, &Scope::table(name)).await?;
        }
    } else {
        let mut databases: Vec<&str> = wanted.iter().filter_map(|name| name.schema.as_deref()).collect();
        databases.sort_unstable();
        databases.dedup();
        for database in databases {
            found.read(connection, &Scope { database, table: None }).await?;
        }
    }
    let mut wanted: Vec<&RelationName> = wanted.iter().collect();
    wanted.sort();
    wanted.into_iter().filter_map(|name| found.table(name, zero_dates).transpose()).collect()
}

/// What a question to `information_schema` is about.
struct Scope<'a> {
    database: &'a str,
    table: Option<&'a str>,
}

impl<'a> Scope<'a> {
    fn table(name: &'a RelationName) -> Self {
        Self { database: name.schema.as_deref().unwrap_or_default(), table: Some(&name.table) }
    }

    fn condition(&self) -> &'static str {
        match self.table {
            Some(_) => "TABLE_SCHEMA = :database AND TABLE_NAME = :table",
            None => "TABLE_SCHEMA = :database",
        }
    }

    fn params(&self) -> Params {
        match self.table {
            Some(table) => params! { "database" => self.database, "table" => table },
            None => params! { "database" => self.database },
        }
    }
}

/// One index: its name, its columns in order, and whether it can be a key.
#[derive(Default)]
struct Index {
    columns: Vec<String>,
    is_key: bool,
}

#[derive(Default)]
struct Parts {
    engine: String,
    rows_estimate: u64,
    /// The default of new text columns.
    collation: Option<String>,
    columns: Vec<ColumnSpec>,
    /// By name.
    indexes: BTreeMap<String, Index>,
}

#[derive(Default)]
struct Found(BTreeMap<RelationName, Parts>);

impl Found {
    async fn read(&mut self, connection: &mut Conn, scope: &Scope<'_>) -> Result<()> {
        let doing = || match scope.table {
            Some(table) => format!("describing {}.{table}", scope.database),
            None => format!("describing the tables of {}", scope.database),
        };
        let condition = scope.condition();
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, TABLE_COLLATION FROM information_schema.TABLES \
             WHERE {condition} AND TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')"
        );
        let rows: Vec<Row> = connection.exec(sql, scope.params()).await.doing(doing)?;
        for row in &rows {
            let parts = self.parts(row);
            parts.engine = text(row, 2).unwrap_or_default();
            parts.rows_estimate = text(row, 3).and_then(|number| number.parse().ok()).unwrap_or(0);
            parts.collation = text(row, 4);
        }
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, CHARACTER_SET_NAME, \
             COLLATION_NAME, EXTRA, COLUMN_DEFAULT, VERSION() FROM information_schema.COLUMNS WHERE {condition} \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
        );
        let rows: Vec<Row> = connection.exec(sql, scope.params()).await.doing(doing)?;
        for row in &rows {
            let column = column(row);
            self.parts(row).columns.push(column);
        }
        let sql = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, NULLABLE FROM information_schema.STATISTICS \
             WHERE {condition} AND NON_UNIQUE = 0 ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        );
        let rows: Vec<Row> = connection.exec(sql, scope.params()).await.doing(doing)?;
        for row in &rows {
            let index_name = text(row, 2).unwrap_or_default();
            let column = text(row, 3);
            let nullable = text(row, 4).is_some_and(|nullable| nullable == "YES");
            let index =
                self.parts(row).indexes.entry(index_name).or_insert(Index { columns: Vec::new(), is_key: true });
            // An index over an expression names no column.
            index.is_key &= column.is_some() && !nullable;
            index.columns.extend(column);
        }
        Ok(())
    }

    fn parts(&mut self, row: &Row) -> &mut Parts {
        let name = name(text(row, 0).unwrap_or_default(), text(row, 1).unwrap_or_default());
        self.0.entry(name).or_default()
    }

    /// The table of that name; `None` when it is no base table, or was dropped between two questions.
    fn table(&mut self, name: &RelationName, zero_dates: ZeroDates) -> Result<Option<Table>> {
        let Some(parts) = self.0.remove(name) else { return Ok(None) };
        if parts.engine.is_empty() || parts.columns.is_empty() {
            return Ok(None);
        }
        let fields: Vec<_> = parts.columns.iter().map(|column| column.field(zero_dates)).collect();
        let (key_name, key) = key(&parts.indexes);
        let charset = parts.collation.as_deref().and_then(|collation| collation.split('_').next()).map(str::to_owned);
        let entries = [(SOURCE_CHARSET, charset), (SOURCE_COLLATION, parts.collation), (SOURCE_KEY, key_name)];
        let metadata = entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let relation = Relation::new(name.clone(), schema, key, 1)?;
        Ok(Some(Table { relation: Arc::new(relation), engine: parts.engine, rows_estimate: parts.rows_estimate }))
    }
}

/// The primary key, or the shortest unique index without NULLs; with its name.
fn key(indexes: &BTreeMap<String, Index>) -> (Option<String>, &[String]) {
    if let Some((name, primary)) = indexes.get_key_value("PRIMARY") {
        return (Some(name.clone()), &primary.columns);
    }
    let candidates = indexes.iter().filter(|(_, index)| index.is_key);
    let shortest = candidates.min_by_key(|(_, index)| index.columns.len());
    shortest.map_or((None, &[]), |(name, index)| (Some(name.clone()), &index.columns))
}

/// What texts of new tables have, by database.
///
/// # Errors
/// As [`Explain::doing`].
pub(crate) async fn charsets(connection: &mut Conn) -> Result<HashMap<String, CharsetDefault>> {
    let sql = "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA";
    let rows: Vec<(String, String, String)> =
        connection.query(sql).await.doing(|| "listing the databases' character sets".to_owned())?;
    let default = |charset, collation| CharsetDefault { charset: Some(charset), collation: Some(collation) };
    Ok(rows.into_iter().map(|(database, charset, collation)| (database, default(charset, collation))).collect())
}

fn column(row: &Row) -> ColumnSpec {
    let extra = text(row, 7).unwrap_or_default().to_ascii_uppercase();
    let generated = if extra.contains("VIRTUAL GENERATED") {
        Some("virtual")
    } else if extra.contains("STORED GENERATED") || extra.contains("PERSISTENT") {
        Some("stored")
    } else {
        None
    };
    ColumnSpec {
        name: text(row, 2).unwrap_or_default(),
        source_type: text(row, 3).unwrap_or_default(),
        nullable: text(row, 4).is_some_and(|nullable| nullable == "YES"),
        charset: text(row, 5),
        collation: text(row, 6),
        default: default(row, &extra),
        generated: generated.map(str::to_owned),
    }
}

/// MariaDB writes defaults as SQL; MySQL writes values, and marks expressions.
fn default(row: &Row, extra: &str) -> ColumnDefault {
    if extra.contains("GENERATED") {
        return ColumnDefault::Computed;
    }
    let Some(default) = text(row, 8) else { return ColumnDefault::Null };
    let version = text(row, 9).unwrap_or_default();
    if version.contains("MariaDB") {
        return default_value(&default, Dialect::of_server(&version));
    }
    // MySQL 5.7 marks nothing; nothing else of these types begins with a letter.
    match default.strip_prefix("b'").and_then(|rest| rest.strip_suffix('\'')) {
        Some(bits) if text(row, 3).is_some_and(|own| base(&own) == "bit") => ColumnDefault::Bits(bits.to_owned()),
        _ if default.starts_with("CURRENT_TIMESTAMP") => ColumnDefault::Computed,
        _ => ColumnDefault::Text(default),
    }
}

/// A cell as text; `None` for NULL.
fn text(row: &Row, column: usize) -> Option<String> {
    match row.as_ref(column)? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        _ => None,
    }
}
