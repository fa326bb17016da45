//! The keys that were seen, by table, each with when and a value; forgotten behind a horizon.
//!
//! Entries of the state: `T table` → its number, shape and clock; `K number key` → clock and value; `E number clock key`
//! for what is forgotten in time.

use std::sync::Arc;

use aqueduct_model::{Change, Error, ErrorKind, OperatorContext, Relation, RelationName, Result, SchemaChange, State};
use serde::{Deserialize, Serialize};

use super::bound::Bound;
use crate::kept_relation::KeptRelation;
use crate::state::{Store, StoreSettings};

const TABLE: u8 = b'T';
const NUMBER: &[u8] = b"N";
const KEY: u8 = b'K';
const EXPIRY: u8 = b'E';
/// So many entries are looked at at a time.
const CHUNK: usize = 8_192;

/// Values that are kept, and the key of the last of them, if there may be more.
pub(crate) type Kept = (Vec<Vec<u8>>, Option<Vec<u8>>);

/// What is kept of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    number: u32,
    shape: String,
    /// The table, where whole rows are kept.
    relation: Option<KeptRelation>,
    /// What time it is: the greatest that was seen, or the number of rows.
    pub(crate) clock: i64,
}

/// What is kept of a key: when it came, and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) clock: i64,
    pub(crate) value: Vec<u8>,
}

/// See the module.
pub(crate) struct Seen {
    store: Store,
    horizon: Option<i64>,
}

impl Seen {
    /// Goes on from a checkpoint, or begins.
    ///
    /// # Errors
    /// `State` when what the checkpoint names is gone or damaged.
    pub(crate) fn open(
        context: &OperatorContext,
        state: Option<&State>,
        memory_bytes: usize,
        horizon: Option<i64>,
    ) -> Result<Self> {
        let settings = StoreSettings { folder: context.state_dir.clone(), memory_bytes };
        Ok(Self { store: Store::open(settings, state)?, horizon })
    }

    /// What is kept of a table; it is there from now on.
    ///
    /// # Errors
    /// `Schema` when what is kept of it is of other columns.
    pub(crate) fn table(&mut self, bound: &Bound) -> Result<Table> {
        let (name, shape) = (bound.relation().name(), bound.shape.as_str());
        if let Some(bytes) = self.store.get(&table_key(name)?)? {
            let mut table: Table = serde_json::from_slice(&bytes).map_err(|error| damaged().with_source(error))?;
            if table.shape != shape {
                let text = format!("the columns of {name} that tell its rows apart have other types now");
                return Err(Error::new(ErrorKind::Schema, text)
                    .with_hint("put `by` back, or start over with `aqueduct checkpoint reset`"));
            }
            // Columns may have been renamed since.
            table.relation.clone_from(&bound.kept);
            return Ok(table);
        }
        let number = self.store.get(NUMBER)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
        self.store.put(NUMBER.to_vec(), (number + 1).to_be_bytes().to_vec())?;
        let table = Table { number, shape: shape.to_owned(), relation: bound.kept.clone(), clock: i64::MIN };
        self.put_table(name, &table)?;
        Ok(table)
    }

    /// Remembers a table's clock.
    pub(crate) fn put_table(&mut self, name: &RelationName, table: &Table) -> Result<()> {
        let bytes =
            serde_json::to_vec(table).map_err(|error| Error::bug("a state cannot be written").with_source(error))?;
        self.store.put(table_key(name)?, bytes)
    }

    /// All tables of which whole rows are kept.
    ///
    /// # Errors
    /// `State` when what is kept is damaged.
    pub(crate) fn tables(&self) -> Result<Vec<(Table, Arc<Relation>)>> {
        let mut tables = Vec::new();
        self.store.scan(&[TABLE], |_, bytes| {
            let table: Table = serde_json::from_slice(bytes).map_err(|error| damaged().with_source(error))?;
            if let Some(relation) = &table.relation {
                let relation = relation.relation()?;
                tables.push((table, relation));
            }
            Ok(true)
        })?;
        Ok(tables)
    }

    /// Moves what is kept of a table to its new name.
    fn rename(&mut self, from: &RelationName, to: &Relation) -> Result<()> {
        let Some(bytes) = self.store.get(&table_key(from)?)? else { return Ok(()) };
        let mut table: Table = serde_json::from_slice(&bytes).map_err(|error| damaged().with_source(error))?;
        if table.relation.is_some() {
            table.relation = Some(KeptRelation::of(to)?);
        }
        self.store.remove(table_key(from)?)?;
        self.put_table(to.name(), &table)
    }

    /// Follows DDL: of an emptied table nothing was seen.
    pub(crate) fn follow(&mut self, change: &SchemaChange) -> Result<()> {
        match &change.change {
            Change::RenameTable { from } => self.rename(from, &change.relation),
            Change::Truncate | Change::DropTable => self.forget(change.relation.name()),
            _ => Ok(()),
        }
    }

    /// Forgets a table.
    fn forget(&mut self, name: &RelationName) -> Result<()> {
        let Some(bytes) = self.store.get(&table_key(name)?)? else { return Ok(()) };
        let table: Table = serde_json::from_slice(&bytes).map_err(|error| damaged().with_source(error))?;
        for kind in [KEY, EXPIRY] {
            let prefix = prefix(kind, &table);
            loop {
                let keys: Vec<Vec<u8>> = self.chunk(&prefix, &prefix)?.into_iter().map(|(key, _)| key).collect();
                if keys.is_empty() {
                    break;
                }
                keys.into_iter().try_for_each(|key| self.store.remove(key))?;
            }
        }
        self.store.remove(table_key(name)?)
    }

