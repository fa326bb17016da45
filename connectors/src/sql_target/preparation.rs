//! How a table is made from a relation, and what an existing one must be like.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result, SinkContext};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::column_type::{holds, storage, storage_type, widens};
use super::early::{EarlyChanges, Place, place};
use super::table::{
    CURRENT_COLUMN, DELETED_COLUMN, Rules, SYNCED_COLUMN, Table, TargetColumn, VALID_FROM_COLUMN, VALID_TO_COLUMN,
    build, read_checks, read_columns, read_unique, same_names,
};
use super::{Database, Dialect, Mode, SchemaPolicy, TargetOptions, catalog, evolution, key_index, native, quote_ident};

/// A column as it should be.
pub(super) struct Wanted {
    pub field: Arc<Field>,
    /// Its name in the target.
    pub name: String,
    sql: String,
    key: bool,
    /// Its index in the relation; `None` for bookkeeping.
    pub origin: Option<usize>,
    /// The target's column was given another type since.
    altered: bool,
}

/// Who prepares tables, and how.
pub(super) struct Preparation<'a> {
    pub database: &'a mut dyn Database,
    pub options: &'a TargetOptions,
    pub context: &'a SinkContext,
    /// DDL that was done before its epoch.
    pub early: &'a EarlyChanges,
    /// Rows of the epoch may be in an open transaction.
    pub in_transaction: &'a mut bool,
    /// DDL had to end that transaction: the epoch has to begin again.
    pub rolled_back: &'a mut bool,
}

