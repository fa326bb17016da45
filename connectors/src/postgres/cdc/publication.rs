//! The publication: which tables' changes the server sends. One that we made is kept equal to the captured tables; one
//! that the user made is used as it is.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::{RelationName, Result};
use postgres_protocol::escape::escape_literal;
use tokio_postgres::Client;

use crate::postgres::copy::{quoted, table_name};
use crate::postgres::error::failed;

/// How the comments of our publications begin: that is how they are told from the user's.
const MADE_BY_US: &str = "made by aqueduct";

/// A publication as the catalogs have it.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub name: String,
    /// Never used again.
    pub oid: u32,
    /// We made it, and may change and drop it.
    pub ours: bool,
    /// The slot that was made together with it and is dropped with it.
    pub slot: Option<String>,
    /// Rows of partitions are sent as rows of the partitioned table.
    pub via_root: bool,
    /// What it leaves out of `insert, update, delete, truncate`.
    pub leaves_out: Vec<&'static str>,
    /// What it says of each table.
    pub tables: BTreeMap<RelationName, Published>,
}

/// One table of a publication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Published {
    /// The columns that are sent; `None`: all.
    pub columns: Option<BTreeSet<String>>,
    /// The condition for rows that are sent.
    pub filter: Option<String>,
}

/// Looks a publication up.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<Publication>> {
    let doing = |error| failed("cannot look at the publication", error);
    let rows = client.query(FIND, &[&name]).await.map_err(doing)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let comment: String = row.get::<_, Option<String>>("comment").unwrap_or_default();
    let sent = [("insert", "pubinsert"), ("update", "pubupdate"), ("delete", "pubdelete"), ("truncate", "pubtruncate")];
    let leaves_out = sent.iter().filter(|(_, column)| !row.get::<_, bool>(column)).map(|(what, _)| *what).collect();
    let mut tables = BTreeMap::new();
    for row in client.query(TABLES, &[&name]).await.map_err(doing)? {
        let name = RelationName { catalog: None, schema: Some(row.get("schemaname")), table: row.get("tablename") };
        let columns: Option<Vec<String>> = row.get("columns");
        let columns = columns.map(|columns| columns.into_iter().collect());
        tables.insert(name, Published { columns, filter: row.get("filter") });
    }
    Ok(Some(Publication {
        name: name.to_owned(),
        oid: row.get("oid"),
        ours: comment.starts_with(MADE_BY_US),
        slot: comment.split_once(" with slot ").map(|(_, slot)| slot.to_owned()),
        via_root: row.get("pubviaroot"),
        leaves_out,
        tables,
    }))
}

/// Makes a publication of our own, and notes in its comment which slot goes with it, if we make that one too.
///
/// # Errors
/// `Auth`; those of the connection.
pub(crate) async fn create(
    client: &Client,
    name: &str,
    tables: &BTreeSet<RelationName>,
    via_root: bool,
    slot: Option<&str>,
) -> Result<()> {
    let made = match slot {
        Some(slot) => format!("{MADE_BY_US} with slot {slot}"),
        None => MADE_BY_US.to_owned(),
    };
    let sql = format!(
        "BEGIN; CREATE PUBLICATION {quoted}{} WITH (publish_via_partition_root = {via_root}); \
         COMMENT ON PUBLICATION {quoted} IS {}; COMMIT",
        for_tables(" FOR", tables),
        escape_literal(&made),
        quoted = quoted(name),
    );
    run(client, &format!("cannot make the publication {name}"), &sql).await
}

impl Publication {
    /// Makes one of ours hold exactly these tables, as far as they are there. True when something was changed.
    ///
    /// # Errors
    /// `Auth`; those of the connection.
    pub(crate) async fn keep_equal(
        &self,
        client: &Client,
        tables: &BTreeSet<RelationName>,
        via_root: bool,
    ) -> Result<bool> {
        let doing = format!("cannot change the publication {}", self.name);
        let name = quoted(&self.name);
        if self.via_root != via_root {
            run(client, &doing, &format!("ALTER PUBLICATION {name} SET (publish_via_partition_root = {via_root})"))
                .await?;
        }
        let now: BTreeSet<RelationName> = self.tables.keys().cloned().collect();
        if now == *tables {
            return Ok(self.via_root != via_root);
        }
        let added = existing(client, tables.difference(&now)).await?;
        let dropped: BTreeSet<RelationName> = now.difference(tables).cloned().collect();
        if added.is_empty() && dropped.is_empty() {
            return Ok(self.via_root != via_root);
        }
        for (what, tables) in [(" ADD", &added), (" DROP", &dropped)] {
            if !tables.is_empty() {
                run(client, &doing, &format!("ALTER PUBLICATION {name}{}", for_tables(what, tables))).await?;
            }
        }
        Ok(true)
    }
}

/// Those of the tables that are there: one that waits for a person may have been dropped since.
async fn existing(client: &Client, tables: impl Iterator<Item = &RelationName>) -> Result<BTreeSet<RelationName>> {
    let mut there = BTreeSet::new();
    for table in tables {
        let row = client
            .query_one("SELECT to_regclass($1) IS NOT NULL AS is_there", &[&table_name(table)])
            .await
            .map_err(|error| failed("cannot look for a table", error))?;
        if row.get("is_there") {
            there.insert(table.clone());
        }
    }
    Ok(there)
}

/// Drops a publication; the caller has seen that it is ours.
///
/// # Errors
/// `Auth`; those of the connection.
pub(crate) async fn drop(client: &Client, name: &str) -> Result<()> {
    let sql = format!("DROP PUBLICATION IF EXISTS {}", quoted(name));
    run(client, &format!("cannot drop the publication {name}"), &sql).await
}

fn for_tables(what: &str, tables: &BTreeSet<RelationName>) -> String {
    if tables.is_empty() {
        return String::new();
    }
    // ONLY: child tables of inheritance are tables of their own; it changes nothing for partitioned ones.
    let names: Vec<String> = tables.iter().map(|name| format!("ONLY {}", table_name(name))).collect();
    format!("{what} TABLE {}", names.join(", "))
}

/// Several statements: a failed one leaves no transaction open.
async fn run(client: &Client, doing: &str, sql: &str) -> Result<()> {
    let Err(error) = client.batch_execute(sql).await else { return Ok(()) };
    if !client.is_closed() {
        client.batch_execute("ROLLBACK").await.map_err(|error| failed(doing, error))?;
    }
    Err(failed(doing, error))
}

const FIND: &str = "
SELECT p.oid, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, obj_description(p.oid, 'pg_publication') AS comment
  FROM pg_catalog.pg_publication p WHERE p.pubname = $1";

/// Column lists and row filters are there since PostgreSQL 15. A list of all columns is no list.
const TABLES: &str = "
SELECT t.schemaname::text AS schemaname, t.tablename::text AS tablename, to_jsonb(t) ->> 'rowfilter' AS filter,
       CASE WHEN jsonb_array_length(to_jsonb(t) -> 'attnames') < (
                 SELECT count(*) FROM pg_catalog.pg_attribute a
                   JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = t.schemaname AND c.relname = t.tablename
                    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
            THEN ARRAY(SELECT jsonb_array_elements_text(to_jsonb(t) -> 'attnames'))
       END AS columns
  FROM pg_catalog.pg_publication_tables t WHERE t.pubname = $1";
