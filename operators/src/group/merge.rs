//! Groups put together out of parts, each with rows of its own, and taken apart again.

use std::collections::HashSet;

use aqueduct_model::{Error, Result};

use super::bound::Bound;
use super::output::{Group, name};
use super::total::Kind;
use super::values::{self, Values};
use crate::state::Store;

impl Group {
    /// Adds the rows of a part. Different values are counted by [`Group::recount`].
    ///
    /// # Errors
    /// `Data` when a total becomes too large.
    pub(crate) fn merge(&mut self, part: &Self) -> Result<()> {
        self.rows += part.rows;
        self.totals.iter_mut().zip(&part.totals).try_for_each(|(total, part)| total.merge(part, 1)).map(drop)
    }

    /// Takes away the rows of a part; true when a least or greatest value went with it, so that the group has to be
    /// merged anew.
    ///
    /// # Errors
    /// `Bug` when the part was not in it.
    pub(crate) fn part(&mut self, part: &Self) -> Result<bool> {
        self.rows -= part.rows;
        if self.rows < 0 {
            return Err(Error::bug("a part leaves a group that never had it"));
        }
        let mut lacks = false;
        for (total, part) in self.totals.iter_mut().zip(&part.totals) {
            lacks |= total.lacks(part);
            total.merge(part, -1)?;
        }
        Ok(lacks)
    }

    /// Counts the different values of the parts with these keys.
    pub(crate) fn recount(&mut self, bound: &Bound, store: &Store, parts: &[Vec<u8>]) -> Result<()> {
        for (n, total) in bound.totals.iter().enumerate().filter(|(_, total)| total.kind == Kind::Distinct) {
            let mut different = HashSet::new();
            for part in parts {
                different.extend(values::all(store, part, n)?);
            }
            self.totals[n] = total.kind.empty();
            self.totals[n].count_as(different.len() as i64);
        }
        Ok(())
    }
}

impl Bound {
    /// True when a total counts different values.
    pub(crate) fn counts_different(&self) -> bool {
        self.totals.iter().any(|total| total.kind == Kind::Distinct)
    }
}

/// Forgets a group and its values.
pub(crate) fn remove(bound: &Bound, store: &mut Store, key: &[u8], kept: Values) -> Result<()> {
    for (n, total) in bound.totals.iter().enumerate() {
        if total.kind == Kind::Distinct || (kept == Values::Kept && total.kind.has_values()) {
            values::forget(store, key, n)?;
        }
    }
    store.remove(name(key))
}
