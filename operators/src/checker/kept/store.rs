//! The state of the rules.
//!
//! Entries: `P` → the rules that remember; `N` → the number of the next table; `T name` → a table; `K table rule key` → the
//! row that has the key; `R table row` → its place; `S rule` → the types of a reference's values; `V rule value` → nothing.
//! Rules are numbered among those of their kind.

use aqueduct_model::{Change, Error, ErrorKind, OperatorContext, RelationName, Result, SchemaChange, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::place::{Place, damaged};
use crate::state::{Store, StoreSettings};

const RULES: &[u8] = b"P";
const NUMBER: &[u8] = b"N";
const TABLE: u8 = b'T';
const KEY: u8 = b'K';
const ROW: u8 = b'R';
const TYPES: u8 = b'S';
const VALUE: u8 = b'V';
/// So many entries are forgotten at a time.
const CHUNK: usize = 8_192;

/// What is kept of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::checker) struct Table {
    number: u32,
    /// What keys and places depend on.
    shape: String,
    /// How many rows it has.
    pub(in crate::checker) rows: i64,
}

/// See the module.
pub(in crate::checker) struct Kept {
    store: Store,
}

impl Kept {
    /// Goes on from a checkpoint, or begins; `rules` says what the state depends on, for each rule that remembers.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged, or is of other rules.
    pub(in crate::checker) fn open(
        context: &OperatorContext,
        state: Option<&State>,
        memory_bytes: usize,
        rules: &[String],
    ) -> Result<Self> {
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        let mut store = Store::open(settings, state)?;
        let now = written(&rules)?;
        match store.get(RULES)? {
            Some(before) if before == now => {}
            None if state.is_none() => store.put(RULES.to_vec(), now)?,
            _ => {
                let text = "the rules `unique`, `reference` and `row_count` are others than those of the checkpoint";
                return Err(Error::new(ErrorKind::State, text).with_setting("rules").with_hint(
                    "put them back in the same order, or start over with `aqueduct checkpoint reset`: they know only \
                     the rows that came since they were there",
                ));
            }
        }
        Ok(Self { store })
    }

    /// What is kept of a table; it is there from now on.
    ///
    /// # Errors
    /// `Schema` when its keys are of other columns now.
    pub(in crate::checker) fn table(&mut self, name: &RelationName, shape: &str) -> Result<Table> {
        if let Some(bytes) = self.store.get(&table_name(name)?)? {
            let table: Table = read(&bytes)?;
            if table.shape == shape {
                return Ok(table);
            }
            let text = format!("columns of {name} that a rule `unique` needs, or its key, are others now");
            return Err(Error::new(ErrorKind::Schema, text)
                .with_setting("rules")
                .with_hint("start over with `aqueduct checkpoint reset`, so that all rows are checked anew"));
        }
        let number = match self.store.get(NUMBER)? {
            Some(bytes) => bytes.try_into().map(u32::from_be_bytes).map_err(|_| damaged())?,
            None => 0,
        };
        self.store.put(NUMBER.to_vec(), (number + 1).to_be_bytes().to_vec())?;
        let table = Table { number, shape: shape.to_owned(), rows: 0 };
        self.put_table(name, &table)?;
        Ok(table)
    }

    /// Remembers how many rows a table has.
    pub(in crate::checker) fn put_table(&mut self, name: &RelationName, table: &Table) -> Result<()> {
        self.store.put(table_name(name)?, written(table)?)
    }

    /// All tables, each with its name.
    pub(in crate::checker) fn tables(&self) -> Result<Vec<(RelationName, Table)>> {
        let mut tables = Vec::new();
        self.store.scan(&[TABLE], |name, bytes| {
            tables.push((read(&name[1..])?, read(bytes)?));
            Ok(true)
        })?;
        Ok(tables)
    }

    /// Follows DDL: an emptied table has no rows, and its keys are free.
    pub(in crate::checker) fn follow(&mut self, change: &SchemaChange) -> Result<()> {
        let name = change.relation.name();
        let from = match &change.change {
            Change::RenameTable { from } => from,
            Change::Truncate | Change::DropTable => name,
            _ => return Ok(()),
        };
        let Some(bytes) = self.store.get(&table_name(from)?)? else { return Ok(()) };
        let mut table: Table = read(&bytes)?;
        match &change.change {
            Change::RenameTable { .. } => {
                self.store.remove(table_name(from)?)?;
                self.put_table(name, &table)
            }
            Change::Truncate => {
                self.forget(&table)?;
                table.rows = 0;
                self.put_table(from, &table)
            }
            _ => {
                self.forget(&table)?;
                self.store.remove(table_name(from)?)
            }
        }
    }

