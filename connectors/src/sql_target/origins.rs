//! Which relation a table of the target is written from: two tables of the source never become one unasked.
//!
//! Names of different schemas may lead to one table, and a target may take names that differ only by case for one. Rows
//! with the same key would overwrite each other without a word.

use std::collections::HashMap;

use aqueduct_model::{Error, RelationName, Result, SinkContext};

use super::{Database, Dialect, TargetOptions, Value, catalog};

/// The relations that a flow writes, by their table in lower case.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// What earlier runs wrote has been read.
    loaded: bool,
    /// Relations that were checked in this run.
    admitted: HashMap<RelationName, String>,
    by_table: HashMap<String, Vec<(String, RelationName)>>,
}

impl Origins {
    /// Checks that a relation has its table for itself, or may share it.
    ///
    /// # Errors
    /// `Config`, with both names, when it may not.
    pub fn admit(
        &mut self,
        database: &mut dyn Database,
        context: &SinkContext,
        options: &TargetOptions,
        name: &RelationName,
    ) -> Result<()> {
        if self.admitted.contains_key(name) {
            return Ok(());
        }
        if !self.loaded {
            for written in catalog::written_tables(database, context)? {
                self.note(written.table, written.relation.name().clone());
            }
            self.loaded = true;
        }
        let table = options.table_name(name);
        for (other_table, other) in self.by_table.get(&table.to_lowercase()).into_iter().flatten() {
            if other == name {
                continue;
            }
            if *other_table == table {
                if !options.table.is_asked_for() {
                    return Err(shared(&table, other, name));
                }
            } else if takes_for_one(database, other_table, &table)? {
                return Err(differ_by_case(database.dialect(), (other_table, other), (&table, name)));
            }
        }
        self.note(table.clone(), name.clone());
        self.admitted.insert(name.clone(), table);
        Ok(())
    }

    /// A table has another name from here on.
    pub fn renamed(&mut self, from: &RelationName) {
        self.admitted.remove(from);
        for origins in self.by_table.values_mut() {
            origins.retain(|(_, name)| name != from);
        }
    }

    fn note(&mut self, table: String, name: RelationName) {
        let origins = self.by_table.entry(table.to_lowercase()).or_default();
        if !origins.iter().any(|(_, other)| *other == name) {
            origins.push((table, name));
        }
    }
}

/// True when two names that differ, though not in lower case, are one table to the target.
fn takes_for_one(database: &mut dyn Database, one: &str, other: &str) -> Result<bool> {
    Ok(match database.dialect() {
        // Both know ASCII only.
        Dialect::Sqlite | Dialect::DuckDb => one.eq_ignore_ascii_case(other),
        Dialect::Postgres => false,
        Dialect::MySql | Dialect::MariaDb => {
            let rows = database.query("SELECT @@lower_case_table_names <> 0", &[])?;
            rows.first().is_some_and(|row| row[0] != Value::Int(0))
        }
    })
}

fn shared(table: &str, one: &RelationName, other: &RelationName) -> Error {
    Error::config(format!("{one} and {other} would both be written into table {table}"))
        .with_setting("table")
        .with_hint(
            "set `table: \"{schema}_{table}\"` to keep them apart, or `table: \"{table}\"` to have the rows of all in one \
             table (shards)",
        )
}

fn differ_by_case(dialect: Dialect, one: (&str, &RelationName), other: (&str, &RelationName)) -> Error {
    let ((table, from), (other_table, other_from)) = (one, other);
    Error::config(format!(
        "{from} and {other_from} differ by case only: {} takes {table} and {other_table} for one table",
        dialect.product()
    ))
    .with_setting("table")
    .with_hint(format!(
        "write {other_from} by a task of its own with another name, such as `table: \"{{table}}_2\"`, or leave one of \
         them out of the source's `tables`"
    ))
}
