//! DDL of targets that cannot have it in a transaction: it is done before the epoch that it belongs to.
//!
//! MySQL commits before and after every DDL statement. So the sink follows the DDL of an epoch first, outside of any
//! transaction, and then writes the epoch's rows in one transaction, the rows from before the DDL by the names that
//! their columns have after it. What was done early is kept in `_aqueduct_ddl` until the epoch is committed: after a
//! crash in between, the rows of the old shape come again and have to find their columns under the new names.
//!
//! An entry is written before its statement (`done: false`) and marked after it, so that only the last one can be in
//! doubt, and the table itself tells. A new column or a new table needs no entry: old rows fit.

use aqueduct_model::{Change, Error, ErrorKind, Relation, Result, SchemaChange, SinkContext};
use serde::{Deserialize, Serialize};

use super::{Database, TargetOptions, Value};

/// One change of a table that rows from before it must know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EarlyChange {
    /// The table's name in the target, after the change.
    pub table: String,
    pub what: What,
    /// The relation's version after the change: newer relations know it.
    version: u32,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Drop(Vec<String>),
    Rename { from: String, to: String },
    Alter(Vec<String>),
    RenameTable { from: String },
}

impl EarlyChange {
    /// What rows from before the change must know of it, if anything.
    pub fn of(options: &TargetOptions, change: &SchemaChange) -> Option<Self> {
        let what = match &change.change {
            Change::DropColumns(columns) => What::Drop(columns.clone()),
            Change::RenameColumn { from, to } => What::Rename { from: from.clone(), to: to.clone() },
            Change::AlterColumns(columns) => What::Alter(columns.clone()),
            Change::RenameTable { from } => What::RenameTable { from: options.table_name(from) },
            _ => return None,
        };
        let table = options.table_name(change.relation.name());
        Some(Self { table, what, version: change.relation.version() })
    }
}

/// Where the columns of a relation are in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The table.
    pub table: String,
    /// By column of the relation.
    pub columns: Vec<ColumnPlace>,
}

/// Where one column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnPlace {
    /// Its name there; `None` when it has been dropped.
    pub name: Option<String>,
    /// It has been given a type that holds more.
    pub altered: bool,
}

/// Follows a relation through the changes that were made since.
pub(super) fn place<'a>(changes: impl Iterator<Item = &'a EarlyChange>, table: String, relation: &Relation) -> Place {
    let column = |name: &str| ColumnPlace { name: Some(name.to_owned()), altered: false };
    let columns = relation.columns().fields().iter().map(|field| column(field.name())).collect();
    let mut place = Place { table, columns };
    for change in changes.filter(|change| change.version >= relation.version()) {
        if let What::RenameTable { from } = &change.what {
            if *from == place.table {
                place.table.clone_from(&change.table);
            }
            continue;
        }
        if change.table != place.table {
            continue;
        }
        for column in &mut place.columns {
            let is = |name: &String| column.name.as_ref() == Some(name);
            match &change.what {
                What::Drop(names) if names.iter().any(is) => column.name = None,
                What::Rename { from, to } if is(from) => column.name = Some(to.clone()),
                What::Alter(names) if names.iter().any(is) => column.altered = true,
                _ => {}
            }
        }
    }
    place
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    change: EarlyChange,
    done: bool,
    /// The stream has come to it in the running epoch.
    #[serde(skip)]
    passed: bool,
}

/// The changes that are done and whose epoch is not committed.
#[derive(Debug, Default)]
pub(super) struct EarlyChanges {
    entries: Vec<Entry>,
}

