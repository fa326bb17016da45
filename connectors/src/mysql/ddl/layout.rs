//! A table's columns while an ALTER TABLE is at work, and the changes that come out of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, Relation, Result};
use arrow::datatypes::{Field, Schema};

use super::alter::AlterAction;
use super::apply::{ApplySettings, PRIMARY, SOURCE_KEY, field, is_same, unmarked};
use super::charset::CharsetDefault;
use super::column::{ColumnDefinition, Place};
use crate::cdc::capture::BACKFILLED;
use crate::mysql::column_type::{SOURCE_CHARSET, SOURCE_COLLATION, SOURCE_TYPE};

/// A column, and which of the table's old ones it was.
#[derive(Debug, Clone)]
struct Column {
    origin: Option<usize>,
    field: Field,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Layout {
    old: Vec<Field>,
    columns: Vec<Column>,
    /// Names of columns, in key order.
    key: Vec<String>,
    metadata: HashMap<String, String>,
}

/// A relation on the way, and the change that led there.
pub(super) type Step = (Arc<Relation>, Change);

impl Layout {
    /// The columns before the statement.
    pub fn of(relation: &Relation) -> Self {
        let old: Vec<Field> = relation.columns().fields().iter().map(|field| unmarked(field)).collect();
        let columns =
            old.iter().enumerate().map(|(i, field)| Column { origin: Some(i), field: field.clone() }).collect();
        let key = relation.key_names().into_iter().map(str::to_owned).collect();
        Self { old, columns, key, metadata: relation.columns().metadata().clone() }
    }

    /// The schema's own metadata.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The column that had this name before the statement: parts of one statement do not see each other's names.
    fn by_old_name(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.origin.is_some_and(|i| is_same(self.old[i].name(), name)))
    }

