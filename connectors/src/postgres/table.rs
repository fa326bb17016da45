//! Tables as the catalogs describe them.
//!
//! Statements run with an empty search path, so that the texts of types are the same whatever the role's path is.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Relation, RelationName, Result};
use arrow::datatypes::{DataType, Field, Schema};
use tokio_postgres::{Client, Row};

use super::column_type::{ColumnType, SOURCE_GENERATED};
use super::error::failed;

/// What identifies the old row of an update or delete in the log (`ALTER TABLE … REPLICA IDENTITY …`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The primary key.
    Default,
    /// The whole row.
    Full,
    /// The columns of a unique index.
    Index,
    /// Nothing: updates and deletes of a published table fail.
    Nothing,
}

/// A table by number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    pub oid: u32,
    pub name: RelationName,
}

/// A table as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub oid: u32,
    pub relation: Arc<Relation>,
    pub identity: Identity,
    /// The root of a tree of partitions.
    pub partitioned: bool,
    /// Not in the log: unlogged or temporary.
    pub unlogged: bool,
    /// A row-level policy would hide rows from us.
    pub hides_rows: bool,
    /// We may read it, its schema included.
    pub readable: bool,
    /// We own it, or are a member of the role that does.
    pub owned: bool,
    /// About how many rows it has; 0 when it was never analysed.
    pub rows_estimate: u64,
    /// Keys compare as their bytes or numbers do.
    pub native_key_order: bool,
    /// Generated columns that the relation leaves out.
    pub left_out: Vec<String>,
}

/// The ordinary and partitioned tables outside the system's schemas, by name.
///
/// A partition is listed when `partitions` is set, and its root otherwise.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn list(client: &Client, partitions: bool) -> Result<Vec<TableName>> {
    let rows = client.query(LIST, &[&partitions]).await.map_err(|error| failed("cannot list the tables", error))?;
    Ok(rows.iter().map(|row| TableName { oid: row.get("oid"), name: name(row) }).collect())
}

/// Describes tables, in the order of their names; those that no longer exist are left out.
///
/// `generated`: whether generated columns are kept. The log does not carry them.
///
/// # Errors
/// `Schema` for a table that Arrow cannot describe; those of the connection.
pub(crate) async fn describe(client: &Client, oids: &[u32], generated: bool) -> Result<Vec<Table>> {
    let doing = |error| failed("cannot describe the tables", error);
    let tables = client.query(TABLES, &[&oids]).await.map_err(doing)?;
    let mut columns: BTreeMap<u32, Vec<Column>> = BTreeMap::new();
    for row in client.query(COLUMNS, &[&oids]).await.map_err(doing)? {
        columns.entry(row.get("attrelid")).or_default().push(Column::of(&row));
    }
    let mut indexes: BTreeMap<u32, Vec<Index>> = BTreeMap::new();
    for row in client.query(INDEXES, &[&oids]).await.map_err(doing)? {
        indexes.entry(row.get("indrelid")).or_default().push(Index::of(&row));
    }
    let mut described = Vec::with_capacity(tables.len());
    for row in &tables {
        let oid = row.get("oid");
        let columns = columns.remove(&oid).unwrap_or_default();
        described.push(table(row, &columns, &indexes.remove(&oid).unwrap_or_default(), generated)?);
    }
    Ok(described)
}

fn table(row: &Row, columns: &[Column], indexes: &[Index], generated: bool) -> Result<Table> {
    let identity = match row.get("relreplident") {
        "f" => Identity::Full,
        "i" => Identity::Index,
        "n" => Identity::Nothing,
        _ => Identity::Default,
    };
    let key: Vec<&Column> = key(identity, indexes)
        .iter()
        .filter_map(|number| columns.iter().find(|column| column.number == *number))
        .collect();
    let kept: Vec<&Column> = columns.iter().filter(|column| generated || column.generated.is_none()).collect();
    let fields = kept.iter().map(|column| column.field(key.iter().any(|of_key| of_key.number == column.number)));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let key_is_kept = key.iter().all(|of_key| kept.iter().any(|column| column.number == of_key.number));
    let key = if key_is_kept { key } else { Vec::new() };
    let key_names: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
    Ok(Table {
        oid: row.get("oid"),
        relation: Arc::new(Relation::new(name(row), Arc::new(schema), &key_names, 1)?),
        identity,
        partitioned: row.get("partitioned"),
        unlogged: row.get("unlogged"),
        hides_rows: row.get("hides_rows"),
        readable: row.get("readable"),
        owned: row.get("owned"),
        rows_estimate: row.get::<_, f64>("rows_estimate") as u64,
        native_key_order: key.iter().all(|column| column.has_native_order()),
        left_out: columns
            .iter()
            .filter(|column| column.generated.is_some())
            .map(|column| column.name.clone())
            .collect(),
    })
}

fn name(row: &Row) -> RelationName {
    RelationName { catalog: None, schema: Some(row.get("nspname")), table: row.get("relname") }
}