    /// What is kept of a key, be it behind the horizon or not.
    pub(crate) fn get(&mut self, table: &Table, key: &[u8]) -> Result<Option<Found>> {
        self.store.get(&name(KEY, table, key))?.map(found).transpose()
    }

    /// True when it is so long ago that it does not count any more.
    pub(crate) fn is_over(&self, table: &Table, found: &Found) -> bool {
        self.horizon.is_some_and(|horizon| found.clock.saturating_add(horizon) <= table.clock)
    }

    /// Keeps a key as of now, in the place of what was kept of it.
    pub(crate) fn put(&mut self, table: &Table, key: &[u8], before: Option<&Found>, value: &[u8]) -> Result<()> {
        let mut bytes = table.clock.to_be_bytes().to_vec();
        bytes.extend_from_slice(value);
        self.store.put(name(KEY, table, key), bytes)?;
        if self.horizon.is_some() && before.is_none_or(|before| before.clock != table.clock) {
            if let Some(before) = before {
                self.store.remove(expiry(table, before.clock, key))?;
            }
            self.store.put(expiry(table, table.clock, key), Vec::new())?;
        }
        Ok(())
    }

    /// Changes the value of a key, as of when it came.
    pub(crate) fn change(&mut self, table: &Table, key: &[u8], found: &Found) -> Result<()> {
        let mut bytes = found.clock.to_be_bytes().to_vec();
        bytes.extend_from_slice(&found.value);
        self.store.put(name(KEY, table, key), bytes)
    }

    /// Forgets some of what is behind the horizon, the oldest first, and gives its values; none when there is no more.
    pub(crate) fn expire(&mut self, table: &Table) -> Result<Vec<Vec<u8>>> {
        let Some(horizon) = self.horizon else { return Ok(Vec::new()) };
        let prefix = prefix(EXPIRY, table);
        let mut over: Vec<Vec<u8>> = Vec::new();
        self.store.scan(&prefix, |key, _| {
            let clock = key.get(prefix.len()..prefix.len() + 8).and_then(|bytes| bytes.try_into().ok());
            let clock = unordered(clock.map(u64::from_be_bytes).ok_or_else(damaged)?);
            let is_over = clock.saturating_add(horizon) <= table.clock;
            if is_over {
                over.push(key.to_vec());
            }
            Ok(is_over && over.len() < CHUNK)
        })?;
        let mut values = Vec::new();
        for expiry in over {
            let key = name(KEY, table, &expiry[prefix.len() + 8..]);
            let kept = self.store.get(&key)?.ok_or_else(damaged)?;
            values.push(found(kept)?.value);
            self.store.remove(key)?;
            self.store.remove(expiry)?;
        }
        Ok(values)
    }

    /// Some of what is kept of a table, behind the key that the last call gave: values, and the key of the last of them.
    pub(crate) fn values(&self, table: &Table, behind: Option<Vec<u8>>) -> Result<Kept> {
        let prefix = prefix(KEY, table);
        let from = behind.map_or_else(
            || prefix.clone(),
            |mut behind| {
                // The first key behind it.
                behind.push(0);
                behind
            },
        );
        let chunk = self.chunk(&prefix, &from)?;
        let last = chunk.last().map(|(key, _)| key.clone());
        let values =
            chunk.into_iter().map(|(_, value)| found(value).map(|found| found.value)).collect::<Result<_>>()?;
        Ok((values, last))
    }

    fn chunk(&self, prefix: &[u8], from: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut entries = Vec::new();
        self.store.scan_from(prefix, from, |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            Ok(entries.len() < CHUNK)
        })?;
        Ok(entries)
    }

    /// See [`Store::snapshot`].
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        self.store.snapshot()
    }
}

fn table_key(name: &RelationName) -> Result<Vec<u8>> {
    let mut key = vec![TABLE];
    serde_json::to_writer(&mut key, name).map_err(|error| Error::bug("a name cannot be written").with_source(error))?;
    Ok(key)
}

fn prefix(kind: u8, table: &Table) -> Vec<u8> {
    let mut prefix = vec![kind];
    prefix.extend(table.number.to_be_bytes());
    prefix
}

fn name(kind: u8, table: &Table, key: &[u8]) -> Vec<u8> {
    let mut name = prefix(kind, table);
    name.extend_from_slice(key);
    name
}

fn expiry(table: &Table, clock: i64, key: &[u8]) -> Vec<u8> {
    let mut name = prefix(EXPIRY, table);
    name.extend(ordered(clock).to_be_bytes());
    name.extend_from_slice(key);
    name
}

/// Numbers whose bytes are in the order of the clock.
fn ordered(clock: i64) -> u64 {
    (clock as u64) ^ (1 << 63)
}

fn unordered(ordered: u64) -> i64 {
    (ordered ^ (1 << 63)) as i64
}

fn found(bytes: Vec<u8>) -> Result<Found> {
    let (clock, value) = bytes.split_at_checked(8).ok_or_else(damaged)?;
    let clock = clock.try_into().map(i64::from_be_bytes).map_err(|_| damaged())?;
    Ok(Found { clock, value: value.to_vec() })
}

fn damaged() -> Error {
    Error::new(ErrorKind::State, "what is kept of seen rows is damaged, or of another version")
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}
