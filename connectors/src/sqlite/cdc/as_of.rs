//! Reads a table as it was at an earlier point of the log.
//!
//! The rows are the current ones, except those that changed since: of these the image before their first change counts.
//! So memory holds the changes since that point and nothing else. The point may lie further and further back while
//! pages are read; every page first takes in what was logged since the last one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use aqueduct_model::{BadRows, Batch, Error, ErrorKind, Result};
use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};

use crate::sqlite::value::Rows;

use super::adoption::may_be_renumbered;
use super::candidates::Pending;
use super::changes::{self, Event, Image, RowId};
use super::chunk::{self, Range};
use super::history::{Ddl, History, Reread, Version};
use super::log::{Head, Names};
use super::page::{refused, up_to};
use super::position::{Cell, Phase};

/// Log rows taken in at a time.
const PAGE_ROWS: usize = 8_192;

/// A part of a table as it was when everything before `seq` was done and nothing else.
pub(super) struct AsOf {
    version: Arc<Version>,
    /// How the rows are given: inserts, or updates when they are read again.
    phase: Phase,
    after: Option<Vec<Cell>>,
    to: Option<Vec<Cell>>,
    /// The next change to take in.
    next_seq: i64,
    pending: Pending,
    /// Rows that changed since: as they were, or `None` for rows that were not there or were given already.
    first: HashMap<RowId, Option<Before>>,
    leftovers: Option<std::vec::IntoIter<Before>>,
}

struct Before {
    rid: Option<i64>,
    cells: Vec<Value>,
}

impl AsOf {
    /// Rows `after..=to` of a table at `seq`, when it had `version` and `schema_version` was `cookie`.
    ///
    /// # Errors
    /// `LostPosition` when the table's rows of that time can no longer be told: it was dropped, captured anew or
    /// possibly renumbered since. A caller that only compares may try again at a later position.
    pub(super) fn new(
        version: &Arc<Version>,
        phase: Phase,
        (after, to): (Option<Vec<Cell>>, Option<Vec<Cell>>),
        (seq, cookie): (i64, i64),
        (head, history): (&Head, &History),
    ) -> Result<Self> {
        let gone = |why: &str| {
            Error::new(
                ErrorKind::LostPosition,
                format!("{} cannot be read as it was at change {seq}: {why}", version.relation.name()),
            )
            .with_hint("try again once the flow has committed a later position; else reset its checkpoint")
        };
        if seq <= head.pruned_to {
            return Err(gone("the changes since are pruned"));
        }
        if seq > head.last_seq + 1 {
            return Err(gone("the change log ends before"));
        }
        if history.later(version).any(|later| later.ddl == Ddl::Drop || later.reread == Reread::Replace) {
            return Err(gone("the table was dropped or captured anew"));
        }
        if may_be_renumbered(version) && head.cookie != cookie {
            return Err(gone("DDL or VACUUM may have renumbered its rows"));
        }
        Ok(Self {
            version: version.clone(),
            phase,
            after,
            to,
            next_seq: seq,
            pending: Pending::default(),
            first: HashMap::new(),
            leftovers: None,
        })
    }

    /// The next rows; `Ok(None)` at the end. The caller holds a read transaction whose head is `head`.
    pub(super) fn page(
        &mut self,
        (connection, names): (&Connection, &Names),
        (head, history): (&Head, &History),
        (max_rows, max_bytes): (usize, usize),
        bad: &mut BadRows,
    ) -> Result<Option<Batch>> {
        while self.leftovers.is_none() {
            self.take_in(connection, names, head, history)?;
            let physical = history.latest(self.version.id).unwrap_or(&self.version);
            let range = Range { after: self.after.as_deref(), to: self.to.as_deref(), max_rows, max_bytes };
            let changed = |row: &RowId| self.first.contains_key(row);
            let read = chunk::read(connection, &self.version, &physical.table, &range, bad, changed)?;
            if read.is_end {
                let left: Vec<Before> = self.first.drain().filter_map(|(_, before)| before).collect();
                self.leftovers = Some(left.into_iter());
            } else {
                self.after = read.last;
            }
            if let Some(batch) = chunk::batch(&self.version, read.rows, self.phase)? {
                return Ok(Some(batch));
            }
        }
        self.rest(max_rows, max_bytes, bad)
    }

    fn take_in(&mut self, connection: &Connection, names: &Names, head: &Head, history: &History) -> Result<()> {
        while self.next_seq <= head.last_seq {
            let (version, first) = (&self.version, &mut self.first);
            let bounds = (self.after.as_deref(), self.to.as_deref());
            let range = (self.next_seq, head.last_seq);
            self.next_seq = changes::read(connection, names, history, range, PAGE_ROWS, &mut self.pending, |event| {
                if let Event::Change { version: at, before, after, .. } = event
                    && at.id == version.id
                {
                    note(connection, version, first, bounds, (before, after))?;
                }
                Ok(true)
            })?;
        }
        self.pending.clear();
        Ok(())
    }

    fn rest(&mut self, max_rows: usize, max_bytes: usize, bad: &mut BadRows) -> Result<Option<Batch>> {
        let version = &self.version;
        let mut rows = Rows::new(version.relation.columns().clone(), &version.layout);
        for before in self.leftovers.iter_mut().flatten() {
            let cell = |i: usize| before.cells.get(i).map_or(ValueRef::Null, ValueRef::from);
            match version.layout.misfit(cell) {
                None => rows.push(cell),
                Some(_) => {
                    let place = before.rid.map_or_else(|| "a row".to_owned(), |rid| format!("row {rid}"));
                    bad.reject(refused(version, format!("{place} of {}", version.table.name), cell))?;
                }
            }
            if rows.len() >= max_rows || rows.bytes() >= max_bytes {
                break;
            }
        }
        chunk::batch(version, rows, self.phase)
    }
}

/// Notes the first change of a row since the point in time.
fn note(
    connection: &Connection,
    version: &Version,
    first: &mut HashMap<RowId, Option<Before>>,
    (after, to): (Option<&[Cell]>, Option<&[Cell]>),
    (old, new): (Option<Image<'_>>, Option<Image<'_>>),
) -> Result<()> {
    if let Some(old) = old
        && let Entry::Vacant(entry) = first.entry(old.identity(version))
    {
        // Rows up to `after` belong to an earlier part or were given by an earlier page.
        let is_before = |bound: Option<&[Cell]>| match bound {
            Some(bound) => up_to(connection, version, &old, bound).map(Some),
            None => Ok(None),
        };
        let is_wanted = is_before(after)? != Some(true) && is_before(to)? != Some(false);
        let cells = || Before { rid: old.rid, cells: old.keep(version.table.columns.len()) };
        entry.insert(is_wanted.then(cells));
    }
    if let Some(new) = new {
        first.entry(new.identity(version)).or_insert(None);
    }
    Ok(())
}
