//! How a table is made from a relation, and what an existing one must be like.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result, SinkContext};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::column_type::{holds, storage_type, widens};
use super::table::{
    DELETED_COLUMN, SYNCED_COLUMN, Table, TargetColumn, build, read_checks, read_columns, read_unique, same_names,
};
use super::{Database, Dialect, Mode, SchemaPolicy, TargetOptions, catalog, evolution, quote_ident};

/// A column as it should be.
pub(super) struct Wanted {
    pub field: Arc<Field>,
    sql: String,
    key: bool,
    /// Its index in the relation; `None` for bookkeeping.
    pub origin: Option<usize>,
}

/// Who prepares tables, and how.
pub(super) struct Preparation<'a> {
    pub database: &'a mut dyn Database,
    pub options: &'a TargetOptions,
    pub context: &'a SinkContext,
}

impl Preparation<'_> {
    /// Creates the table or makes an existing one fit. Inside the epoch's transaction; does nothing the second time.
    ///
    /// # Errors
    /// `Schema` when an existing column cannot hold what is to be written; `Config` when the mode forbids the table.
    pub fn prepare(&mut self, name: &str, relation: &Arc<Relation>) -> Result<Table> {
        let wanted = self.wanted(name, relation)?;
        let mut existing = read_columns(self.database, name)?;
        let registered = catalog::is_registered(self.database, self.context, name)?;
        if existing.is_empty() {
            self.create(name, &wanted)?;
        } else {
            if !registered {
                self.take_over(name)?;
            }
            self.fit(name, &wanted, &existing, registered)?;
        }
        existing = read_columns(self.database, name)?;
        let mut unique = read_unique(self.database, name)?;
        let keyed = !relation.key().is_empty() && self.options.mode != Mode::Append;
        let kept: Vec<&Wanted> =
            wanted.iter().filter(|column| find(&existing, column.field.name()).is_some()).collect();
        if keyed && self.database.dialect() == Dialect::Sqlite {
            self.require_unique_key(name, relation, &mut unique)?;
        }
        require_no_others(name, &wanted, &existing)?;
        let written = written_relation(relation, &kept)?;
        catalog::register(self.database, self.context, name, &written)?;
        let checks = read_checks(self.database, name)?;
        build(name, relation, &kept, &existing, self.options.mode, unique, checks)
    }

    fn wanted(&self, table: &str, relation: &Relation) -> Result<Vec<Wanted>> {
        let dialect = self.database.dialect();
        let keyed = self.options.mode != Mode::Append;
        let mut wanted = Vec::new();
        for (index, field) in relation.columns().fields().iter().enumerate() {
            let sql = storage_type(dialect, field.name(), field.data_type())?.sql;
            wanted.push(Wanted {
                field: field.clone(),
                sql,
                key: keyed && relation.key().contains(&index),
                origin: Some(index),
            });
        }
        if self.options.mode == Mode::SoftDelete {
            if relation.key().is_empty() {
                return Err(Error::config(format!(
                    "mode soft_delete cannot mark rows of {}: it has no key",
                    relation.name()
                ))
                .with_setting("mode")
                .with_hint("give the table a primary key at the source, or use `mode: upsert`"));
            }
            let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            for (name, data_type) in [(DELETED_COLUMN, DataType::Boolean), (SYNCED_COLUMN, utc)] {
                let sql = storage_type(dialect, name, &data_type)?.sql;
                wanted.push(Wanted {
                    field: Arc::new(Field::new(name, data_type, true)),
                    sql,
                    key: false,
                    origin: None,
                });
            }
        }
        for (i, column) in wanted.iter().enumerate() {
            if let Some(other) =
                wanted[..i].iter().find(|other| other.field.name().eq_ignore_ascii_case(column.field.name()))
            {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "{table} would have columns {} and {}, which {} takes for one",
                        other.field.name(),
                        column.field.name(),
                        dialect.product()
                    ),
                )
                .with_hint("rename one of them with Mapping"));
            }
        }
        Ok(wanted)
    }

    fn create(&mut self, name: &str, wanted: &[Wanted]) -> Result<()> {
        let dialect = self.database.dialect();
        let mut parts = Vec::with_capacity(wanted.len() + 1);
        let key: Vec<&str> =
            wanted.iter().filter(|column| column.key).map(|column| column.field.name().as_str()).collect();
        // DuckDB's index would have to be kept for every row, and a row that is deleted and inserted in one
        // transaction trips over it; the sink's own merge keeps keys unique.
        let declare_key = dialect == Dialect::Sqlite && !key.is_empty();
        for column in wanted {
            let mut part = format!("{} {}", quote_ident(dialect, column.field.name())?, column.sql);
            if declare_key && column.key {
                part.push_str(" NOT NULL");
            }
            parts.push(part);
        }
        if declare_key {
            parts.push(format!("PRIMARY KEY ({})", dialect.name_list(key)?));
        }
        let sql = format!("CREATE TABLE IF NOT EXISTS {} ({})", quote_ident(dialect, name)?, parts.join(", "));
        self.database.execute(&sql, &[]).map(drop)
    }

    /// A fresh flow meets a table that is already there.
    fn take_over(&mut self, name: &str) -> Result<()> {
        let table = quote_ident(self.database.dialect(), name)?;
        match self.options.mode {
            Mode::Append | Mode::Upsert | Mode::SoftDelete => return Ok(()),
            Mode::Mirror if !self.options.replace_existing => {
                if !self.database.query(&format!("SELECT 1 FROM {table} LIMIT 1"), &[])?.is_empty() {
                    return Err(Error::config(format!("table {name} already holds rows that this flow did not write"))
                        .with_setting("replace_existing")
                        .with_hint(
                            "set `replace_existing: true` to empty the table first, or `mode: upsert` to keep its rows",
                        ));
                }
            }
            Mode::Replace | Mode::Mirror => {}
        }
        self.database.execute(&format!("DELETE FROM {table}"), &[]).map(drop)
    }

    /// Adds and widens columns of an existing table.
    fn fit(&mut self, name: &str, wanted: &[Wanted], existing: &[TargetColumn], registered: bool) -> Result<()> {
        let dialect = self.database.dialect();
        for column in wanted {
            let policy = if column.origin.is_none() { SchemaPolicy::Evolve } else { self.options.schema_change };
            let field = column.field.name();
            let Some(actual) = find(existing, field) else {
                match policy {
                    SchemaPolicy::Evolve => evolution::add_column(self.database, name, field, &column.sql)?,
                    SchemaPolicy::Ignore if !column.key => {}
                    _ => return Err(refused_change(name, &format!("column {field} is not in the target"))),
                }
                continue;
            };
            if holds(dialect, &actual.sql, &column.sql) {
                continue;
            }
            if registered
                && policy == SchemaPolicy::Evolve
                && !actual.primary_key
                && widens(dialect, &actual.sql, &column.sql)
            {
                evolution::widen_column(self.database, name, &actual.name, &column.sql)?;
                continue;
            }
            return Err(Error::new(
                ErrorKind::Schema,
                format!(
                    "column {field} of {name} is {} in the target and cannot hold {} exactly",
                    actual.sql, column.sql
                ),
            )
            .with_hint(format!(
                "change the target's column to {}, cast it with Mapping, or set `table` to write elsewhere",
                column.sql
            )));
        }
        Ok(())
    }

    /// SQLite finds a row by key through an index; an existing table may lack it.
    fn require_unique_key(&mut self, name: &str, relation: &Relation, unique: &mut Vec<Vec<String>>) -> Result<()> {
        let key = relation.key_names();
        if unique.iter().any(|set| same_names(set, &key)) {
            return Ok(());
        }
        let dialect = self.database.dialect();
        let index = quote_ident(dialect, &format!("_aqueduct_key_{name}"))?;
        self.database.execute(&format!("DROP INDEX IF EXISTS {index}"), &[])?;
        let columns = dialect.name_list(key.iter().copied())?;
        let sql = format!("CREATE UNIQUE INDEX {index} ON {} ({columns})", quote_ident(dialect, name)?);
        self.database.execute(&sql, &[]).map_err(|error| {
            Error::new(ErrorKind::Schema, format!("table {name} holds several rows of one key ({})", key.join(", ")))
                .with_source(error)
                .with_hint("remove the duplicates from the target, or set `mode: replace` to empty it first")
        })?;
        unique.push(key.into_iter().map(str::to_owned).collect());
        Ok(())
    }
}

