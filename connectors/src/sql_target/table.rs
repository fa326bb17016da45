//! One table of the target, ready to be written, and what the target says of it.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};
use arrow::datatypes::{Schema, SchemaRef};

use super::preparation::{Wanted, find, refused_change};
use super::{Database, Dialect, Mode, Value, quote_ident};

/// The soft-delete mark.
pub(crate) const DELETED_COLUMN: &str = "_cdc_deleted";
/// When a row was last written, in soft deletion.
pub(crate) const SYNCED_COLUMN: &str = "_cdc_synced_at";
/// When a version was written, in `scd2`.
pub(crate) const VALID_FROM_COLUMN: &str = "valid_from";
/// When it was closed; NULL while it is the current one.
pub(crate) const VALID_TO_COLUMN: &str = "valid_to";
/// True of the current version.
pub(crate) const CURRENT_COLUMN: &str = "is_current";

/// A column as the target has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetColumn {
    /// Its name, spelled as there.
    pub name: String,
    /// Its declared type; SQLite's and DuckDB's in capitals.
    pub sql: String,
    /// It refuses NULL.
    pub not_null: bool,
    /// It has a default.
    pub has_default: bool,
    /// It is part of the primary key (not known of DuckDB).
    pub primary_key: bool,
    /// How its texts are compared (MySQL only).
    pub collation: Option<String>,
}

/// A table that is ready to be written.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name in the target.
    pub name: String,
    /// What is written into it.
    pub relation: Arc<Relation>,
    /// The relation's columns that the target takes.
    pub taken: Vec<usize>,
    /// The taken columns.
    data: SchemaRef,
    /// All columns that are written: the taken ones, then those of the mode.
    pub columns: SchemaRef,
    /// The columns in the target, one per entry of `columns`.
    pub target: Vec<TargetColumn>,
    /// The key, as indices into `columns`; empty for a table without one and in append mode.
    pub key: Vec<usize>,
    /// How changes become rows.
    pub mode: Mode,
    /// The target has columns that are not written.
    pub has_others: bool,
    /// Sets of columns that must be unique, by name.
    pub unique: Vec<Vec<String>>,
    /// Conditions that rows must meet, as SQL.
    pub checks: Vec<String>,
}

impl Table {
    /// The columns that come from the relation.
    pub fn data_columns(&self) -> SchemaRef {
        self.data.clone()
    }

    /// True when deleted rows stay.
    pub fn soft_delete(&self) -> bool {
        self.mode == Mode::SoftDelete
    }

    /// True when old versions of a row stay.
    pub fn keeps_versions(&self) -> bool {
        self.mode == Mode::Scd2
    }

    /// True when rows are inserted, whatever is there.
    pub fn only_inserts(&self) -> bool {
        self.key.is_empty() || self.keeps_versions()
    }

    /// What a delete of a keyed table sets instead of deleting.
    pub fn delete_sets(&self, dialect: Dialect, moment: i64) -> Result<Option<String>> {
        let sets = |columns: [(&str, String); 2]| {
            let parts: Result<Vec<String>> = columns
                .into_iter()
                .map(|(name, value)| Ok(format!("{} = {value}", quote_ident(dialect, name)?)))
                .collect();
            Ok(Some(parts?.join(", ")))
        };
        match self.mode {
            Mode::SoftDelete => {
                sets([(DELETED_COLUMN, dialect.true_literal().to_owned()), (SYNCED_COLUMN, dialect.moment(moment))])
            }
            Mode::Scd2 => {
                sets([(CURRENT_COLUMN, dialect.false_literal().to_owned()), (VALID_TO_COLUMN, dialect.moment(moment))])
            }
            _ => Ok(None),
        }
    }

    /// True when rows of this relation can be written as the table stands.
    pub fn takes(&self, relation: &Arc<Relation>) -> bool {
        Arc::ptr_eq(&self.relation, relation)
            || (self.relation.columns() == relation.columns() && self.relation.key() == relation.key())
    }

    /// The names of the key columns.
    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|&column| self.target[column].name.as_str())
    }

    /// True when the target itself keeps the key unique.
    pub fn key_is_unique(&self) -> bool {
        !self.key.is_empty() && self.unique.iter().any(|set| same_names(set, &self.key_names().collect::<Vec<_>>()))
    }
}

