//! What DDL does to the relations that are known.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Change, Relation, RelationName, Result, SchemaChange};
use arrow::datatypes::{Field, Schema};

use super::alter::AlterAction;
use super::charset::CharsetDefault;
use super::column::ColumnDefinition;
use super::create::{Definition, TableDefinition};
use super::layout::Layout;
use super::lexer::Dialect;
use super::statement::TableDdl;
use crate::mysql::column_type::{ColumnSpec, SOURCE_CHARSET, SOURCE_COLLATION};
use crate::mysql::rows::ZeroDates;

pub(super) use crate::mysql::column_type::SOURCE_KEY;

/// How the servers call the primary key.
pub(super) const PRIMARY: &str = "PRIMARY";

/// The tables that are known at the statement's place in the log.
pub(crate) trait KnownTables {
    /// A table's relation, captured or not; `None` when it is not known.
    fn relation(&self, table: &RelationName) -> Option<Arc<Relation>>;

    /// The names of a database's tables that are known.
    fn tables_of(&self, database: &str) -> Vec<RelationName>;

    /// What texts of new tables have in this database.
    fn charset_of(&self, database: &str) -> CharsetDefault;
}

/// What a statement does, in order.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    /// A table has another shape, is new, is gone, or lost all its rows. Its version is one higher each time.
    Change(SchemaChange),
    /// Only what new columns will be like is another: to be remembered in place of what was known.
    Remember(Arc<Relation>),
    /// A table of that name exists now, but the log does not say what its columns are: LIKE or RENAME of an unknown
    /// table, CREATE … SELECT. The server has to be asked.
    Undescribed(RelationName),
    /// A table got a foreign key by which the server changes its rows, which older servers do not log.
    Cascades {
        table: RelationName,
        /// The key's name, where the statement gives one.
        key: Option<String>,
    },
    /// Rows came or went that are not in the log.
    MovesRows {
        table: RelationName,
        /// `TRUNCATE PARTITION`
        what: &'static str,
    },
}

/// How columns become fields, and what to write into the changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ApplySettings<'a> {
    pub dialect: Dialect,
    pub zero_dates: ZeroDates,
    /// The statement's text.
    pub statement: &'a str,
}

/// Applies statements about tables. Tables that are not known are passed over, except where they get a name that may
/// be wanted.
///
/// # Errors
/// `Schema` when the result is no table: the statement does not fit what is known.
pub(crate) fn apply(ddl: &[TableDdl], known: &dyn KnownTables, settings: &ApplySettings<'_>) -> Result<Vec<Effect>> {
    let mut work = Work { known, settings, changed: BTreeMap::new(), effects: Vec::new() };
    for one in ddl {
        work.apply(one)?;
    }
    Ok(work.effects)
}

struct Work<'a> {
    known: &'a dyn KnownTables,
    settings: &'a ApplySettings<'a>,
    /// What earlier parts of the statement did: `None` for a table that is gone, or not known any more.
    changed: BTreeMap<RelationName, Option<Arc<Relation>>>,
    effects: Vec<Effect>,
}

