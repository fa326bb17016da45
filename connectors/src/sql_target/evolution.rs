//! DDL of the source, followed in the target: inside the epoch's transaction, or where that cannot be, before it (see
//! `early`). Every step does nothing the second time.

use aqueduct_model::{Change, Error, ErrorKind, ORIGIN, Relation, Result, SchemaChange};
use tracing::{info, warn};

use super::early::{EarlyChange, What};
use super::preparation::{Preparation, refused_change};
use super::table::{CURRENT_COLUMN, DELETED_COLUMN, SYNCED_COLUMN, VALID_TO_COLUMN, read_columns};
use super::{Dialect, Mode, SchemaPolicy, Value, catalog, fault, quote_ident};

impl Preparation<'_> {
    /// Follows one change of a table. The caller has applied all rows before it and prepares the table anew after it.
    /// `early`: the DDL has been done.
    ///
    /// # Errors
    /// `Schema` when the policy is `fail`, or the target cannot follow.
    pub fn follow(&mut self, change: &SchemaChange, early: bool) -> Result<()> {
        fault::point("ddl.apply_before", &self.context.flow)?;
        let name = self.options.table_name(change.relation.name());
        match &change.change {
            Change::Truncate => {
                let table = self.place(&change.relation).table;
                self.truncate(&table, &change.relation)?;
            }
            Change::DropTable => {
                if self.options.schema_change == SchemaPolicy::Fail {
                    return Err(refused_change(&name, "it was dropped"));
                }
                // A target may be the only copy that is left.
                warn!(task = self.context.task, table = name, "the source dropped a table; the target keeps it");
            }
            Change::CreateTable => {
                self.prepare(&change.relation)?;
            }
            _ if !self.evolves(&name, &change.change)? => {}
            _ => {
                if let Some(step) = EarlyChange::of(self.options, change) {
                    if !early {
                        self.step(&step)?;
                    }
                    if let What::RenameTable { from } = &step.what {
                        let name = change.relation.name();
                        catalog::rename(self.database, self.context, (from, &step.table), name)?;
                    }
                }
                self.prepare(&change.relation)?;
            }
        }
        fault::point("ddl.apply_after", &self.context.flow)
    }

    /// True when the policy is to follow.
    pub fn evolves(&self, table: &str, change: &Change) -> Result<bool> {
        match self.options.schema_change {
            SchemaPolicy::Fail => Err(refused_change(table, describe(change))),
            SchemaPolicy::Ignore => {
                info!(task = self.context.task, table, change = describe(change), "left the target as it is");
                Ok(false)
            }
            SchemaPolicy::Evolve => Ok(true),
        }
    }

    /// Runs the DDL of one change, unless the table shows that it has been done. A new type is given to the column when
    /// the table is made to fit its relation.
    pub fn step(&mut self, change: &EarlyChange) -> Result<()> {
        let table = change.table.as_str();
        match &change.what {
            What::Drop(columns) => columns.iter().try_for_each(|column| drop_column(self, table, column)),
            What::Rename { from, to } => rename_column(self, table, from, to),
            What::RenameTable { from } => self.rename_table(from, table),
            What::Alter(_) => Ok(()),
        }
    }

    /// Takes out all rows, or those of the relation where it shares the table with others.
    fn truncate(&mut self, name: &str, relation: &Relation) -> Result<()> {
        let dialect = self.database.dialect();
        if read_columns(self.database, name)?.is_empty() {
            return Ok(());
        }
        let table = quote_ident(dialect, name)?;
        let (mut of_relation, mut values) = (String::new(), Vec::new());
        for field in relation.columns().fields() {
            if let Some(origin) = field.metadata().get(ORIGIN) {
                of_relation = format!("{} = ?1", quote_ident(dialect, field.name())?);
                values = vec![Value::from(origin.as_str())];
            }
        }
        let and = if of_relation.is_empty() { String::new() } else { format!(" AND {of_relation}") };
        let (yes, no, now) = (dialect.true_literal(), dialect.false_literal(), dialect.now());
        let sql = match self.options.mode {
            Mode::Append => return Ok(()),
            Mode::SoftDelete => {
                let (deleted, synced) = (quote_ident(dialect, DELETED_COLUMN)?, quote_ident(dialect, SYNCED_COLUMN)?);
                format!(
                    "UPDATE {table} SET {deleted} = {yes}, {synced} = {now} \
                     WHERE ({deleted} IS NULL OR NOT {deleted}){and}"
                )
            }
            Mode::Scd2 => {
                let (current, to) = (quote_ident(dialect, CURRENT_COLUMN)?, quote_ident(dialect, VALID_TO_COLUMN)?);
                format!("UPDATE {table} SET {current} = {no}, {to} = {now} WHERE {current}{and}")
            }
            _ if of_relation.is_empty() => format!("DELETE FROM {table}"),
            _ => format!("DELETE FROM {table} WHERE {of_relation}"),
        };
        self.database.changes_rows(name);
        self.database.execute(&sql, &values).map(drop)
    }

    fn rename_table(&mut self, from: &str, to: &str) -> Result<()> {
        if from == to || read_columns(self.database, from)?.is_empty() {
            return Ok(());
        }
        if !read_columns(self.database, to)?.is_empty() {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("table {from} was renamed to {to}, and the target has a table of that name already"),
            )
            .with_setting("schema_change")
            .with_hint(format!("rename or drop {to} in the target, and start the flow again")));
        }
        let dialect = self.database.dialect();
        // As far as is known here: what was done to the old name was done to the table.
        self.database.changes_rows(to);
        self.ddl(&format!("ALTER TABLE {} RENAME TO {}", quote_ident(dialect, from)?, quote_ident(dialect, to)?))
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
pub(super) fn add_column(target: &mut Preparation<'_>, table: &str, column: &str, sql_type: &str) -> Result<()> {
    let dialect = target.database.dialect();
    let null = if dialect.is_mysql() { " NULL" } else { "" };
    let (quoted_table, column) = (quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    target.alter(table, &format!("ALTER TABLE {quoted_table} ADD COLUMN {column} {sql_type}{null}"))
}

/// Gives a column a type that holds all its values.
pub(super) fn widen_column(target: &mut Preparation<'_>, table: &str, column: &str, sql_type: &str) -> Result<()> {
    let dialect = target.database.dialect();
    let (quoted_table, quoted) = (quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    let statements = match dialect {
        Dialect::DuckDb => vec![format!("ALTER TABLE {quoted_table} ALTER COLUMN {quoted} SET DATA TYPE {sql_type}")],
        Dialect::Postgres => vec![format!(
            "ALTER TABLE {quoted_table} ALTER COLUMN {quoted} SET DATA TYPE {sql_type} USING {quoted}::{sql_type}"
        )],
        Dialect::MySql | Dialect::MariaDb => {
            let columns = read_columns(target.database, table)?;
            let not_null = columns.iter().any(|other| other.name.eq_ignore_ascii_case(column) && other.not_null);
            let null = if not_null { "NOT NULL" } else { "NULL" };
            vec![format!("ALTER TABLE {quoted_table} MODIFY COLUMN {quoted} {sql_type} {null}")]
        }
        // SQLite cannot change a declared type: a new column takes the values and then the name.
        Dialect::Sqlite => {
            let spare = quote_ident(dialect, &format!("_aqueduct_wide_{column}"))?;
            vec![
                format!("ALTER TABLE {quoted_table} ADD COLUMN {spare} {sql_type}"),
                format!("UPDATE {quoted_table} SET {spare} = CAST({quoted} AS {sql_type})"),
                format!("ALTER TABLE {quoted_table} DROP COLUMN {quoted}"),
                format!("ALTER TABLE {quoted_table} RENAME COLUMN {spare} TO {quoted}"),
            ]
        }
    };
    statements
        .iter()
        .try_for_each(|sql| target.alter(table, sql))
        .map_err(|error| cannot(table, column, "widened", error))
}

fn drop_column(target: &mut Preparation<'_>, table: &str, column: &str) -> Result<()> {
    let columns = read_columns(target.database, table)?;
    if !columns.iter().any(|other| other.name.eq_ignore_ascii_case(column)) {
        return Ok(());
    }
    let dialect = target.database.dialect();
    let sql = format!("ALTER TABLE {} DROP COLUMN {}", quote_ident(dialect, table)?, quote_ident(dialect, column)?);
    target.alter(table, &sql).map_err(|error| cannot(table, column, "dropped", error))
}

fn rename_column(target: &mut Preparation<'_>, table: &str, from: &str, to: &str) -> Result<()> {
    let columns = read_columns(target.database, table)?;
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    if !has(from) || has(to) {
        return Ok(());
    }
    let dialect = target.database.dialect();
    let sql = format!(
        "ALTER TABLE {} RENAME COLUMN {} TO {}",
        quote_ident(dialect, table)?,
        quote_ident(dialect, from)?,
        quote_ident(dialect, to)?
    );
    target.ddl(&sql).map_err(|error| cannot(table, from, "renamed", error))
}

fn cannot(table: &str, column: &str, done: &str, error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::Schema | ErrorKind::Data) {
        return error;
    }
    Error::new(ErrorKind::Schema, format!("column {column} of {table} cannot be {done} in the target"))
        .with_source(error)
        .with_hint(
            "an index, a view or the primary key uses it: change the target by hand, or set `schema_change: ignore`",
        )
}
