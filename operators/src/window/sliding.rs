//! The totals of a hopping window, carried from one window to the next: what comes in is added, what goes is taken away,
//! so that a finer slide costs the new rows of the output and little else.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::Result;

use super::bound::{Bound, Closed};
use super::panes::{Panes, foreign, instant};
use crate::group::{self, Group};

/// The totals of the panes that lie in the state before `upto`, by group. Made anew from these after a restart.
pub(super) struct Sliding {
    upto: i64,
    groups: BTreeMap<Vec<u8>, Group>,
}

impl Default for Sliding {
    fn default() -> Self {
        Self { upto: i64::MIN, groups: BTreeMap::new() }
    }
}

impl Sliding {
    /// Adds the panes before `end`; the window that ends there, as rows.
    pub(super) fn close(&mut self, panes: &Panes, bound: &Bound, start: i64, end: i64) -> Result<Vec<Closed>> {
        let mut come = Vec::new();
        each_pane(panes, bound, self.upto, end, |_, group, totals| {
            come.push((group.to_vec(), totals));
            Ok(())
        })?;
        for (group, totals) in come {
            self.groups.entry(group).or_insert_with(|| Group::empty(&bound.group)).merge(&totals)?;
        }
        self.upto = end;
        let closed =
            self.groups.iter().map(|(key, group)| Closed { start, end, key: key.clone(), group: group.clone() });
        let mut closed: Vec<Closed> = closed.collect();
        if bound.group.counts_different() {
            let mut parts: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
            each_pane(panes, bound, start, end, |name, group, _| {
                parts.entry(group.to_vec()).or_default().push(name.to_vec());
                Ok(())
            })?;
            for window in &mut closed {
                let parts = parts.get(&window.key).map_or(&[][..], Vec::as_slice);
                window.group.recount(&bound.group, &panes.store, parts)?;
            }
        }
        Ok(closed)
    }

    /// Takes away the panes before `until`; their keys, to be forgotten.
    pub(super) fn leave(&mut self, panes: &Panes, bound: &Bound, until: i64) -> Result<Vec<Vec<u8>>> {
        let (mut gone, mut stale) = (Vec::new(), BTreeSet::new());
        each_pane(panes, bound, panes.first, until, |name, group, totals| {
            gone.push(name.to_vec());
            if let Some(sum) = self.groups.get_mut(group) {
                if sum.part(&totals)? {
                    stale.insert(group.to_vec());
                }
                if sum.rows == 0 {
                    self.groups.remove(group);
                    stale.remove(group);
                }
            }
            Ok(())
        })?;
        if !stale.is_empty() {
            for group in &stale {
                self.groups.insert(group.clone(), Group::empty(&bound.group));
            }
            let groups = &mut self.groups;
            each_pane(panes, bound, until, self.upto, |_, group, totals| {
                match groups.get_mut(group).filter(|_| stale.contains(group)) {
                    Some(sum) => sum.merge(&totals),
                    None => Ok(()),
                }
            })?;
        }
        Ok(gone)
    }
}

/// Shows the panes that begin in `from..until`, in the order of time: key, group and totals.
fn each_pane(
    panes: &Panes,
    bound: &Bound,
    from: i64,
    until: i64,
    mut visit: impl FnMut(&[u8], &[u8], Group) -> Result<()>,
) -> Result<()> {
    let prefix = group::name(&[]);
    let mut begin = prefix.clone();
    begin.extend(instant(from));
    panes.store.scan_from(&prefix, &begin, |key, value| {
        let name = key.get(prefix.len()..).ok_or_else(foreign)?;
        let (pane, group) = panes.parts(name)?;
        if pane >= until {
            return Ok(false);
        }
        visit(name, group, Group::read(&bound.group, value)?)?;
        Ok(true)
    })
}