impl Work<'_> {
    fn relation(&self, table: &RelationName) -> Option<Arc<Relation>> {
        self.changed.get(table).cloned().unwrap_or_else(|| self.known.relation(table))
    }

    fn apply(&mut self, ddl: &TableDdl) -> Result<()> {
        match ddl {
            TableDdl::Create { table, definition, if_not_exists, or_replace } => {
                let exists = self.relation(table);
                match (exists, if_not_exists) {
                    (Some(_), true) => return Ok(()),
                    (Some(relation), false) if *or_replace => self.drop(relation),
                    _ => {}
                }
                self.create(table, definition)
            }
            TableDdl::Drop { table } => {
                if let Some(relation) = self.relation(table) {
                    self.drop(relation);
                }
                Ok(())
            }
            TableDdl::DropDatabase { database } => {
                for table in self.known.tables_of(database) {
                    if let Some(relation) = self.relation(&table) {
                        self.drop(relation);
                    }
                }
                Ok(())
            }
            TableDdl::Rename { from, to } => {
                self.rename(from, to);
                Ok(())
            }
            TableDdl::Truncate { table } => {
                if let Some(relation) = self.relation(table) {
                    self.change(relation, Change::Truncate);
                }
                Ok(())
            }
            TableDdl::Alter { table, actions } => self.alter(table, actions),
        }
    }

    fn change(&mut self, relation: Arc<Relation>, change: Change) {
        let statement = Some(self.settings.statement.to_owned());
        self.changed.insert(relation.name().clone(), Some(relation.clone()));
        self.effects.push(Effect::Change(SchemaChange { relation, change, statement }));
    }

    fn drop(&mut self, relation: Arc<Relation>) {
        let name = relation.name().clone();
        self.change(relation, Change::DropTable);
        self.changed.insert(name, None);
    }

    fn rename(&mut self, from: &RelationName, to: &RelationName) {
        let Some(relation) = self.relation(from) else {
            self.changed.insert(to.clone(), None);
            self.effects.push(Effect::Undescribed(to.clone()));
            return;
        };
        let renamed = Arc::new(newer(&relation.renamed(to.clone())));
        self.changed.insert(from.clone(), None);
        self.change(renamed, Change::RenameTable { from: from.clone() });
    }

    fn create(&mut self, table: &RelationName, definition: &TableDefinition) -> Result<()> {
        let relation = match definition {
            TableDefinition::Columns(definition) => Some(self.relation_from(table, definition)?),
            TableDefinition::Like(other) => {
                self.relation(other).map(|other| with_version(&without_marks(&other).renamed(table.clone()), 1))
            }
            TableDefinition::Query => None,
        };
        match relation {
            Some(relation) => self.change(Arc::new(relation), Change::CreateTable),
            None => {
                self.changed.insert(table.clone(), None);
                self.effects.push(Effect::Undescribed(table.clone()));
            }
        }
        Ok(())
    }

    fn relation_from(&self, table: &RelationName, definition: &Definition) -> Result<Relation> {
        let database = self.known.charset_of(table.schema.as_deref().unwrap_or_default());
        let default = database.with(
            definition.charset.as_deref(),
            definition.collation.as_deref(),
            self.settings.dialect.mariadb,
        );
        let mut fields = Vec::with_capacity(definition.columns.len());
        for column in &definition.columns {
            let in_key = definition.primary_key.iter().any(|name| is_same(name, &column.name));
            let field = self.field(column, &default, in_key);
            fields.push(field);
        }
        let (key_name, key) = key_of(definition, &fields);
        let metadata = table_metadata(&default, key_name);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        Relation::new(table.clone(), schema, &key, 1)
    }

    fn field(&self, column: &ColumnDefinition, default: &CharsetDefault, in_key: bool) -> Field {
        field(column, default, in_key, self.settings)
    }

    fn alter(&mut self, table: &RelationName, actions: &[AlterAction]) -> Result<()> {
        for action in actions {
            if let AlterAction::MovesRows { what, with } = action {
                let tables = [Some(table), with.as_ref()];
                let moves = tables.into_iter().flatten().cloned().map(|table| Effect::MovesRows { table, what });
                self.effects.extend(moves);
            }
            if let AlterAction::AddCascade { name } = action {
                self.effects.push(Effect::Cascades { table: table.clone(), key: name.clone() });
            }
        }
        if let Some(relation) = self.relation(table) {
            let mut layout = Layout::of(&relation);
            for action in actions {
                layout.change_in_place(action, self.settings)?;
            }
            for action in actions {
                layout.add_and_move(action, self.settings)?;
            }
            let steps = layout.steps(&relation)?;
            let is_quiet = steps.is_empty();
            for (relation, change) in steps {
                self.change(relation, change);
            }
            if is_quiet {
                self.remember(&relation, &layout)?;
            }
        }
        for action in actions {
            if let AlterAction::RenameTable { to } = action
                && to != table
            {
                self.rename(table, to);
            }
        }
        Ok(())
    }

    /// Keeps a new default character set, which changes no column.
    fn remember(&mut self, relation: &Arc<Relation>, layout: &Layout) -> Result<()> {
        if *layout.metadata() == *relation.columns().metadata() {
            return Ok(());
        }
        let schema = Schema::new_with_metadata(relation.columns().fields().clone(), layout.metadata().clone());
        let names = relation.key_names();
        let same = Relation::new(relation.name().clone(), Arc::new(schema), &names, relation.version())?;
        let same = Arc::new(same);
        self.changed.insert(relation.name().clone(), Some(same.clone()));
        self.effects.push(Effect::Remember(same));
        Ok(())
    }
}

