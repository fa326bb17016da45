//! The line in which rows, DDL and watermarks wait.
//!
//! Entries of the state: `H` → where the line begins and ends; `R number` → a relation; `E number` → what waits.

use std::sync::Arc;

use aqueduct_model::{OperatorContext, Relation, Result, State, Watermark};
use serde::{Deserialize, Serialize};

use super::entry::{self, Due, Entry, damaged};
use super::marks::Marks;
use crate::kept_relation;
use crate::state::{Store, StoreSettings};

const HEAD: &[u8] = b"H";
const RELATION: u8 = b'R';
const ENTRY: u8 = b'E';

/// Where the line begins and ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The number of the entry that leaves first.
    front: u64,
    /// The number of the next one that comes.
    next: u64,
    /// Those below this number have a checkpoint that says that they leave.
    pub(super) named: u64,
    next_relation: u32,
    pub(super) marks: Marks,
    /// By when the last row may leave, in event time.
    pub(super) due_ms: i64,
    /// The last watermark that came.
    pub(super) watermark_ms: Option<i64>,
}

/// See the module.
pub(super) struct Line {
    pub(super) head: Head,
    store: Store,
    relations: Vec<(Arc<Relation>, u32)>,
    /// The first entry, once it was looked at.
    first: Option<Entry>,
    /// The last entry is a watermark: the next one takes its place.
    ends_with_watermark: bool,
}

impl Line {
    /// The line as it was when a checkpoint was made; empty without one.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn open(context: &OperatorContext, state: Option<&State>, memory_bytes: usize) -> Result<Self> {
        let mut store = Store::open(StoreSettings { folder: context.state_dir.clone(), memory_bytes }, state)?;
        let head = match store.get(HEAD)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| damaged().with_source(error))?,
            None => Head {
                front: 0,
                next: 0,
                named: 0,
                next_relation: 0,
                marks: Marks::default(),
                due_ms: i64::MIN,
                watermark_ms: None,
            },
        };
        let mut kept = Vec::new();
        store.scan(&[RELATION], |key, bytes| {
            let number = key.get(1..).and_then(|number| number.try_into().ok()).map(u32::from_be_bytes);
            kept.push((kept_relation::read(bytes)?, number.ok_or_else(damaged)?));
            Ok(true)
        })?;
        Ok(Self { head, store, relations: kept, first: None, ends_with_watermark: false })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.head.front == self.head.next
    }

    /// The number behind the last entry.
    pub(super) fn end(&self) -> u64 {
        self.head.next
    }

    /// True when the first entry has a checkpoint that says that it leaves.
    pub(super) fn has_named(&self) -> bool {
        self.head.front < self.head.named
    }

    /// Puts an entry behind the others.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<()> {
        let is_watermark = matches!(entry, Entry::Watermark(Watermark::EventTimeMs(_)));
        // Of watermarks in a row the last one says it all; not of one that has a mark, or is the first.
        let replaces = is_watermark && self.ends_with_watermark && self.head.front + 1 < self.head.next;
        let number = if replaces { self.head.next - 1 } else { self.head.next };
        let bytes = {
            let Self { store, relations, head, .. } = self;
            entry::write(entry, |relation| number_of(relation, store, relations, head))?
        };
        self.store.put(key(ENTRY, &number.to_be_bytes()), bytes)?;
        self.head.next = number + 1;
        self.ends_with_watermark = is_watermark;
        Ok(())
    }

    /// The entry that leaves first.
    pub(super) fn first(&mut self) -> Result<Option<Entry>> {
        if self.is_empty() {
            return Ok(None);
        }
        if self.first.is_none() {
            let bytes = self.store.get(&key(ENTRY, &self.head.front.to_be_bytes()))?.ok_or_else(damaged)?;
            let relations = &self.relations;
            self.first = Some(entry::read(&bytes, |number| {
                let known = relations.iter().find(|(_, known)| *known == number);
                known.map(|(relation, _)| relation.clone()).ok_or_else(damaged)
            })?);
        }
        Ok(self.first.clone())
    }

    /// Removes the entry that leaves first.
    pub(super) fn pop(&mut self) -> Result<()> {
        self.first = None;
        self.store.remove(key(ENTRY, &self.head.front.to_be_bytes()))?;
        self.head.front += 1;
        if self.is_empty() {
            // Tables of which no row waits are forgotten: they would pile up with DDL.
            for (_, number) in std::mem::take(&mut self.relations) {
                self.store.remove(key(RELATION, &number.to_be_bytes()))?;
            }
            self.ends_with_watermark = false;
        }
        Ok(())
    }

    /// Puts what is left of the first entry into its place.
    pub(super) fn replace_first(&mut self, rest: Entry) -> Result<()> {
        let bytes = {
            let Self { store, relations, head, .. } = self;
            entry::write(&rest, |relation| number_of(relation, store, relations, head))?
        };
        self.store.put(key(ENTRY, &self.head.front.to_be_bytes()), bytes)?;
        self.first = Some(rest);
        Ok(())
    }

    /// See [`Store::snapshot`].
    pub(super) fn snapshot(&mut self) -> Result<State> {
        // A watermark that comes now belongs to the next epoch.
        self.ends_with_watermark = false;
        let head = serde_json::to_vec(&self.head);
        let head = head.map_err(|error| aqueduct_model::Error::bug("a line has no head").with_source(error))?;
        self.store.put(HEAD.to_vec(), head)?;
        self.store.snapshot()
    }

    /// By when rows may leave that come now, their own times being known.
    pub(super) fn due(&mut self, own_ms: Option<i64>) -> Due {
        let before_ms = self.head.due_ms;
        self.head.due_ms = before_ms.max(own_ms.unwrap_or(before_ms));
        Due { before_ms, last_ms: self.head.due_ms }
    }
}

fn key(kind: u8, number: &[u8]) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(number);
    key
}

/// The number of a relation, which is kept from now on.
fn number_of(
    relation: &Arc<Relation>,
    store: &mut Store,
    relations: &mut Vec<(Arc<Relation>, u32)>,
    head: &mut Head,
) -> Result<u32> {
    let same = relations.iter().rev().find(|(known, _)| Arc::ptr_eq(known, relation));
    if let Some((_, number)) = same.or_else(|| relations.iter().rev().find(|(known, _)| known == relation)) {
        return Ok(*number);
    }
    let number = head.next_relation;
    head.next_relation += 1;
    store.put(key(RELATION, &number.to_be_bytes()), kept_relation::write(relation)?)?;
    relations.push((relation.clone(), number));
    Ok(number)
}
