//! From what the log says of a table to the relation of its rows, with what the catalogs still know.

use std::sync::Arc;

use aqueduct_model::{Relation, RelationName, Result};
use arrow::datatypes::{Field, Schema};
use tokio_postgres::{Client, Row};

use super::numbering::{Named, may_be_filled, numbers};
use super::pgoutput;
use super::shape::added;
use super::table_rows::Layout;
use crate::cdc::capture::{BACKFILLED, TABLE_ID};
use crate::postgres::column_type::ColumnType;
use crate::postgres::error::failed;
use crate::postgres::table::{Identity, describe};

/// A table as the log describes it before the first of its rows.
#[derive(Debug)]
pub(crate) struct LoggedTable {
    /// Columns and key; the version is that of the table before.
    pub relation: Relation,
    /// How the rows lie in it.
    pub layout: Layout,
    /// It is the root of a tree of partitions, as far as the catalogs still know.
    pub partitioned: bool,
}

/// Makes the relation of a table as it was where the log is being read.
///
/// Names and types are the log's. The catalogs, which may be ahead, add the columns' numbers, which of them are generated,
/// and the order of the key. A column that the table `before` did not have is marked when its existing rows may hold
/// something else than NULL. Where nothing was known of the table (`before` has no columns), none is.
///
/// # Errors
/// `Schema` for a table that Arrow cannot describe; those of the connection.
pub(crate) async fn logged_table(
    client: &Client,
    logged: &pgoutput::Relation,
    before: &Relation,
) -> Result<LoggedTable> {
    let name = logged.table_name();
    let doing = |error| failed(&format!("cannot describe {name}"), error);
    let oids: Vec<u32> = logged.columns.iter().map(|column| column.type_oid).collect();
    let modifiers: Vec<i32> = logged.columns.iter().map(|column| column.type_modifier).collect();
    let names: Vec<&str> = logged.columns.iter().map(|column| column.name.as_str()).collect();
    let rows = client.query(RESOLVE, &[&logged.oid, &names, &oids, &modifiers]).await.map_err(doing)?;
    let now = describe(client, &[logged.oid], false).await?.pop();
    let partitioned = now.as_ref().is_some_and(|now| now.partitioned);
    let key: Vec<String> = match now.filter(|now| is_key_of(now.relation.as_ref(), now.identity, logged)) {
        Some(now) => now.relation.key_names().into_iter().map(str::to_owned).collect(),
        None if logged.is_full() => Vec::new(),
        None => logged.columns.iter().filter(|column| column.in_key).map(|column| column.name.clone()).collect(),
    };
    let mut places = Vec::with_capacity(rows.len());
    let (mut kept, mut named) = (Vec::new(), Vec::new());
    for (row, column) in rows.iter().zip(&logged.columns) {
        if row.get("is_generated") {
            places.push(None);
            continue;
        }
        places.push(Some(kept.len()));
        let (name, number, has_same_type) = (column.name.clone(), row.get("number"), row.get("has_same_type"));
        named.push(Named { name, number, has_same_type });
        kept.push(row);
    }
    let numbers = numbers(before, &named, rows.first().and_then(|row| row.get("others_from")));
    let field = |(row, (column, number)): (&&Row, (&Named, &i16))| {
        let column_type = ColumnType { text: row.get("type"), base: row.get("base"), modifier: row.get("modifier") };
        identified(column_type.field(&column.name, *number, key.contains(&column.name)), logged.oid)
    };
    let fields: Vec<Field> = kept.iter().zip(named.iter().zip(&numbers)).map(field).collect();
    let mut relation = Relation::new(name.clone(), Arc::new(Schema::new(fields)), &key, before.version())?;
    let is_known = !before.columns().fields().is_empty();
    for column in added(before, &relation).into_iter().filter(|_| is_known) {
        let is_filled: bool = kept[column].get("is_filled");
        if is_filled || may_be_filled(before, &named[column].name, numbers[column]) {
            relation = marked(&relation, column, &key)?;
        }
    }
    let in_key = logged.columns.iter().map(|column| column.in_key).collect();
    Ok(LoggedTable { relation, layout: Layout { places, in_key }, partitioned })
}

