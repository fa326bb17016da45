//! The groups that a batch touched: as they were, as they are, and what that is as changes.

use std::collections::HashMap;

use aqueduct_model::{Batch, Error, ErrorKind, Op, Result};
use arrow::array::{ArrayRef, RecordBatch};

use super::bound::{Bound, restored};
use super::total::{Total, take_i64};
use crate::state::Store;

/// Keys of groups begin with this.
const GROUP: u8 = b'G';

/// One group's rows and totals.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) rows: i64,
    pub(super) totals: Vec<Total>,
}

impl Group {
    fn empty(bound: &Bound) -> Self {
        Self { rows: 0, totals: bound.totals.iter().map(|total| total.kind.empty()).collect() }
    }

    fn read(bound: &Bound, mut bytes: &[u8]) -> Result<Self> {
        let mut group = Self::empty(bound);
        let mut read = || {
            group.rows = take_i64(&mut bytes)?;
            group.totals.iter_mut().try_for_each(|total| total.read(&mut bytes))
        };
        if read().is_none() || !bytes.is_empty() {
            return Err(Error::new(ErrorKind::State, "the kept totals of a group are not those of this task")
                .with_hint("put `totals` back for one start, or start over with `aqueduct checkpoint reset`"));
        }
        Ok(group)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.rows.to_le_bytes().to_vec();
        self.totals.iter().for_each(|total| total.write(&mut bytes));
        bytes
    }
}

/// A group that a batch touched.
pub(super) struct Touched {
    /// Its key, as bytes.
    pub(super) key: Vec<u8>,
    before: Option<Group>,
    pub(super) now: Group,
}

/// The groups that a batch touched, in the order in which it did.
#[derive(Default)]
pub(super) struct Groups {
    places: HashMap<Vec<u8>, usize>,
    pub(super) touched: Vec<Touched>,
}

impl Groups {
    /// The place of a group, which is loaded when it is touched for the first time.
    pub(super) fn place(&mut self, key: &[u8], bound: &Bound, store: &mut Store) -> Result<usize> {
        if let Some(place) = self.places.get(key) {
            return Ok(*place);
        }
        let stored = store.get(&name(key))?;
        let before = stored.map(|bytes| Group::read(bound, &bytes)).transpose()?;
        let now = before.clone().unwrap_or_else(|| Group::empty(bound));
        self.places.insert(key.to_vec(), self.touched.len());
        self.touched.push(Touched { key: key.to_vec(), before, now });
        Ok(self.touched.len() - 1)
    }

    /// Keeps the groups as they are now; what changed, as changes of the output table.
    pub(super) fn settle(self, bound: &Bound, store: &mut Store) -> Result<Option<Batch>> {
        let mut rows: Vec<(&[u8], &Group)> = Vec::new();
        let mut ops = Vec::new();
        for group in &self.touched {
            let is_there = group.now.rows > 0;
            match &group.before {
                Some(before) if is_there && *before == group.now => continue,
                Some(before) if is_there => {
                    rows.extend([(group.key.as_slice(), before), (group.key.as_slice(), &group.now)]);
                    ops.extend([Op::UpdateBefore as u8, Op::UpdateAfter as u8]);
                }
                Some(before) => {
                    rows.push((&group.key, before));
                    ops.push(Op::Delete as u8);
                }
                None if is_there => {
                    rows.push((&group.key, &group.now));
                    ops.push(Op::Insert as u8);
                }
                None => continue,
            }
            if is_there { store.put(name(&group.key), group.now.bytes())? } else { store.remove(name(&group.key))? }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = restored(&bound.groups, rows.iter().map(|(key, _)| *key))?;
        for (i, total) in bound.totals.iter().enumerate() {
            let totals: Vec<&Total> = rows.iter().map(|(_, group)| &group.totals[i]).collect();
            let column = total.kind.column(&totals, |kept| {
                let converter = total.values.as_ref().ok_or_else(|| Error::bug("a total without values"))?;
                restored(converter, kept.iter().copied()).map(|mut columns| columns.remove(0))
            })?;
            columns.push(column);
        }
        let rows = RecordBatch::try_new(bound.output.columns().clone(), columns)
            .map_err(|error| Error::bug("groups do not fit their own columns").with_source(error))?;
        Batch::changes(bound.output.clone(), rows, ops.into()).map(Some)
    }
}

fn name(key: &[u8]) -> Vec<u8> {
    let mut name = vec![GROUP];
    name.extend_from_slice(key);
    name
}
