//! What a batch's rows are rows of: a table as the source knows it.

use std::fmt;

use arrow_schema::{Field, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Metadata of a column that has one value for all rows of its relation, this one: it tells the rows of relations apart
/// that are written into one table.
pub const ORIGIN: &str = "aqueduct.origin";

/// The name of a table: up to three parts, compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RelationName {
    /// The catalog (PostgreSQL database, MySQL: absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// The schema (PostgreSQL schema, MySQL database, SQLite: absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The table.
    pub table: String,
}

impl RelationName {
    /// A name of one part.
    pub fn table(table: impl Into<String>) -> Self {
        Self { catalog: None, schema: None, table: table.into() }
    }

    /// True when `pattern` names this table: `orders`, `shop.orders`, or with `*` for any run of characters.
    ///
    /// A pattern without a dot is compared with the table part alone.
    pub fn matches(&self, pattern: &str) -> bool {
        if pattern.contains('.') { wildcard(pattern, &self.to_string()) } else { wildcard(pattern, &self.table) }
    }
}

/// Glob with `*` only; case matters.
fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => rest.ends_with(tail),
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.catalog, &self.schema].into_iter().flatten() {
            write!(f, "{part}.")?;
        }
        f.write_str(&self.table)
    }
}

/// A table's name, columns, key and version.
///
/// Shared by `Arc` between all batches of the same version; a source makes a new one, with a higher version, after DDL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    name: RelationName,
    columns: SchemaRef,
    key: Vec<usize>,
    version: u32,
}

impl Relation {
    /// Makes a relation; `key` holds the names of the key columns in key order and may be empty.
    ///
    /// # Errors
    /// `Schema` when a key column does not exist or two columns share a name.
    pub fn new(name: RelationName, columns: SchemaRef, key: &[impl AsRef<str>], version: u32) -> Result<Self> {
        for (i, field) in columns.fields().iter().enumerate() {
            if columns.fields()[..i].iter().any(|other| other.name() == field.name()) {
                return Err(Error::new(
                    crate::ErrorKind::Schema,
                    format!("{name} has two columns named {}", field.name()),
                ));
            }
        }
        let mut indices = Vec::with_capacity(key.len());
        for column in key {
            let column = column.as_ref();
            let index = columns.index_of(column).map_err(|_| {
                Error::new(crate::ErrorKind::Schema, format!("key column {column} is not a column of {name}"))
                    .with_hint(format!("columns are: {}", column_list(&columns)))
            })?;
            indices.push(index);
        }
        Ok(Self { name, columns, key: indices, version })
    }

    /// The table's name.
    pub fn name(&self) -> &RelationName {
        &self.name
    }

    /// The columns, in the source's order.
    pub fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// Indices of the key columns, in key order; empty for a table without a key.
    pub fn key(&self) -> &[usize] {
        &self.key
    }

    /// Names of the key columns, in key order.
    pub fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|&i| self.columns.field(i).name().as_str()).collect()
    }

    /// Rises by one with every DDL that the source saw.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The column of that name.
    ///
    /// # Errors
    /// `Config` that lists the columns and, where one is near, what was probably meant.
    pub fn column(&self, name: &str) -> Result<(usize, &Field)> {
        match self.columns.index_of(name) {
            Ok(index) => Ok((index, self.columns.field(index))),
            Err(_) => Err(Error::config(format!("{} has no column {name}", self.name))
                .with_hint(format!("columns are: {}", column_list(&self.columns)))),
        }
    }

    /// The same table with other columns; key columns that are gone leave the relation without a key.
    ///
    /// `renamed` maps each new column to the old one it came from, where it did.
    pub fn derive(&self, columns: SchemaRef, origins: &[Option<usize>]) -> Self {
        let key: Option<Vec<usize>> =
            self.key.iter().map(|old| origins.iter().position(|origin| *origin == Some(*old))).collect();
        Self { name: self.name.clone(), columns, key: key.unwrap_or_default(), version: self.version }
    }

    /// The same columns under another name.
    pub fn renamed(&self, name: RelationName) -> Self {
        Self { name, ..self.clone() }
    }
}

fn column_list(columns: &SchemaRef) -> String {
    columns.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let orders = RelationName { catalog: None, schema: Some("shop".into()), table: "orders".into() };
        for (pattern, expected) in [
            ("orders", true),
            ("shop.orders", true),
            ("or*", true),
            ("*", true),
            ("*ers", true),
            ("o*d*s", true),
            ("shop.*", true),
            ("order", false),
            ("other.orders", false),
            ("Orders", false),
            ("o*x*s", false),
        ] {
            assert_eq!(orders.matches(pattern), expected, "{pattern}");
        }
    }
}