    fn by_name(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| is_same(column.field.name(), name))
    }

    /// First pass: what drops and changes columns where they are.
    ///
    /// # Errors
    /// `Schema` when the statement names a column that is not there.
    pub fn change_in_place(&mut self, action: &AlterAction, settings: &ApplySettings<'_>) -> Result<()> {
        match action {
            AlterAction::DropColumn { name } => {
                // `DROP COLUMN IF EXISTS` is not told from the other: the server ran the statement.
                if let Some(i) = self.by_old_name(name) {
                    let gone = self.columns.remove(i);
                    self.key.retain(|column| column != gone.field.name());
                }
            }
            AlterAction::ChangeColumn { from, column, .. } => {
                if let Some(i) = self.by_old_name(from) {
                    let default = self.default_charset();
                    let before = self.columns[i].field.name().clone();
                    let in_key = self.key.contains(&before);
                    self.columns[i].field = field(column, &default, in_key, settings);
                    self.rename_in_key(&before, &column.name);
                }
            }
            AlterAction::SetDefault { column, default } => {
                if let Some(i) = self.by_old_name(column) {
                    let field = &self.columns[i].field;
                    let mut metadata = field.metadata().clone();
                    let source_type = metadata.get(SOURCE_TYPE).cloned().unwrap_or_default();
                    default.keep(&source_type, &mut metadata);
                    self.columns[i].field = field.clone().with_metadata(metadata);
                }
            }
            AlterAction::RenameColumn { from, to } => {
                let i = self.by_old_name(from).ok_or_else(|| unknown_column(from))?;
                let before = self.columns[i].field.name().clone();
                self.columns[i].field = self.columns[i].field.clone().with_name(to);
                self.rename_in_key(&before, to);
            }
            AlterAction::ConvertCharset { charset, collation } => {
                let default =
                    self.default_charset().with(charset.as_deref(), collation.as_deref(), settings.dialect.mariadb);
                for column in &mut self.columns {
                    if column.field.metadata().contains_key(SOURCE_CHARSET) {
                        let mut metadata = column.field.metadata().clone();
                        set(&mut metadata, &default);
                        column.field = column.field.clone().with_metadata(metadata);
                    }
                }
                set(&mut self.metadata, &default);
            }
            AlterAction::DefaultCharset { charset, collation } => {
                let default =
                    self.default_charset().with(charset.as_deref(), collation.as_deref(), settings.dialect.mariadb);
                set(&mut self.metadata, &default);
            }
            AlterAction::DropPrimaryKey => {
                let is_primary = self.metadata.get(SOURCE_KEY).is_none_or(|name| name == PRIMARY);
                if is_primary {
                    self.key.clear();
                    self.metadata.remove(SOURCE_KEY);
                }
            }
            AlterAction::DropIndex { name } if self.metadata.get(SOURCE_KEY).is_some_and(|key| is_same(key, name)) => {
                self.key.clear();
                self.metadata.remove(SOURCE_KEY);
            }
            _ => {}
        }
        Ok(())
    }

    /// Second pass, in the statement's order: what adds and moves columns, and makes keys of them.
    ///
    /// # Errors
    /// `Schema` when the statement names a column that is not there.
    pub fn add_and_move(&mut self, action: &AlterAction, settings: &ApplySettings<'_>) -> Result<()> {
        match action {
            AlterAction::AddColumn { column, place, if_not_exists } => {
                if self.by_name(&column.name).is_some() && *if_not_exists {
                    return Ok(());
                }
                let added = self.added(column, settings);
                self.insert(Column { origin: None, field: added }, place.as_ref())
            }
            AlterAction::ChangeColumn { column, place: Some(place), .. } => match self.by_name(&column.name) {
                Some(i) => {
                    let moved = self.columns.remove(i);
                    self.insert(moved, Some(place))
                }
                None => Ok(()),
            },
            AlterAction::AddPrimaryKey { columns } => self.set_key(PRIMARY, columns),
            AlterAction::AddUnique { name, columns } => {
                let is_nullable =
                    |name: &String| self.by_name(name).is_none_or(|i| self.columns[i].field.is_nullable());
                if !self.key.is_empty() || columns.is_empty() || columns.iter().any(is_nullable) {
                    return Ok(());
                }
                self.set_key(name.as_ref().unwrap_or(&columns[0]), columns)
            }
            _ => Ok(()),
        }
    }

    fn added(&self, column: &ColumnDefinition, settings: &ApplySettings<'_>) -> Field {
        let field = field(column, &self.default_charset(), false, settings);
        if column.fills_rows { backfilled(field) } else { field }
    }

    fn insert(&mut self, column: Column, place: Option<&Place>) -> Result<()> {
        let at = match place {
            None => self.columns.len(),
            Some(Place::First) => 0,
            Some(Place::After(name)) => {
                1 + self.by_name(name).or_else(|| self.by_old_name(name)).ok_or_else(|| unknown_column(name))?
            }
        };
        self.columns.insert(at, column);
        Ok(())
    }

    fn set_key(&mut self, name: &str, columns: &[String]) -> Result<()> {
        let mut key = Vec::with_capacity(columns.len());
        for column in columns {
            let i = self.by_name(column).ok_or_else(|| unknown_column(column))?;
            if name == PRIMARY {
                self.columns[i].field = self.columns[i].field.clone().with_nullable(false);
            }
            key.push(self.columns[i].field.name().clone());
        }
        self.key = key;
        self.metadata.insert(SOURCE_KEY.to_owned(), name.to_owned());
        Ok(())
    }

    fn rename_in_key(&mut self, from: &str, to: &str) {
        for column in &mut self.key {
            if column == from {
                to.clone_into(column);
            }
        }
    }

    /// The table's default; where that is not known, what all its texts have.
    fn default_charset(&self) -> CharsetDefault {
        if let Some(charset) = self.metadata.get(SOURCE_CHARSET) {
            let collation = self.metadata.get(SOURCE_COLLATION).cloned();
            return CharsetDefault { charset: Some(charset.clone()), collation };
        }
        let mut common: Option<CharsetDefault> = None;
        for column in &self.columns {
            let metadata = column.field.metadata();
            let Some(charset) = metadata.get(SOURCE_CHARSET) else { continue };
            let own =
                CharsetDefault { charset: Some(charset.clone()), collation: metadata.get(SOURCE_COLLATION).cloned() };
            match &common {
                None => common = Some(own),
                Some(other) if other.charset == own.charset => {}
                Some(_) => return CharsetDefault::default(),
            }
        }
        common.unwrap_or_default()
    }

    /// The changes from the columns before to those now, each with the relation that it leads to: columns go, are
    /// renamed, come, are altered.
    ///
    /// # Errors
    /// `Schema` when two columns have one name.
    pub fn steps(&self, relation: &Relation) -> Result<Vec<Step>> {
        let mut names = HashSet::new();
        if let Some(twice) = self.columns.iter().find(|column| !names.insert(column.field.name().to_lowercase())) {
            return Err(two_columns(twice.field.name()));
        }
        let mut steps = Steps { relation, metadata: &self.metadata, steps: Vec::new() };
        let mut key: Vec<String> = relation.key_names().into_iter().map(str::to_owned).collect();
        let stays = |i: usize| self.columns.iter().find(|column| column.origin == Some(i));
        let mut current: Vec<(usize, Field)> =
            self.old.iter().cloned().enumerate().filter(|(i, _)| stays(*i).is_some()).collect();
        let dropped: Vec<String> =
            (0..self.old.len()).filter(|i| stays(*i).is_none()).map(|i| self.old[i].name().clone()).collect();
        if !dropped.is_empty() {
            key.retain(|name| !dropped.contains(name));
            steps.push(current.iter().map(|(_, field)| field.clone()), &key, Change::DropColumns(dropped))?;
        }
        self.rename_steps(&mut current, &mut key, &mut steps)?;
        let as_before = |column: &Column| match column.origin {
            Some(origin) => current.iter().find(|(i, _)| *i == origin).map(|(_, field)| field.clone()),
            None => Some(column.field.clone()),
        };
        let before: Vec<Field> = self.columns.iter().filter_map(as_before).collect();
        let added: Vec<String> = self.columns.iter().filter(|c| c.origin.is_none()).map(name_of).collect();
        let is_moved = added.is_empty() && !before.iter().map(Field::name).eq(current.iter().map(|(_, f)| f.name()));
        if !added.is_empty() {
            steps.push(before.iter().cloned(), &key, Change::AddColumns(added))?;
        }
        let mut altered: Vec<String> = self
            .columns
            .iter()
            .zip(&before)
            .filter(|(column, before)| column.field != **before)
            .map(|(c, _)| name_of(c))
            .collect();
        if key != self.key {
            let keys = self.key.iter().chain(&key).filter(|name| !altered.contains(name)).cloned().collect::<Vec<_>>();
            for name in keys {
                if !altered.contains(&name) {
                    altered.push(name);
                }
            }
        }
        if altered.is_empty() && is_moved {
            altered = self.columns.iter().map(name_of).collect();
        }
        if !altered.is_empty() {
            let now = self.columns.iter().map(|column| column.field.clone());
            steps.push(now, &self.key, Change::AlterColumns(altered))?;
        }
        Ok(steps.steps)
    }

    /// Renames one by one; names that are swapped go by way of a third one.
    fn rename_steps(&self, current: &mut [(usize, Field)], key: &mut [String], steps: &mut Steps<'_>) -> Result<()> {
        let target = |origin: usize| {
            self.columns.iter().find(|column| column.origin == Some(origin)).map(|column| column.field.name().clone())
        };
        loop {
            let pending: Vec<(usize, String)> = current
                .iter()
                .enumerate()
                .filter_map(|(at, (origin, field))| target(*origin).filter(|to| to != field.name()).map(|to| (at, to)))
                .collect();
            let Some((first, first_to)) = pending.first() else { return Ok(()) };
            let is_free = |at: usize, to: &str| {
                current.iter().enumerate().all(|(i, (_, field))| i == at || !is_same(field.name(), to))
            };
            let (at, to) = match pending.iter().find(|(at, to)| is_free(*at, to)) {
                Some((at, to)) => (*at, to.clone()),
                None => {
                    let mut aside = format!("{first_to}_renamed");
                    while !is_free(*first, &aside) {
                        aside.push('_');
                    }
                    (*first, aside)
                }
            };
            let from = current[at].1.name().clone();
            current[at].1 = current[at].1.clone().with_name(&to);
            for name in key.iter_mut().filter(|name| **name == from) {
                name.clone_from(&to);
            }
            steps.push(current.iter().map(|(_, field)| field.clone()), key, Change::RenameColumn { from, to })?;
        }
    }
}