/// The numbers of the columns that tell rows apart in the log: deletes carry them whatever else they leave out.
fn key(identity: Identity, indexes: &[Index]) -> Vec<i16> {
    let primary = indexes.iter().find(|index| index.primary);
    let chosen = match identity {
        Identity::Index => indexes.iter().find(|index| index.identity),
        Identity::Default | Identity::Nothing => primary,
        // The whole old row is there, so that any unique index over columns that are never NULL will do.
        Identity::Full => primary.or(indexes.iter().find(|index| index.without_nulls)),
    };
    chosen.map(|index| index.columns.clone()).unwrap_or_default()
}

struct Column {
    name: String,
    number: i16,
    column_type: ColumnType,
    /// `stored` or `virtual`.
    generated: Option<&'static str>,
    /// Texts are ordered by their bytes.
    by_bytes: bool,
}

impl Column {
    fn of(row: &Row) -> Self {
        Self {
            name: row.get("attname"),
            number: row.get("attnum"),
            column_type: ColumnType { text: row.get("type"), base: row.get("base"), modifier: row.get("modifier") },
            generated: match row.get("attgenerated") {
                "s" => Some("stored"),
                "v" => Some("virtual"),
                _ => None,
            },
            by_bytes: row.get("by_bytes"),
        }
    }

    fn field(&self, in_key: bool) -> Field {
        let field = self.column_type.field(&self.name, self.number, in_key);
        let Some(generated) = self.generated else { return field };
        let mut metadata = field.metadata().clone();
        metadata.insert(SOURCE_GENERATED.to_owned(), generated.to_owned());
        field.with_metadata(metadata)
    }

    fn has_native_order(&self) -> bool {
        match self.column_type.arrow() {
            DataType::Utf8 => self.by_bytes,
            // NaN is where only the database knows.
            DataType::Float32 | DataType::Float64 => false,
            _ => true,
        }
    }
}

struct Index {
    primary: bool,
    identity: bool,
    without_nulls: bool,
    columns: Vec<i16>,
}

impl Index {
    fn of(row: &Row) -> Self {
        Self {
            primary: row.get("indisprimary"),
            identity: row.get("indisreplident"),
            without_nulls: row.get("without_nulls"),
            columns: row.get("columns"),
        }
    }
}

const LIST: &str = "
SELECT c.oid, n.nspname::text AS nspname, c.relname::text AS relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
   AND CASE WHEN $1::bool THEN c.relkind = 'r' ELSE c.relkind IN ('r', 'p') AND NOT c.relispartition END
 ORDER BY n.nspname, c.relname";

const TABLES: &str = "
SELECT c.oid, n.nspname::text AS nspname, c.relname::text AS relname, c.relreplident::text AS relreplident,
       c.relkind = 'p' AS partitioned, c.relpersistence <> 'p' AS unlogged, row_security_active(c.oid) AS hides_rows,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS readable,
       pg_has_role(current_user, c.relowner, 'USAGE') AS owned,
       CASE WHEN c.relkind = 'p'
            THEN (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0) FROM pg_partition_tree(c.oid) t
                    JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE t.isleaf)
            ELSE greatest(c.reltuples, 0)
       END::float8 AS rows_estimate
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($1::oid[])
 ORDER BY n.nspname, c.relname";

/// A domain is followed down to the type it is made of. Texts are ordered by their bytes under the collations C and POSIX,
/// and so are UUIDs, whose text is their bytes in hexadecimal digits.
const COLUMNS: &str = "
SELECT a.attrelid, a.attname::text AS attname, a.attnum, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       b.base, b.modifier, a.attgenerated::text AS attgenerated,
       coalesce(b.base = 'uuid'::regtype OR b.base IN ('text'::regtype, 'varchar'::regtype) AND (
           l.collcollate IN ('C', 'POSIX') OR l.collname = 'default' AND d.datcollate IN ('C', 'POSIX')
               AND coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'), false) AS by_bytes
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_database d ON d.datname = current_database()
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
 CROSS JOIN LATERAL (
       WITH RECURSIVE down (base, modifier) AS (
           SELECT a.atttypid, a.atttypmod
            UNION ALL
           SELECT t.typbasetype, t.typtypmod FROM down JOIN pg_catalog.pg_type t ON t.oid = down.base
            WHERE t.typtype = 'd')
       SELECT down.base, down.modifier FROM down JOIN pg_catalog.pg_type t ON t.oid = down.base WHERE t.typtype <> 'd') b
 WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum";

const INDEXES: &str = "
SELECT i.indrelid, i.indisprimary, i.indisreplident,
       (SELECT array_agg(k.number::int2 ORDER BY k.place)
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place) WHERE k.place <= i.indnkeyatts) AS columns,
       NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
                     LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                    WHERE k.place <= i.indnkeyatts AND a.attnotnull IS NOT TRUE) AS without_nulls
  FROM pg_catalog.pg_index i
 WHERE i.indrelid = ANY ($1::oid[]) AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
 ORDER BY i.indrelid, i.indexrelid";