/// The field of a defined column.
pub(super) fn field(
    column: &ColumnDefinition,
    default: &CharsetDefault,
    in_key: bool,
    settings: &ApplySettings<'_>,
) -> Field {
    let declared = &column.declared;
    let text = declared.is_text.then(|| {
        let collation = column.collation.as_deref().or(declared.collation);
        default.with(declared.charset.as_deref(), collation, settings.dialect.mariadb)
    });
    let text = text.unwrap_or_default();
    let spec = ColumnSpec {
        name: column.name.clone(),
        source_type: declared.text.clone(),
        nullable: column.nullable && !in_key,
        charset: text.charset,
        collation: text.collation,
        generated: column.generated.map(str::to_owned),
        default: column.default.clone(),
    };
    spec.field(settings.zero_dates)
}

/// True for names of columns that are one to the servers.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// The primary key, or the shortest unique index without NULLs, as `mysql::table` chooses it.
fn key_of(definition: &Definition, fields: &[Field]) -> (Option<String>, Vec<String>) {
    let own_names = |columns: &[String]| -> Option<Vec<String>> {
        columns
            .iter()
            .map(|name| fields.iter().find(|field| is_same(field.name(), name)).map(|field| field.name().clone()))
            .collect()
    };
    if !definition.primary_key.is_empty() {
        return (Some(PRIMARY.to_owned()), own_names(&definition.primary_key).unwrap_or_default());
    }
    let is_nullable = |name: &String| {
        definition.columns.iter().find(|column| is_same(&column.name, name)).is_none_or(|column| column.nullable)
    };
    let mut candidates: Vec<(String, Vec<String>)> = definition
        .unique
        .iter()
        .filter(|(_, columns)| !columns.is_empty() && !columns.iter().any(is_nullable))
        .filter_map(|(name, columns)| Some((name.clone().unwrap_or_else(|| columns[0].clone()), own_names(columns)?)))
        .collect();
    candidates.sort_by(|one, other| (one.1.len(), &one.0).cmp(&(other.1.len(), &other.0)));
    candidates.into_iter().next().map_or((None, Vec::new()), |(name, columns)| (Some(name), columns))
}

fn table_metadata(default: &CharsetDefault, key: Option<String>) -> HashMap<String, String> {
    let entries =
        [(SOURCE_CHARSET, default.charset.clone()), (SOURCE_COLLATION, default.collation.clone()), (SOURCE_KEY, key)];
    entries.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The same relation, one version later.
fn newer(relation: &Relation) -> Relation {
    with_version(relation, relation.version() + 1)
}

fn with_version(relation: &Relation, version: u32) -> Relation {
    let key = relation.key_names();
    Relation::new(relation.name().clone(), relation.columns().clone(), &key, version)
        .expect("the columns and key are those of a relation")
}

/// The relation without what is said of one change only.
pub(super) fn without_marks(relation: &Relation) -> Relation {
    let fields: Vec<Field> = relation.columns().fields().iter().map(|field| unmarked(field)).collect();
    let schema = Schema::new_with_metadata(fields, relation.columns().metadata().clone());
    let origins: Vec<_> = (0..relation.columns().fields().len()).map(Some).collect();
    relation.derive(Arc::new(schema), &origins)
}

/// A field without what is said of one change only.
pub(super) fn unmarked(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.remove(crate::cdc::capture::BACKFILLED);
    field.clone().with_metadata(metadata)
}