/// The condition that leaves out rows that a mode marks as gone.
pub(crate) fn live_rows(dialect: Dialect, mode: Mode) -> Result<Option<String>> {
    Ok(match mode {
        Mode::SoftDelete => {
            let deleted = quote_ident(dialect, DELETED_COLUMN)?;
            Some(format!("({deleted} IS NULL OR NOT {deleted})"))
        }
        Mode::Scd2 => Some(quote_ident(dialect, CURRENT_COLUMN)?),
        _ => None,
    })
}

/// True when both name the same columns, in any order and without case.
pub(crate) fn same_names(set: &[String], names: &[&str]) -> bool {
    set.len() == names.len() && names.iter().all(|name| set.iter().any(|other| other.eq_ignore_ascii_case(name)))
}

/// What rows must meet in the target: see [`Table::unique`] and [`Table::checks`].
pub(super) struct Rules {
    pub unique: Vec<Vec<String>>,
    pub checks: Vec<String>,
}

/// Puts a table together from what is wanted and what is there.
pub(super) fn build(
    dialect: Dialect,
    name: &str,
    relation: &Arc<Relation>,
    kept: &[&Wanted],
    existing: &[TargetColumn],
    mode: Mode,
    rules: Rules,
) -> Result<Table> {
    let fields: Vec<_> =
        // Whether a NULL is welcome is the target's business; an old row's image may lack values.
        kept.iter().map(|column| Arc::new(column.field.as_ref().clone().with_nullable(true))).collect();
    let taken: Vec<usize> = kept.iter().filter_map(|column| column.origin).collect();
    let mut key = Vec::new();
    if mode != Mode::Append {
        for column in relation.key() {
            let index = taken.iter().position(|taken| taken == column);
            key.push(index.ok_or_else(|| refused_change(name, "a key column is not in the target"))?);
        }
    }
    let target: Vec<TargetColumn> =
        kept.iter().filter_map(|column| find(dialect, existing, &column.name).cloned()).collect();
    Ok(Table {
        name: name.to_owned(),
        relation: relation.clone(),
        data: Arc::new(Schema::new(fields[..taken.len()].to_vec())),
        columns: Arc::new(Schema::new(fields)),
        has_others: existing.len() > target.len(),
        taken,
        target,
        key,
        mode,
        unique: rules.unique,
        checks: rules.checks,
    })
}

/// The columns of a table; empty when there is none.
pub(crate) fn read_columns(database: &mut dyn Database, table: &str) -> Result<Vec<TargetColumn>> {
    let rows = database.query(database.dialect().columns_query(), &[table.into()])?;
    let is_embedded = matches!(database.dialect(), Dialect::Sqlite | Dialect::DuckDb);
    rows.iter()
        .map(|row| {
            Ok(TargetColumn {
                name: row[0].text()?.to_owned(),
                sql: if is_embedded { row[1].text()?.to_ascii_uppercase() } else { row[1].text()?.to_owned() },
                not_null: row[2].int()? != 0,
                has_default: row[3].int()? != 0,
                primary_key: row[4].int()? != 0,
                collation: row[5].text().ok().map(str::to_owned),
            })
        })
        .collect()
}

/// The sets of columns that the target keeps unique.
pub(super) fn read_unique(database: &mut dyn Database, table: &str) -> Result<Vec<Vec<String>>> {
    let rows = database.query(database.dialect().unique_query(), &[table.into()])?;
    let mut sets: Vec<(String, Vec<String>)> = Vec::new();
    for row in &rows {
        let (Value::Text(set), Value::Text(column)) = (&row[0], &row[1]) else { continue };
        match sets.last_mut() {
            Some((last, columns)) if last == set => columns.push(column.clone()),
            _ => sets.push((set.clone(), vec![column.clone()])),
        }
    }
    Ok(sets.into_iter().map(|(_, columns)| columns).collect())
}

/// The conditions that the target sets. SQLite is asked row by row instead.
pub(super) fn read_checks(database: &mut dyn Database, table: &str) -> Result<Vec<String>> {
    let Some(sql) = database.dialect().checks_query() else { return Ok(Vec::new()) };
    let rows = database.query(sql, &[table.into()])?;
    rows.iter().map(|row| Ok(row[0].text()?.to_owned())).collect()
}