impl Preparation<'_> {
    /// Runs a DDL statement. Where it would end the epoch's transaction, it is run beside it; if that cannot be,
    /// because the transaction has rows of the very table, the transaction is undone before.
    pub fn ddl(&mut self, sql: &str) -> Result<()> {
        if self.database.dialect().ddl_commits() && *self.in_transaction {
            match self.database.execute_beside(sql) {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                done => return done,
            }
            self.database.execute("ROLLBACK", &[])?;
            *self.in_transaction = false;
            *self.rolled_back = true;
        }
        self.database.execute(sql, &[]).map(drop)
    }

    /// As [`Preparation::ddl`], for a statement that changes a table's columns.
    pub fn alter(&mut self, table: &str, sql: &str) -> Result<()> {
        match self.database.dialect() {
            Dialect::DuckDb => self.database.alter(table, sql),
            _ => self.ddl(sql),
        }
    }

    /// Where the relation's columns are.
    pub fn place(&self, relation: &Relation) -> Place {
        place(self.early.iter(), self.options.table_name(relation.name()), relation)
    }

    /// Creates the table or makes an existing one fit; does nothing the second time. This is all the DDL that rows of
    /// the relation need.
    ///
    /// # Errors
    /// `Schema` when an existing column cannot hold what is to be written; `Config` when the mode forbids the table.
    pub fn shape(&mut self, relation: &Arc<Relation>) -> Result<()> {
        let place = self.place(relation);
        let wanted = self.wanted(&place, relation)?;
        self.shape_table(&place.table, relation, &wanted)
    }

    fn shape_table(&mut self, name: &str, relation: &Arc<Relation>, wanted: &[Wanted]) -> Result<()> {
        let existing = read_columns(self.database, name)?;
        if existing.is_empty() {
            if self.database.dialect().ddl_commits() {
                // First, so that after a crash in between it is known as a table of our making.
                let kept: Vec<&Wanted> = wanted.iter().collect();
                catalog::register(self.database, self.context, name, &written_relation(relation, &kept)?)?;
            }
            self.create(name, wanted)?;
        } else {
            let registered = catalog::is_registered(self.database, self.context, name)?;
            self.fit(name, wanted, &existing, registered)?;
        }
        if relation.key().is_empty() || self.options.mode == Mode::Append {
            return Ok(());
        }
        let keys: Vec<&str> = key_names(relation, wanted);
        if self.options.mode == Mode::Scd2 {
            return self.index_key(name, &keys, existing.is_empty());
        }
        self.require_unique_key(name, &keys)
    }

    /// Makes the table ready for rows of the relation, inside the epoch's transaction.
    ///
    /// # Errors
    /// As [`Preparation::shape`].
    pub fn prepare(&mut self, relation: &Arc<Relation>) -> Result<Table> {
        let place = self.place(relation);
        let name = place.table.as_str();
        let wanted = self.wanted(&place, relation)?;
        let there = !read_columns(self.database, name)?.is_empty();
        // A table that was renamed early is known by its old name until the change is passed.
        let own_name = self.options.table_name(relation.name());
        let registered = catalog::is_registered(self.database, self.context, name)?
            || own_name != name && catalog::is_registered(self.database, self.context, &own_name)?;
        // Before the index on the key: rows of others that are to go may have one key twice.
        if there && !registered {
            self.take_over(name)?;
        }
        self.shape_table(name, relation, &wanted)?;
        let dialect = self.database.dialect();
        let existing = read_columns(self.database, name)?;
        let unique = read_unique(self.database, name)?;
        let kept: Vec<&Wanted> =
            wanted.iter().filter(|column| find(dialect, &existing, &column.name).is_some()).collect();
        require_no_others(dialect, name, &wanted, &existing)?;
        self.require_distinct_keys(name, &wanted, &existing)?;
        let written = written_relation(relation, &kept)?;
        catalog::register(self.database, self.context, name, &written)?;
        let rules = Rules { unique, checks: read_checks(self.database, name)? };
        build(dialect, name, relation, &kept, &existing, self.options.mode, rules)
    }

    fn wanted(&mut self, place: &Place, relation: &Relation) -> Result<Vec<Wanted>> {
        let dialect = self.database.dialect();
        // Names first: not even a query for the table should see one that the target cannot have.
        quote_ident(dialect, &place.table)?;
        dialect.name_list(place.columns.iter().filter_map(|column| column.name.as_deref()))?;
        let mode = self.options.mode;
        if mode.needs_key() && relation.key().is_empty() {
            return Err(Error::config(format!("mode {} needs a key, and {} has none", mode.name(), relation.name()))
                .with_setting("mode")
                .with_hint("give the table a primary key at the source, or use `mode: upsert`"));
        }
        let keyed = mode != Mode::Append;
        let mut wanted = Vec::new();
        for ((index, field), column) in relation.columns().fields().iter().enumerate().zip(&place.columns) {
            let key = keyed && relation.key().contains(&index);
            let Some(name) = column.name.clone() else {
                if key {
                    return Err(refused_change(&place.table, "a key column is not in the target"));
                }
                continue;
            };
            let key_columns = if key { relation.key().len() } else { 0 };
            // Checked first: a type that cannot be kept is refused even if the source's own is known.
            let generic = storage(dialect, field, key_columns)?.sql;
            let sql = native::column_type(self.database, field, key)?.unwrap_or(generic);
            wanted.push(Wanted { field: field.clone(), name, sql, key, origin: Some(index), altered: column.altered });
        }
        for (name, data_type) in mode_columns(mode) {
            wanted.push(Wanted {
                sql: storage_type(dialect, name, &data_type)?.sql,
                field: Arc::new(Field::new(name, data_type, true)),
                name: name.to_owned(),
                key: false,
                origin: None,
                altered: false,
            });
        }
        require_distinct_names(dialect, &place.table, &wanted)?;
        Ok(wanted)
    }

    fn create(&mut self, name: &str, wanted: &[Wanted]) -> Result<()> {
        let dialect = self.database.dialect();
        let mut parts = Vec::with_capacity(wanted.len() + 1);
        let key: Vec<&str> = wanted.iter().filter(|column| column.key).map(|column| column.name.as_str()).collect();
        // DuckDB's index would have to be kept for every row, and a row that is deleted and inserted in one
        // transaction trips over it; the sink's own merge keeps keys unique.
        let declare_key = dialect != Dialect::DuckDb && !self.options.mode.repeats_keys() && !key.is_empty();
        for column in wanted {
            let mut part = format!("{} {}", quote_ident(dialect, &column.name)?, column.sql);
            if declare_key && column.key {
                part.push_str(" NOT NULL");
            } else if dialect.is_mysql() {
                // Without the word a TIMESTAMP would be NOT NULL, and set to the present moment by any update.
                part.push_str(" NULL");
            }
            parts.push(part);
        }
        if declare_key {
            // In the order of the key, which may not be that of the columns.
            parts.push(format!("PRIMARY KEY ({})", dialect.name_list(key)?));
        }
        let (table, options) = (quote_ident(dialect, name)?, dialect.data_table_options());
        self.ddl(&format!("CREATE TABLE IF NOT EXISTS {table} ({}){options}", parts.join(", ")))
    }

    /// A fresh flow meets a table that is already there.
    fn take_over(&mut self, name: &str) -> Result<()> {
        let table = quote_ident(self.database.dialect(), name)?;
        match self.options.mode {
            Mode::Append | Mode::Upsert | Mode::SoftDelete | Mode::Scd2 => return Ok(()),
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
        self.database.changes_rows(name);
        self.database.execute(&format!("DELETE FROM {table}"), &[]).map(drop)
    }

    /// Adds and widens columns of an existing table.
    fn fit(&mut self, name: &str, wanted: &[Wanted], existing: &[TargetColumn], registered: bool) -> Result<()> {
        let dialect = self.database.dialect();
        for column in wanted {
            let policy = if column.origin.is_none() { SchemaPolicy::Evolve } else { self.options.schema_change };
            let field = column.name.as_str();
            let Some(actual) = find(dialect, existing, field) else {
                match policy {
                    SchemaPolicy::Evolve => evolution::add_column(self, name, field, &column.sql)?,
                    SchemaPolicy::Ignore if !column.key => {}
                    _ => return Err(refused_change(name, &format!("column {field} is not in the target"))),
                }
                continue;
            };
            let held = holds(dialect, &actual.sql, &column.sql);
            let may_widen = registered && policy == SchemaPolicy::Evolve && !actual.primary_key && !column.altered;
            if may_widen && widens(dialect, &actual.sql, &column.sql) {
                evolution::widen_column(self, name, &actual.name, &column.sql)?;
                continue;
            }
            if held || column.altered && widens(dialect, &column.sql, &actual.sql) {
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

    /// A row is found by its key through an index; an existing table may lack it.
    fn require_unique_key(&mut self, name: &str, key: &[&str]) -> Result<()> {
        let dialect = self.database.dialect();
        let unique = read_unique(self.database, name)?;
        if dialect == Dialect::DuckDb || unique.iter().any(|set| same_names(set, key)) {
            return Ok(());
        }
        if let Some(drop) = key_index::drop_stale(dialect, name)? {
            self.ddl(&drop)?;
        }
        let sql = key_index::create(dialect, name, key, true)?;
        self.ddl(&sql).map_err(|error| {
            if !matches!(error.kind(), ErrorKind::Schema | ErrorKind::Data) {
                return error;
            }
            Error::new(ErrorKind::Schema, format!("table {name} cannot have an index on its key ({})", key.join(", ")))
                .with_source(error)
                .with_hint(
                    "remove rows with the same key from the target, set `mode: replace` to empty it first, or make the \
                     key's columns of a type that can be indexed",
                )
        })
    }

    /// An index that finds the versions of a key.
    fn index_key(&mut self, name: &str, key: &[&str], is_new: bool) -> Result<()> {
        let dialect = self.database.dialect();
        if dialect == Dialect::DuckDb || !is_new && key_index::is_there(self.database, name)? {
            return Ok(());
        }
        let sql = key_index::create(dialect, name, key, false)?;
        self.ddl(&sql)
    }

    /// MySQL compares texts by a collation. Keys that are two at the source must not be one in the target.
    fn require_distinct_keys(&self, table: &str, wanted: &[Wanted], existing: &[TargetColumn]) -> Result<()> {
        let dialect = self.database.dialect();
        for column in wanted.iter().filter(|column| column.key) {
            let Some(target) = find(dialect, existing, &column.name) else { continue };
            let Some(collation) = &target.collation else { continue };
            let exact = collation.ends_with("nopad_bin") || collation.ends_with("0900_bin") || collation == "binary";
            let as_source = column.field.metadata().get("source.collation") == Some(collation);
            let is_text = matches!(column.field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
            let uuid = collation == "ascii_bin";
            if is_text && !exact && !as_source && !uuid {
                let name = quote_ident(dialect, &target.name)?;
                return Err(Error::new(
                    ErrorKind::Schema,
                    format!(
                        "key column {} of {table} has collation {collation}, which takes different keys for one",
                        target.name
                    ),
                )
                .with_hint(format!(
                    "ALTER TABLE {} MODIFY {name} {} CHARACTER SET utf8mb4 COLLATE {} NOT NULL",
                    quote_ident(dialect, table)?,
                    target.sql,
                    super::mysql_type::binary_collation(dialect)
                )));
            }
        }
        Ok(())
    }
}

/// The key's columns by their names in the target, in key order.
fn key_names<'a>(relation: &Relation, wanted: &'a [Wanted]) -> Vec<&'a str> {
    let name = |index: &usize| wanted.iter().find(|column| column.origin == Some(*index)).map(|c| c.name.as_str());
    relation.key().iter().filter_map(name).collect()
}

/// The columns of a mode's own.
fn mode_columns(mode: Mode) -> Vec<(&'static str, DataType)> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    match mode {
        Mode::SoftDelete => vec![(DELETED_COLUMN, DataType::Boolean), (SYNCED_COLUMN, utc)],
        Mode::Scd2 => {
            vec![(VALID_FROM_COLUMN, utc.clone()), (VALID_TO_COLUMN, utc), (CURRENT_COLUMN, DataType::Boolean)]
        }
        _ => Vec::new(),
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
    let origins = kept.iter().filter(|column| column.origin.is_some());
    let renamed = |column: &&&Wanted| Arc::new(column.field.as_ref().clone().with_name(&column.name));
    let fields: Vec<Arc<Field>> = origins.clone().map(|column| renamed(&column)).collect();
    let key: Vec<&str> = relation
        .key()
        .iter()
        .filter_map(|index| kept.iter().find(|column| column.origin == Some(*index)).map(|column| column.name.as_str()))
        .collect();
    Relation::new(relation.name().clone(), Arc::new(Schema::new(fields)), &key, relation.version())
}

/// The column of that name, as the target compares names.
pub(super) fn find<'a>(dialect: Dialect, existing: &'a [TargetColumn], name: &str) -> Option<&'a TargetColumn> {
    existing.iter().find(|column| same_name(dialect, &column.name, name))
}

