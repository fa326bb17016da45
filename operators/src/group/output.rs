//! The groups that a batch touched: as they were, as they are, and what that is as changes.

use std::collections::HashMap;

use aqueduct_model::{Batch, Error, ErrorKind, Op, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};

use super::bound::{Bound, restored};
use super::columns::Columns;
use super::total::{Total, take_i64};
use super::values::{self, Values};
use crate::state::Store;

/// Keys of groups begin with this.
const GROUP: u8 = b'G';

/// Keys of groups, as bytes.
pub(crate) type Keys = Vec<Vec<u8>>;

/// One group's rows and totals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) rows: i64,
    pub(super) totals: Vec<Total>,
}

impl Group {
    /// The totals of no rows.
    pub(crate) fn empty(bound: &Bound) -> Self {
        Self { rows: 0, totals: bound.totals.iter().map(|total| total.kind.empty()).collect() }
    }

    /// Reads what is kept of a group.
    ///
    /// # Errors
    /// `State` when it is that of other totals.
    pub(crate) fn read(bound: &Bound, mut bytes: &[u8]) -> Result<Self> {
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
struct Touched {
    /// Its key, as bytes.
    key: Vec<u8>,
    before: Option<Group>,
    now: Group,
}

/// The groups that a batch touched, in the order in which it did.
pub(crate) struct Groups {
    values: Values,
    places: HashMap<Vec<u8>, usize>,
    touched: Vec<Touched>,
    /// Totals whose least or greatest value was taken away, by place and number: the next one has to be looked for.
    stale: Vec<(usize, usize)>,
}

impl Groups {
    /// None yet.
    pub(crate) fn new(values: Values) -> Self {
        Self { values, places: HashMap::new(), touched: Vec::new(), stale: Vec::new() }
    }

    /// The place of a group, which is loaded when it is touched for the first time.
    pub(crate) fn place(&mut self, key: &[u8], bound: &Bound, store: &mut Store) -> Result<usize> {
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

    /// Adds row `i` to the group at a place (`sign` 1), or takes it away (-1).
    ///
    /// # Errors
    /// `Data` when it was never there, or a total becomes too large.
    pub(crate) fn add(
        &mut self,
        place: usize,
        columns: &Columns,
        i: usize,
        sign: i64,
        store: &mut Store,
    ) -> Result<()> {
        let group = &mut self.touched[place];
        group.now.rows += sign;
        if group.now.rows < 0 {
            return Err(Error::new(ErrorKind::Data, "a row is taken back from a group that never had it").with_hint(
                "the input has to begin with the table's rows: start over with `aqueduct checkpoint reset`",
            ));
        }
        for (n, (values, kept, condition)) in columns.totals.iter().enumerate() {
            let counts = |condition: &ArrayRef| condition.is_valid(i) && condition.as_boolean().value(i);
            if !condition.as_ref().is_none_or(counts) {
                continue;
            }
            let total = &mut group.now.totals[n];
            let Some(kept) = kept else {
                total.add(values.as_ref(), i, sign)?;
                continue;
            };
            if values.as_ref().is_some_and(|values| values.is_null(i)) {
                continue;
            }
            let value = kept.row(i);
            if self.values == Values::Forgotten && total.raise(value.as_ref()) {
                continue;
            }
            if values::keep(store, total, &group.key, n, value.as_ref(), sign)? {
                self.stale.push((place, n));
            }
        }
        Ok(())
    }

    /// Looks for the least and greatest values that were taken away.
    fn refresh(&mut self, store: &Store) -> Result<()> {
        for (place, n) in std::mem::take(&mut self.stale) {
            let group = &mut self.touched[place];
            group.now.totals[n] = Total::Extreme(values::first(store, &group.key, n)?);
        }
        Ok(())
    }

    /// Keeps the groups as they are now; the keys of those that are new, and of those that are gone.
    pub(crate) fn store(mut self, store: &mut Store) -> Result<(Keys, Keys)> {
        self.refresh(store)?;
        let (mut new, mut gone) = (Vec::new(), Vec::new());
        for Touched { key, before, now } in self.touched {
            if now.rows > 0 {
                store.put(name(&key), now.bytes())?;
                new.extend(before.is_none().then_some(key));
            } else if before.is_some() {
                store.remove(name(&key))?;
                gone.push(key);
            }
        }
        Ok((new, gone))
    }

    /// Keeps the groups as they are now; what changed, as changes of the output table.
    pub(super) fn settle(mut self, bound: &Bound, store: &mut Store) -> Result<Option<Batch>> {
        self.refresh(store)?;
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
        let groups: Vec<&Group> = rows.iter().map(|(_, group)| *group).collect();
        columns.extend(totals(bound, &groups)?);
        let rows = RecordBatch::try_new(bound.output.columns().clone(), columns)
            .map_err(|error| Error::bug("groups do not fit their own columns").with_source(error))?;
        Batch::changes(bound.output.clone(), rows, ops.into()).map(Some)
    }
}

/// The totals of groups, a column each.
pub(crate) fn totals(bound: &Bound, groups: &[&Group]) -> Result<Vec<ArrayRef>> {
    let column = |(i, total): (usize, &super::bound::BoundTotal)| {
        let totals: Vec<&Total> = groups.iter().map(|group| &group.totals[i]).collect();
        total.kind.column(&totals, |kept| {
            let converter = total.values.as_ref().ok_or_else(|| Error::bug("a total without values"))?;
            restored(converter, kept.iter().copied()).map(|mut columns| columns.remove(0))
        })
    };
    bound.totals.iter().enumerate().map(column).collect()
}

/// The name of a group in the store.
pub(crate) fn name(key: &[u8]) -> Vec<u8> {
    let mut name = vec![GROUP];
    name.extend_from_slice(key);
    name
}