impl EarlyChanges {
    /// The table that keeps them.
    pub fn create(database: &mut dyn Database) -> Result<()> {
        let dialect = database.dialect();
        let (name, text, options) = (dialect.name_type(), dialect.long_text_type(), dialect.table_options());
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS _aqueduct_ddl (flow {name} NOT NULL, task {name} NOT NULL, \
             changes {text} NOT NULL, PRIMARY KEY (flow, task)){options}"
        );
        database.execute(&sql, &[]).map(drop)
    }

    /// What an earlier run left behind.
    ///
    /// # Errors
    /// `State` when the row cannot be read as one of ours.
    pub fn load(database: &mut dyn Database, context: &SinkContext) -> Result<Self> {
        let sql = "SELECT changes FROM _aqueduct_ddl WHERE flow = ?1 AND task = ?2";
        let rows = database.query(sql, &[context.flow.as_str().into(), context.task.as_str().into()])?;
        let Some(row) = rows.first() else { return Ok(Self::default()) };
        let entries = serde_json::from_str(row[0].text()?)
            .map_err(|error| Error::new(ErrorKind::State, "cannot read _aqueduct_ddl").with_source(error))?;
        Ok(Self { entries })
    }

    /// Forgets everything: the flow is new.
    pub fn clear(&mut self, database: &mut dyn Database, context: &SinkContext) -> Result<()> {
        self.entries.clear();
        self.write(database, context)
    }

    /// Those that the stream has still to come to, in the order they were made.
    pub fn iter(&self) -> impl Iterator<Item = &EarlyChange> {
        self.entries.iter().filter(|entry| !entry.passed).map(|entry| &entry.change)
    }

    /// The one whose statement may not have been run.
    pub fn in_doubt(&self) -> Option<EarlyChange> {
        self.entries.iter().find(|entry| !entry.done).map(|entry| entry.change.clone())
    }

    /// Notes a change whose statement comes next.
    pub fn intend(&mut self, database: &mut dyn Database, context: &SinkContext, change: EarlyChange) -> Result<()> {
        self.entries.push(Entry { change, done: false, passed: false });
        self.write(database, context)
    }

    /// Notes that the statement of the last one has been run.
    pub fn done(&mut self, database: &mut dyn Database, context: &SinkContext) -> Result<()> {
        for entry in &mut self.entries {
            entry.done = true;
        }
        self.write(database, context)
    }

    /// True when the change was made early; rows that follow know it.
    pub fn pass(&mut self, change: &EarlyChange) -> bool {
        match self.entries.iter_mut().find(|entry| !entry.passed && entry.change == *change) {
            Some(entry) => {
                entry.passed = true;
                true
            }
            None => false,
        }
    }

    /// Writes down what is left, in the transaction of the epoch.
    pub fn commit(&mut self, database: &mut dyn Database, context: &SinkContext) -> Result<()> {
        let before = self.entries.len();
        self.entries.retain(|entry| !entry.passed);
        if self.entries.len() < before { self.write(database, context) } else { Ok(()) }
    }

    /// Writes the whole list: what was passed in an epoch that is not committed will come again.
    fn write(&self, database: &mut dyn Database, context: &SinkContext) -> Result<()> {
        let text = serde_json::to_string(&self.entries)
            .map_err(|error| Error::bug("cannot write down early changes").with_source(error))?;
        let sql = format!(
            "INSERT INTO _aqueduct_ddl (flow, task, changes) VALUES (?1, ?2, ?3) {}",
            database.dialect().replacing("flow, task", "changes")
        );
        let values = [context.flow.as_str().into(), context.task.as_str().into(), Value::Text(text)];
        database.execute(&sql, &values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql_target::tests::relation;
    use arrow::datatypes::DataType;

    fn change(table: &str, what: What) -> EarlyChange {
        EarlyChange { table: table.to_owned(), what, version: 1 }
    }

    #[test]
    fn old_rows_find_their_columns() {
        let old = relation("a", &[("x", DataType::Int64), ("y", DataType::Int64), ("z", DataType::Int64)], &["x"]);
        let rename = |from: &str, to: &str| What::Rename { from: from.to_owned(), to: to.to_owned() };
        // x and y swap their names, z is dropped and comes anew, and the table swaps its name with b.
        let changes = [
            change("a", rename("x", "t")),
            change("a", rename("y", "x")),
            change("a", rename("t", "y")),
            change("a", What::Drop(vec!["z".to_owned()])),
            change("t", What::RenameTable { from: "a".to_owned() }),
            change("a", What::RenameTable { from: "b".to_owned() }),
            change("b", What::RenameTable { from: "t".to_owned() }),
            change("b", What::Alter(vec!["y".to_owned()])),
        ];
        let found = place(changes.iter(), "a".to_owned(), &old);
        assert_eq!(found.table, "b");
        let columns: Vec<_> = found.columns.iter().map(|column| (column.name.as_deref(), column.altered)).collect();
        assert_eq!(columns, [(Some("y"), true), (Some("x"), false), (None, false)]);
        assert_eq!(place(changes.iter(), "b".to_owned(), &old).table, "a");
        // Half of the way: what came after is what counts.
        let later = place(changes[4..].iter(), "a".to_owned(), &old);
        assert_eq!(later.columns[0].name.as_deref(), Some("x"));
    }
}
