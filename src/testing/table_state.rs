//! The tables that changes make: what a target that applies them by key would hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Op, Relation, SchemaChange};
use arrow::datatypes::DataType;

use super::cell;
use super::recorder::Seen;

/// A value as text; `None` is NULL.
pub(crate) type Text = Option<String>;

/// A table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    relation: Arc<Relation>,
    /// The rows of a table with a key, by key.
    keyed: HashMap<Vec<Text>, Vec<Text>>,
    /// The rows of a table without one, in the order in which they came.
    rows: Vec<Vec<Text>>,
    /// The old row of an update whose new one comes next: what was not sent is taken from it.
    before: Option<Vec<Text>>,
}

/// All tables of a place, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables(pub(crate) BTreeMap<String, Table>);

impl Tables {
    /// Applies what was seen, in order.
    pub(crate) fn of(seen: &[Seen]) -> Self {
        let mut tables = Self::default();
        for seen in seen {
            match seen {
                Seen::Rows(batch) => tables.apply(batch),
                Seen::Schema(change) => tables.change(change),
                Seen::Refused(_) => {}
            }
        }
        tables
    }

    fn table(&mut self, relation: &Arc<Relation>) -> &mut Table {
        let table = self.0.entry(relation.name().to_string()).or_insert_with(|| Table::new(relation.clone()));
        if table.relation.columns() != relation.columns() || table.relation.key() != relation.key() {
            table.align(relation, None);
        }
        table
    }

    fn apply(&mut self, batch: &Batch) {
        let table = self.table(batch.relation());
        let columns: Vec<Vec<Text>> = batch.rows().columns().iter().map(cell::texts).collect();
        for row in 0..batch.num_rows() {
            let is_present = |column: usize| batch.present(column).is_none_or(|present| present.value(row));
            let values = columns.iter().enumerate().map(|(i, column)| is_present(i).then(|| column[row].clone()));
            table.apply(batch.op(row), values.collect());
        }
    }

    fn change(&mut self, change: &SchemaChange) {
        let name = change.relation.name().to_string();
        match &change.change {
            Change::DropTable => {
                self.0.remove(&name);
            }
            Change::Truncate => self.table(&change.relation).clear(),
            Change::RenameTable { from } => {
                if let Some(table) = self.0.remove(&from.to_string()) {
                    self.0.insert(name, table);
                }
                self.table(&change.relation);
            }
            Change::RenameColumn { from, to } => {
                let table = self.0.entry(name).or_insert_with(|| Table::new(change.relation.clone()));
                table.align(&change.relation, Some((from, to)));
            }
            _ => {
                self.table(&change.relation);
            }
        }
    }
}

impl Table {
    fn new(relation: Arc<Relation>) -> Self {
        Self { relation, keyed: HashMap::new(), rows: Vec::new(), before: None }
    }

    /// The names of the columns.
    pub(crate) fn columns(&self) -> Vec<&str> {
        self.relation.columns().fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// The type of a column.
    pub(crate) fn data_type(&self, column: &str) -> Option<&DataType> {
        self.relation.columns().field_with_name(column).ok().map(|field| field.data_type())
    }

    pub(crate) fn key(&self) -> &[usize] {
        self.relation.key()
    }

    /// The rows, in the order of their keys where there are any: numbers by size.
    pub(crate) fn rows(&self) -> Vec<Vec<Text>> {
        let mut rows: Vec<Vec<Text>> = self.keyed.values().chain(&self.rows).cloned().collect();
        let key = |row: &Vec<Text>| self.key().iter().map(|&i| Sortable::of(row[i].as_deref())).collect::<Vec<_>>();
        if !self.key().is_empty() {
            rows.sort_by_key(key);
        }
        rows
    }

    fn clear(&mut self) {
        self.keyed.clear();
        self.rows.clear();
    }

    /// Takes out the row that a change speaks of.
    fn take(&mut self, row: &[Option<Text>]) -> Option<Vec<Text>> {
        if !self.key().is_empty() {
            return self.keyed.remove(&self.key_of(row));
        }
        let same =
            |held: &Vec<Text>| row.iter().zip(held).all(|(text, held)| text.as_ref().is_none_or(|text| text == held));
        self.rows.iter().position(same).map(|at| self.rows.remove(at))
    }

    fn key_of(&self, row: &[Option<Text>]) -> Vec<Text> {
        self.key().iter().map(|&i| row[i].clone().flatten()).collect()
    }

    /// One change; values that were not sent are `None`.
    fn apply(&mut self, op: Op, row: Vec<Option<Text>>) {
        match op {
            Op::Delete | Op::UpdateBefore => {
                let held = self.take(&row);
                self.before = held.filter(|_| op == Op::UpdateBefore);
            }
            Op::Insert | Op::UpdateAfter => {
                let has_key = !self.key().is_empty();
                let replaced = if has_key { self.take(&row) } else { None };
                let old = self.before.take().or(replaced);
                let value = |(i, text): (usize, Option<Text>)| {
                    text.unwrap_or_else(|| old.as_ref().and_then(|old| old[i].clone()))
                };
                let key = self.key_of(&row);
                let row: Vec<Text> = row.into_iter().enumerate().map(value).collect();
                match has_key {
                    true => drop(self.keyed.insert(key, row)),
                    false => self.rows.push(row),
                }
            }
        }
    }

    /// The rows in the columns of a newer version of the table.
    fn align(&mut self, relation: &Arc<Relation>, renamed: Option<(&String, &String)>) {
        let old: Vec<String> = self.columns().into_iter().map(str::to_owned).collect();
        let origin = |name: &String| {
            let name = renamed.filter(|(_, to)| *to == name).map_or(name, |(from, _)| from);
            old.iter().position(|column| column == name)
        };
        let origins: Vec<Option<usize>> =
            relation.columns().fields().iter().map(|field| origin(field.name())).collect();
        let held = std::mem::take(&mut self.keyed).into_values().chain(std::mem::take(&mut self.rows));
        let held: Vec<Vec<Text>> = held.collect();
        self.relation = relation.clone();
        for row in held {
            let row = origins.iter().map(|origin| Some(origin.and_then(|origin| row[origin].clone())));
            self.apply(Op::Insert, row.collect());
        }
    }
}

/// Numbers by size, then texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sortable {
    Null,
    Number(i128),
    Text(String),
}

impl Sortable {
    fn of(text: Option<&str>) -> Self {
        match text {
            None => Self::Null,
            Some(text) => text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number),
        }
    }
}