fn same_name(dialect: Dialect, a: &str, b: &str) -> bool {
    if dialect.folds_names() { a.eq_ignore_ascii_case(b) } else { a == b }
}

fn require_distinct_names(dialect: Dialect, table: &str, wanted: &[Wanted]) -> Result<()> {
    for (i, column) in wanted.iter().enumerate() {
        if let Some(other) = wanted[..i].iter().find(|other| same_name(dialect, &other.name, &column.name)) {
            let (one, two) = (&other.name, &column.name);
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{table} would have columns {one} and {two}, which {} takes for one", dialect.product()),
            )
            .with_hint("rename one of them with Mapping"));
        }
    }
    Ok(())
}

/// A column of others that needs a value would refuse every row.
fn require_no_others(dialect: Dialect, table: &str, wanted: &[Wanted], existing: &[TargetColumn]) -> Result<()> {
    let is_written = |name: &str| wanted.iter().any(|column| same_name(dialect, &column.name, name));
    // SQLite numbers rows by itself in a primary key that is left out.
    let by_itself = |column: &TargetColumn| column.has_default || dialect == Dialect::Sqlite && column.primary_key;
    let needed = existing.iter().find(|column| column.not_null && !by_itself(column) && !is_written(&column.name));
    match needed {
        None => Ok(()),
        Some(column) => Err(Error::new(
            ErrorKind::Schema,
            format!("column {} of {table} must not be NULL in the target, and nothing is written into it", column.name),
        )
        .with_hint("give the column a default or allow NULL, or add it with Mapping")),
    }
}
