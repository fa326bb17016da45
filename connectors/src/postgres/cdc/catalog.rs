//! From what the log says of a table to the relation of its rows, with what the catalogs still know.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};
use arrow::datatypes::{Field, Schema};
use tokio_postgres::Client;

use super::pgoutput;
use super::table_rows::Layout;
use crate::cdc::capture::BACKFILLED;
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
}

/// Makes the relation of a table as it was where the log is being read.
///
/// Names and types are the log's. The catalogs, which may be ahead, add the columns' numbers, which of them are generated,
/// and the order of the key. A column that the table `before` did not have is marked when its existing rows may hold
/// something else than NULL.
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
    let key: Vec<String> = match now.filter(|now| is_key_of(now.relation.as_ref(), now.identity, logged)) {
        Some(now) => now.relation.key_names().into_iter().map(str::to_owned).collect(),
        None if logged.is_full() => Vec::new(),
        None => logged.columns.iter().filter(|column| column.in_key).map(|column| column.name.clone()).collect(),
    };
    let mut fields: Vec<Field> = Vec::with_capacity(rows.len());
    let mut places = Vec::with_capacity(rows.len());
    for (row, column) in rows.iter().zip(&logged.columns) {
        if row.get("is_generated") {
            places.push(None);
            continue;
        }
        let column_type = ColumnType { text: row.get("type"), base: row.get("base"), modifier: row.get("modifier") };
        places.push(Some(fields.len()));
        let mut field = column_type.field(&column.name, row.get("number"), key.contains(&column.name));
        let is_new = before.columns().field_with_name(&column.name).is_err();
        if is_new && row.get("is_filled") {
            field.metadata_mut().insert(BACKFILLED.to_owned(), "default".to_owned());
        }
        fields.push(field);
    }
    let relation = Relation::new(name, Arc::new(Schema::new(fields)), &key, before.version())?;
    let in_key = logged.columns.iter().map(|column| column.in_key).collect();
    Ok(LoggedTable { relation, layout: Layout { places, in_key } })
}

/// Whether the key that the catalogs have now is the one that the log's rows have: where the whole old row is sent, any
/// key whose columns are there; else the very columns.
fn is_key_of(now: &Relation, identity: Identity, logged: &pgoutput::Relation) -> bool {
    let key = now.key_names();
    let is_there = key.iter().all(|name| logged.columns.iter().any(|column| column.name == *name));
    let is_same = || logged.columns.iter().all(|column| column.in_key == key.contains(&column.name.as_str()));
    is_there && ((logged.is_full() && identity == Identity::Full) || is_same())
}

const RESOLVE: &str = "
SELECT coalesce(a.attnum, 0::int2) AS number, coalesce(a.attgenerated <> '', false) AS is_generated,
       coalesce(a.atthasmissing OR a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, true) AS is_filled,
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