/// The error of `schema_change: fail`, and of what `ignore` cannot leave out.
pub(super) fn refused_change(table: &str, change: &str) -> Error {
    Error::new(ErrorKind::Schema, format!("table {table} changed its shape: {change}"))
        .with_setting("schema_change")
        .with_hint("set `schema_change: evolve` to change the target alike, or change it by hand and start again")
}

/// The relation as it can be read back: the columns that the target has.
fn written_relation(relation: &Relation, kept: &[&Wanted]) -> Result<Relation> {
    let fields: Vec<Arc<Field>> =
        kept.iter().filter(|column| column.origin.is_some()).map(|column| column.field.clone()).collect();
    Relation::new(relation.name().clone(), Arc::new(Schema::new(fields)), &relation.key_names(), relation.version())
}

/// The column of that name, without case.
pub(super) fn find<'a>(existing: &'a [TargetColumn], name: &str) -> Option<&'a TargetColumn> {
    existing.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// A column of others that needs a value would refuse every row.
fn require_no_others(table: &str, wanted: &[Wanted], existing: &[TargetColumn]) -> Result<()> {
    let is_written = |name: &str| wanted.iter().any(|column| column.field.name().eq_ignore_ascii_case(name));
    // SQLite numbers rows by itself in a primary key that is left out.
    let needed = existing.iter().find(|c| c.not_null && !c.has_default && !c.primary_key && !is_written(&c.name));
    match needed {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::Schema,
            format!("column {} of {table} must not be NULL in the target, and nothing is written into it", column.name),
        )
        .with_hint("give the column a default or allow NULL, or add it with Mapping")),
    }
}