struct Steps<'a> {
    relation: &'a Relation,
    metadata: &'a HashMap<String, String>,
    steps: Vec<Step>,
}

impl Steps<'_> {
    fn push(&mut self, fields: impl Iterator<Item = Field>, key: &[String], change: Change) -> Result<()> {
        let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), self.metadata.clone());
        let version = self.relation.version() + 1 + u32::try_from(self.steps.len()).unwrap_or(u32::MAX / 2);
        let relation = Relation::new(self.relation.name().clone(), Arc::new(schema), key, version)?;
        self.steps.push((Arc::new(relation), change));
        Ok(())
    }
}

fn name_of(column: &Column) -> String {
    column.field.name().clone()
}

fn backfilled(field: Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(BACKFILLED.to_owned(), "true".to_owned());
    field.with_metadata(metadata)
}

fn set(metadata: &mut HashMap<String, String>, default: &CharsetDefault) {
    for (name, value) in [(SOURCE_CHARSET, &default.charset), (SOURCE_COLLATION, &default.collation)] {
        if let Some(value) = value {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
}

fn two_columns(name: &str) -> Error {
    Error::new(ErrorKind::Schema, format!("a statement in the log gives two columns the name {name}"))
        .with_hint("no server does that: take a new snapshot of this table")
}

fn unknown_column(name: &str) -> Error {
    Error::new(ErrorKind::Schema, format!("a statement in the log names column {name}, which the table has not"))
        .with_hint("the table is not as the log left it: take a new snapshot of this table")
}

/// The changes that lead from one relation to another of the same table, columns told by their names: what a table
/// became that was replaced by another under its name.
///
/// # Errors
/// `Schema` as [`Layout::steps`].
pub(crate) fn difference(old: &Relation, new: &Relation) -> Result<Vec<Step>> {
    let mut layout = Layout::of(old);
    let find = |name: &str| layout.old.iter().position(|field| is_same(field.name(), name));
    let column = |field: &Field| match find(field.name()) {
        origin @ Some(_) => Column { origin, field: unmarked(field) },
        // The rows were copied, and may have any value in it.
        None => Column { origin: None, field: backfilled(field.clone()) },
    };
    layout.columns = new.columns().fields().iter().map(|field| column(field)).collect();
    layout.key = new.key_names().into_iter().map(str::to_owned).collect();
    layout.metadata = new.columns().metadata().clone();
    layout.steps(old)
}
