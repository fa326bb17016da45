//! What a table looks like, as SQLite itself tells it.

use std::sync::Arc;

use aqueduct_model::{Relation, RelationName, Result};
use arrow::datatypes::{Field, Schema};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::connection::failed;
use super::types::{Dates, Kind};
use super::value::Layout;

/// A column: its name and its declared type, which may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) declared: String,
    /// The DEFAULT clause as written; what rows get that were there before the column was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
}

/// A column of an index, with the collation that the index compares it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) column: usize,
    pub(crate) collation: String,
}

/// How SQLite tells the rows of a table apart and in which order they lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Identity {
    /// By an integer.
    Rowid {
        /// The name by which the integer can be read: a column, or `rowid` where no column is called so.
        name: String,
        /// True for an INTEGER PRIMARY KEY; otherwise VACUUM may renumber the rows.
        stable: bool,
    },
    /// WITHOUT ROWID: by the primary key.
    Key(Vec<Part>),
}

/// A table that can be read in chunks and captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Indices of the primary key's columns in key order; empty without one.
    pub(crate) key: Vec<usize>,
    pub(crate) identity: Identity,
    /// Every set of columns that must be unique, the primary key among them; plain columns and whole tables only.
    pub(crate) unique: Vec<Vec<Part>>,
    /// True when a unique index covers expressions or only some rows.
    pub(crate) partial_unique: bool,
}

impl Table {
    /// The relation and the layout of its rows.
    ///
    /// # Errors
    /// `Schema` when two columns share a name.
    pub(crate) fn relation(&self, version: u32, dates: Dates) -> Result<(Arc<Relation>, Layout)> {
        let kinds: Vec<Kind> = self.columns.iter().map(|column| Kind::of(&column.declared, dates)).collect();
        let required: Vec<bool> = (0..self.columns.len()).map(|i| self.key.contains(&i)).collect();
        let fields: Vec<Field> = self
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| Field::new(&column.name, kinds[i].data_type(), !required[i]))
            .collect();
        let key: Vec<&str> = self.key.iter().map(|&i| self.columns[i].name.as_str()).collect();
        let relation = Relation::new(RelationName::table(&self.name), Arc::new(Schema::new(fields)), &key, version)?;
        Ok((Arc::new(relation), Layout { kinds, required }))
    }
}

/// A table of the database that cannot be captured, and why.
#[derive(Debug, Clone)]
pub(crate) struct Unreadable {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// Lists the user's tables by name: views, virtual tables, SQLite's and our own bookkeeping are left out.
pub(crate) fn list(connection: &Connection) -> Result<(Vec<Table>, Vec<Unreadable>)> {
    let doing = "cannot list the tables";
    let mut statement = connection
        .prepare_cached(
            "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
             AND name NOT LIKE 'sqlite~_%' ESCAPE '~' AND name NOT LIKE '~_aqueduct%' ESCAPE '~' ORDER BY name",
        )
        .map_err(|e| failed(doing, e))?;
    let names: Vec<(String, bool)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(|e| failed(doing, e))?;
    let (mut tables, mut unreadable) = (Vec::new(), Vec::new());
    for (name, without_rowid) in names {
        match describe(connection, &name, without_rowid)
            .map_err(|e| failed(format!("cannot look at table {name}"), e))?
        {
            Ok(table) => tables.push(table),
            Err(reason) => unreadable.push(Unreadable { name, reason }),
        }
    }
    Ok((tables, unreadable))
}

fn describe(connection: &Connection, name: &str, without_rowid: bool) -> rusqlite::Result<Result<Table, String>> {
    let mut columns = Vec::new();
    let mut key: Vec<(i64, usize)> = Vec::new();
    let mut statement = connection.prepare_cached("SELECT name, type, dflt_value, pk FROM pragma_table_info(?1)")?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(3)?;
        if position > 0 {
            key.push((position, columns.len()));
        }
        columns.push(Column { name: row.get(0)?, declared: row.get(1)?, default: row.get(2)? });
    }
    key.sort_unstable();
    let key: Vec<usize> = key.into_iter().map(|(_, column)| column).collect();
    if columns.is_empty() {
        return Ok(Err("it has no columns that are stored".into()));
    }
    let (mut unique, partial_unique, primary) = unique_sets(connection, name, &columns)?;
    let identity = if without_rowid {
        match primary {
            Some(parts) => Identity::Key(parts),
            None => return Ok(Err("its primary key could not be read".into())),
        }
    } else {
        // The key has an index of its own unless it is the rowid itself ("INTEGER PRIMARY KEY DESC" is not).
        let alias = (key.len() == 1 && primary.is_none()).then(|| key[0]);
        let taken = |word: &&&str| columns.iter().any(|column| column.name.eq_ignore_ascii_case(word));
        let rowid_name = match alias {
            Some(column) => Some(columns[column].name.clone()),
            None => ["rowid", "_rowid_", "oid"].iter().find(|word| !taken(word)).map(|word| (*word).to_owned()),
        };
        let Some(rowid_name) = rowid_name else {
            return Ok(Err("columns called rowid, _rowid_ and oid hide its row number".into()));
        };
        if let Some(column) = alias {
            unique.insert(0, vec![Part { column, collation: "BINARY".into() }]);
        }
        Identity::Rowid { name: rowid_name, stable: alias.is_some() }
    };
    Ok(Ok(Table { name: name.to_owned(), columns, key, identity, unique, partial_unique }))
}

type UniqueSets = (Vec<Vec<Part>>, bool, Option<Vec<Part>>);

/// The unique sets of plain columns, whether there are others, and the primary key's own index.
fn unique_sets(connection: &Connection, name: &str, columns: &[Column]) -> rusqlite::Result<UniqueSets> {
    let mut statement = connection
        .prepare_cached("SELECT name, origin, partial FROM pragma_index_list(?1) WHERE \"unique\" ORDER BY name")?;
    let indexes: Vec<(String, String, bool)> =
        statement.query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?;
    let (mut sets, mut other, mut primary) = (Vec::new(), false, None);
    for (index, origin, partial) in indexes {
        let mut statement =
            connection.prepare_cached("SELECT name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno")?;
        let parts: Vec<(Option<String>, Option<String>)> =
            statement.query_map([&index], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        let plain: Option<Vec<Part>> = parts
            .into_iter()
            .map(|(column, collation)| {
                let column = columns.iter().position(|known| Some(&known.name) == column.as_ref())?;
                Some(Part { column, collation: collation.unwrap_or_else(|| "BINARY".into()) })
            })
            .collect();
        match plain {
            Some(parts) if !partial => {
                if origin == "pk" {
                    primary = Some(parts.clone());
                }
                sets.push(parts);
            }
            _ => other = true,
        }
    }
    Ok((sets, other, primary))
}