    fn forget(&mut self, table: &Table) -> Result<()> {
        for kind in [KEY, ROW] {
            let prefix = of_table(kind, table);
            loop {
                let mut some: Vec<Vec<u8>> = Vec::new();
                self.store.scan(&prefix, |name, _| {
                    some.push(name.to_vec());
                    Ok(some.len() < CHUNK)
                })?;
                if some.is_empty() {
                    break;
                }
                some.into_iter().try_for_each(|name| self.store.remove(name))?;
            }
        }
        Ok(())
    }

    /// The row that has a key of the table's rule `unique` of this number; empty in a table without a key.
    pub(in crate::checker) fn holder(&mut self, table: &Table, rule: usize, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(&key_name(table, rule, key))
    }

    /// What became of a row.
    pub(in crate::checker) fn place(&mut self, table: &Table, row: &[u8]) -> Result<Option<Place>> {
        self.store.get(&row_name(table, row))?.map(|bytes| Place::read(&bytes)).transpose()
    }

    /// Forgets a row and frees its keys.
    pub(in crate::checker) fn free(&mut self, table: &Table, row: &[u8], place: &Place) -> Result<()> {
        if let Place::Passed(keys) = place {
            for (rule, key) in keys.iter().enumerate() {
                if let Some(key) = key {
                    self.store.remove(key_name(table, rule, key))?;
                }
            }
        }
        self.store.remove(row_name(table, row))
    }

    /// Keeps a row's place, and with it its keys; a table without a key, whose rows never change, keeps the keys only.
    pub(in crate::checker) fn keep(&mut self, table: &Table, row: Option<&[u8]>, place: &Place) -> Result<()> {
        if let Place::Passed(keys) = place {
            for (rule, key) in keys.iter().enumerate() {
                if let Some(key) = key {
                    self.store.put(key_name(table, rule, key), row.unwrap_or_default().to_vec())?;
                }
            }
        }
        match row {
            Some(row) => self.store.put(row_name(table, row), place.write()),
            None => Ok(()),
        }
    }

    /// The types of the values that a rule `reference` was given, once it was given some.
    pub(in crate::checker) fn types(&mut self, rule: usize) -> Result<Option<String>> {
        self.store.get(&of_rule(TYPES, rule))?.map(|bytes| read(&bytes)).transpose()
    }

    /// Says of which types the values of a rule `reference` are.
    pub(in crate::checker) fn put_types(&mut self, rule: usize, types: &str) -> Result<()> {
        self.store.put(of_rule(TYPES, rule), written(&types)?)
    }

    /// Adds a value that rows may refer to.
    pub(in crate::checker) fn add(&mut self, rule: usize, value: &[u8]) -> Result<()> {
        self.store.put(value_name(rule, value), Vec::new())
    }

    /// True for a value that was added.
    pub(in crate::checker) fn has(&mut self, rule: usize, value: &[u8]) -> Result<bool> {
        Ok(self.store.get(&value_name(rule, value))?.is_some())
    }

    /// See [`Store::snapshot`].
    pub(in crate::checker) fn snapshot(&mut self) -> Result<State> {
        self.store.snapshot()
    }
}

fn written(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::bug("what rules remember cannot be written").with_source(error))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| damaged().with_source(error))
}

fn table_name(name: &RelationName) -> Result<Vec<u8>> {
    Ok([vec![TABLE], written(name)?].concat())
}

fn of_table(kind: u8, table: &Table) -> Vec<u8> {
    [[kind].as_slice(), table.number.to_be_bytes().as_slice()].concat()
}

fn key_name(table: &Table, rule: usize, key: &[u8]) -> Vec<u8> {
    [of_table(KEY, table).as_slice(), (rule as u32).to_be_bytes().as_slice(), key].concat()
}

fn row_name(table: &Table, row: &[u8]) -> Vec<u8> {
    [of_table(ROW, table).as_slice(), row].concat()
}

fn of_rule(kind: u8, rule: usize) -> Vec<u8> {
    [[kind].as_slice(), (rule as u32).to_be_bytes().as_slice()].concat()
}

fn value_name(rule: usize, value: &[u8]) -> Vec<u8> {
    [of_rule(VALUE, rule).as_slice(), value].concat()
}
