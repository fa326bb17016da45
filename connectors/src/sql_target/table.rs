//! One table of the target: how it is made from a relation, and what an existing one must be like.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result, SinkContext};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::column_type::{holds, storage_type, widens};
use super::{Database, Dialect, Mode, SchemaPolicy, TargetOptions, Value, catalog, evolution, quote_ident};

/// The soft-delete mark.
pub(crate) const DELETED_COLUMN: &str = "_cdc_deleted";
/// When a row was last written, in soft deletion.
pub(crate) const SYNCED_COLUMN: &str = "_cdc_synced_at";

/// A column as the target has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TargetColumn {
    /// Its name, spelled as there.
    pub name: String,
    /// Its declared type, in capitals.
    pub sql: String,
    /// It refuses NULL.
    pub not_null: bool,
    /// It has a default.
    pub has_default: bool,
    /// It is part of the primary key (SQLite only).
    pub primary_key: bool,
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
    /// All columns that are written: the taken ones, then those of soft deletion.
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

/// True when both name the same columns, in any order and without case.
fn same_names(set: &[String], names: &[&str]) -> bool {
    set.len() == names.len() && names.iter().all(|name| set.iter().any(|other| other.eq_ignore_ascii_case(name)))
}

/// A column as it should be.
struct Wanted {
    field: Arc<Field>,
    sql: String,
    key: bool,
    /// Its index in the relation; `None` for bookkeeping.
    origin: Option<usize>,
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
        let kept: Vec<&Wanted> = wanted.iter().filter(|column| find(&existing, column.field.name()).is_some()).collect();
        if keyed && self.database.dialect() == Dialect::Sqlite {
            self.require_unique_key(name, relation, &mut unique)?;
        }
        if !registered || self.options.schema_change == SchemaPolicy::Evolve {
            let written = written_relation(relation, &kept)?;
            catalog::register(self.database, self.context, name, &written)?;
        }
        let checks = read_checks(self.database, name)?;
        build(name, relation, &kept, &existing, self.options.mode, unique, checks)
    }

    fn wanted(&self, table: &str, relation: &Relation) -> Result<Vec<Wanted>> {
        let dialect = self.database.dialect();
        let keyed = self.options.mode != Mode::Append;
        let mut wanted = Vec::new();
        for (index, field) in relation.columns().fields().iter().enumerate() {
            let sql = storage_type(dialect, field.name(), field.data_type())?.sql;
            wanted.push(Wanted { field: field.clone(), sql, key: keyed && relation.key().contains(&index), origin: Some(index) });
        }
        if self.options.mode == Mode::SoftDelete {
            if relation.key().is_empty() {
                return Err(Error::config(format!("mode soft_delete cannot mark rows of {}: it has no key", relation.name()))
                    .with_setting("mode")
                    .with_hint("give the table a primary key at the source, or use `mode: upsert`"));
            }
            let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            for (name, data_type) in [(DELETED_COLUMN, DataType::Boolean), (SYNCED_COLUMN, utc)] {
                let sql = storage_type(dialect, name, &data_type)?.sql;
                wanted.push(Wanted { field: Arc::new(Field::new(name, data_type, true)), sql, key: false, origin: None });
            }
        }
        for (i, column) in wanted.iter().enumerate() {
            if let Some(other) = wanted[..i].iter().find(|other| other.field.name().eq_ignore_ascii_case(column.field.name())) {
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!("{table} would have columns {} and {}, which {} takes for one", other.field.name(), column.field.name(), dialect.product()),
                )
                .with_hint("rename one of them with Mapping"));
            }
        }
        Ok(wanted)
    }

    fn create(&mut self, name: &str, wanted: &[Wanted]) -> Result<()> {
        let dialect = self.database.dialect();
        let mut parts = Vec::with_capacity(wanted.len() + 1);
        let key: Vec<&str> = wanted.iter().filter(|column| column.key).map(|column| column.field.name().as_str()).collect();
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
                        .with_hint("set `replace_existing: true` to empty the table first, or `mode: upsert` to keep its rows"));
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
            if registered && policy == SchemaPolicy::Evolve && !actual.primary_key && widens(dialect, &actual.sql, &column.sql) {
                evolution::widen_column(self.database, name, &actual.name, &column.sql)?;
                continue;
            }
            return Err(Error::new(
                ErrorKind::Schema,
                format!("column {field} of {name} is {} in the target and cannot hold {} exactly", actual.sql, column.sql),
            )
            .with_hint(format!("change the target's column to {}, cast it with Mapping, or set `table` to write elsewhere", column.sql)));
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
    let fields: Vec<Arc<Field>> = kept.iter().filter(|column| column.origin.is_some()).map(|column| column.field.clone()).collect();
    Relation::new(relation.name().clone(), Arc::new(Schema::new(fields)), &relation.key_names(), relation.version())
}

fn build(
    name: &str,
    relation: &Arc<Relation>,
    kept: &[&Wanted],
    existing: &[TargetColumn],
    mode: Mode,
    unique: Vec<Vec<String>>,
    checks: Vec<String>,
) -> Result<Table> {
    let fields: Vec<Arc<Field>> =
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
        kept.iter().filter_map(|column| find(existing, column.field.name()).cloned()).collect();
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
        unique,
        checks,
    })
}

fn find<'a>(existing: &'a [TargetColumn], name: &str) -> Option<&'a TargetColumn> {
    existing.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// The columns of a table; empty when there is none.
pub(super) fn read_columns(database: &mut dyn Database, table: &str) -> Result<Vec<TargetColumn>> {
    let rows = database.query(database.dialect().columns_query(), &[table.into()])?;
    rows.iter()
        .map(|row| {
            Ok(TargetColumn {
                name: row[0].text()?.to_owned(),
                sql: row[1].text()?.to_ascii_uppercase(),
                not_null: row[2].int()? != 0,
                has_default: row[3].int()? != 0,
                primary_key: row[4].int()? != 0,
            })
        })
        .collect()
}

/// The sets of columns that the target keeps unique.
fn read_unique(database: &mut dyn Database, table: &str) -> Result<Vec<Vec<String>>> {
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
fn read_checks(database: &mut dyn Database, table: &str) -> Result<Vec<String>> {
    let Some(sql) = database.dialect().checks_query() else { return Ok(Vec::new()) };
    let rows = database.query(sql, &[table.into()])?;
    rows.iter().map(|row| Ok(row[0].text()?.to_owned())).collect()
}
