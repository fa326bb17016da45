//! DDL of the source, followed in the target inside the epoch's transaction. Every step does nothing the second time.

use aqueduct_model::{Change, Error, ErrorKind, RelationName, Result, SchemaChange};
use tracing::{info, warn};

use super::preparation::{Preparation, refused_change};
use super::table::{DELETED_COLUMN, SYNCED_COLUMN, read_columns};
use super::{Database, Dialect, Mode, SchemaPolicy, catalog, fault, quote_ident};

impl Preparation<'_> {
    /// Follows one change of a table. The caller has applied all rows before it and prepares the table anew after it.
    ///
    /// # Errors
    /// `Schema` when the policy is `fail`, or the target cannot follow.
    pub fn follow(&mut self, name: &str, change: &SchemaChange) -> Result<()> {
        fault::point("ddl.apply_before", &self.context.flow)?;
        match &change.change {
            Change::Truncate => self.truncate(name)?,
            Change::DropTable => {
                if self.options.schema_change == SchemaPolicy::Fail {
                    return Err(refused_change(name, "it was dropped"));
                }
                // A target may be the only copy that is left.
                warn!(task = self.context.task, table = name, "the source dropped a table; the target keeps it");
            }
            Change::CreateTable => {
                self.prepare(name, &change.relation)?;
            }
            other => self.reshape(name, change, other)?,
        }
        fault::point("ddl.apply_after", &self.context.flow)
    }

    fn reshape(&mut self, name: &str, change: &SchemaChange, what: &Change) -> Result<()> {
        match self.options.schema_change {
            SchemaPolicy::Fail => return Err(refused_change(name, describe(what))),
            SchemaPolicy::Ignore => {
                info!(task = self.context.task, table = name, change = describe(what), "left the target as it is");
                return Ok(());
            }
            SchemaPolicy::Evolve => {}
        }
        match what {
            Change::DropColumns(columns) => {
                for column in columns {
                    drop_column(self.database, name, column)?;
                }
            }
            Change::RenameColumn { from, to } => rename_column(self.database, name, from, to)?,
            Change::RenameTable { from } => self.rename_table(from, name)?,
            _ => {}
        }
        self.prepare(name, &change.relation).map(drop)
    }

    fn truncate(&mut self, name: &str) -> Result<()> {
        let dialect = self.database.dialect();
        if read_columns(self.database, name)?.is_empty() {
            return Ok(());
        }
        let table = quote_ident(dialect, name)?;
        let sql = match self.options.mode {
            Mode::Append => return Ok(()),
            Mode::SoftDelete => {
                let (deleted, synced) = (quote_ident(dialect, DELETED_COLUMN)?, quote_ident(dialect, SYNCED_COLUMN)?);
                let (marked, now) = (dialect.true_literal(), dialect.now());
                format!(
                    "UPDATE {table} SET {deleted} = {marked}, {synced} = {now} WHERE {deleted} IS NULL OR NOT {deleted}"
                )
            }
            _ => format!("DELETE FROM {table}"),
        };
        self.database.execute(&sql, &[]).map(drop)
    }

    fn rename_table(&mut self, from: &RelationName, to: &str) -> Result<()> {
        let from = self.options.table_name(from);
        if from == to || read_columns(self.database, &from)?.is_empty() || !read_columns(self.database, to)?.is_empty()
        {
            return Ok(());
        }
        let dialect = self.database.dialect();
        let sql = format!("ALTER TABLE {} RENAME TO {}", quote_ident(dialect, &from)?, quote_ident(dialect, to)?);
        self.database.execute(&sql, &[])?;
        catalog::rename(self.database, self.context, &from, to)
    }
}

fn describe(change: &Change) -> &'static str {
    match change {
        Change::AddColumns(_) => "columns were added",
        Change::DropColumns(_) => "columns were dropped",
        Change::RenameColumn { .. } => "a column was renamed",
        Change::AlterColumns(_) => "columns were altered",
        Change::RenameTable { .. } => "it was renamed",
        _ => "it changed",
    }
}

/// Adds a column, NULL in all rows.
pub(super) fn add_column(database: &mut dyn Database, table: &str, column: &str, sql_type: &str) -> Result<()> {
    let dialect = database.dialect();
    let sql =
        format!("ALTER TABLE {} ADD COLUMN {} {sql_type}", quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    database.execute(&sql, &[]).map(drop)
}

/// Gives a column a type that holds all its values.
pub(super) fn widen_column(database: &mut dyn Database, table: &str, column: &str, sql_type: &str) -> Result<()> {
    let dialect = database.dialect();
    let (quoted_table, quoted) = (quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    if dialect == Dialect::DuckDb {
        let sql = format!("ALTER TABLE {quoted_table} ALTER COLUMN {quoted} SET DATA TYPE {sql_type}");
        return database.execute(&sql, &[]).map(drop);
    }
    // SQLite cannot change a declared type: a new column takes the values and then the name.
    let spare = quote_ident(dialect, &format!("_aqueduct_wide_{column}"))?;
    for sql in [
        format!("ALTER TABLE {quoted_table} ADD COLUMN {spare} {sql_type}"),
        format!("UPDATE {quoted_table} SET {spare} = CAST({quoted} AS {sql_type})"),
        format!("ALTER TABLE {quoted_table} DROP COLUMN {quoted}"),
        format!("ALTER TABLE {quoted_table} RENAME COLUMN {spare} TO {quoted}"),
    ] {
        database.execute(&sql, &[]).map_err(|error| cannot(table, column, "widened", error))?;
    }
    Ok(())
}

fn drop_column(database: &mut dyn Database, table: &str, column: &str) -> Result<()> {
    let columns = read_columns(database, table)?;
    if !columns.iter().any(|other| other.name.eq_ignore_ascii_case(column)) {
        return Ok(());
    }
    let dialect = database.dialect();
    let sql = format!("ALTER TABLE {} DROP COLUMN {}", quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    database.execute(&sql, &[]).map(drop).map_err(|error| cannot(table, column, "dropped", error))
}

fn rename_column(database: &mut dyn Database, table: &str, from: &str, to: &str) -> Result<()> {
    let columns = read_columns(database, table)?;
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    if !has(from) || has(to) {
        return Ok(());
    }
    let dialect = database.dialect();
    let sql = format!(
        "ALTER TABLE {} RENAME COLUMN {} TO {}",
        quote_ident(dialect, table)?,
        quote_ident(dialect, from)?,
        quote_ident(dialect, to)?
    );
    database.execute(&sql, &[]).map(drop).map_err(|error| cannot(table, from, "renamed", error))
}

fn cannot(table: &str, column: &str, done: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::Schema {
        return error;
    }
    Error::new(ErrorKind::Schema, format!("column {column} of {table} cannot be {done} in the target"))
        .with_source(error)
        .with_hint(
            "an index, a view or the primary key uses it: change the target by hand, or set `schema_change: ignore`",
        )
}