/// The relation with a column whose existing rows have to be read.
fn marked(relation: &Relation, column: usize, key: &[String]) -> Result<Relation> {
    let mut fields: Vec<Field> = relation.columns().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields[column].metadata_mut().insert(BACKFILLED.to_owned(), "default".to_owned());
    Relation::new(relation.name().clone(), Arc::new(Schema::new(fields)), key, relation.version())
}

fn identified(mut field: Field, oid: u32) -> Field {
    field.metadata_mut().insert(TABLE_ID.to_owned(), oid.to_string());
    field
}

/// A table as the catalogs describe it, with what tells it from another one made later under its name.
///
/// # Errors
/// None: the relation's columns stay as they are.
pub(crate) fn with_table_id(relation: &Relation, oid: u32) -> Result<Arc<Relation>> {
    let fields = relation.columns().fields().iter().map(|field| identified(field.as_ref().clone(), oid));
    let columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Relation::new(relation.name().clone(), columns, &relation.key_names(), relation.version()).map(Arc::new)
}

/// The number of the table that a relation describes.
pub(crate) fn table_id(relation: &Relation) -> Option<u32> {
    relation.columns().fields().first()?.metadata().get(TABLE_ID)?.parse().ok()
}

/// The name that a table has today.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn name_today(client: &Client, oid: u32) -> Result<Option<RelationName>> {
    let rows = client.query(NAME, &[&oid]).await.map_err(|error| failed("cannot look a table up", error))?;
    let name = |row: &Row| RelationName { catalog: None, schema: Some(row.get("nspname")), table: row.get("relname") };
    Ok(rows.first().map(name))
}

/// Whether the key that the catalogs have now is the one that the log's rows have: where the whole old row is sent, any
/// key whose columns are there; else the very columns.
fn is_key_of(now: &Relation, identity: Identity, logged: &pgoutput::Relation) -> bool {
    let key = now.key_names();
    let is_there = key.iter().all(|name| logged.columns.iter().any(|column| column.name == *name));
    let is_same = || logged.columns.iter().all(|column| column.in_key == key.contains(&column.name.as_str()));
    is_there && ((logged.is_full() && identity == Identity::Full) || is_same())
}

/// One statement, for it must be one moment. A table that was written anew as a whole no longer says which of its columns
/// were filled when they were added.
const RESOLVE: &str = "
SELECT coalesce(a.attnum, 0::int2) AS number, coalesce(a.attgenerated <> '', false) AS is_generated,
       coalesce(a.atthasmissing OR a.atthasdef OR a.attidentity <> '' OR a.attnotnull OR t.typdefault IS NOT NULL, true)
           OR EXISTS (SELECT FROM (SELECT $1::oid UNION ALL
                                   SELECT p.relid::oid FROM pg_partition_tree($1::oid::regclass) p WHERE p.isleaf) f (oid)
                       WHERE pg_relation_filenode(f.oid) <> f.oid) AS is_filled,
       (SELECT min(a.attnum) FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
           AND a.attname <> ALL ($2::text[])) AS others_from,
       coalesce(a.atttypid = w.type AND a.atttypmod = w.modifier, false) AS has_same_type,
       pg_catalog.format_type(w.type, w.modifier) AS type, coalesce(b.base, 0::oid) AS base, coalesce(b.modifier, -1) AS modifier
  FROM unnest($2::text[], $3::oid[], $4::int4[]) WITH ORDINALITY w (name, type, modifier, place)
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = $1 AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN LATERAL (
       WITH RECURSIVE down (base, modifier) AS (
           SELECT w.type, w.modifier
            UNION ALL
           SELECT t.typbasetype, t.typtypmod FROM down JOIN pg_catalog.pg_type t ON t.oid = down.base
            WHERE t.typtype = 'd')
       SELECT down.base, down.modifier FROM down JOIN pg_catalog.pg_type t ON t.oid = down.base
        WHERE t.typtype <> 'd') b ON true
 ORDER BY w.place";

const NAME: &str = "
SELECT n.nspname::text AS nspname, c.relname::text AS relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1";
