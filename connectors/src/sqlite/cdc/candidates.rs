//! What REPLACE removes.
//!
//! SQLite removes the rows that stand in the way of a new one without firing a delete
//! trigger, so a trigger notes them as *candidates* before the new row is written. Once the new row follows in the log,
//! its candidates must be gone: they share unique values with it and could not stand beside it. When it does not follow
//! (INSERT OR IGNORE, ON CONFLICT DO UPDATE), they are still there.

use std::collections::VecDeque;

use rusqlite::types::{Value, ValueRef};

use crate::sqlite::table::Identity;

use super::changes::{Image, RowId};
use super::history::Version;

/// Candidates kept until their new row follows. It follows at once unless the application's own triggers write more
/// rows in between; beyond this many the oldest was surely an insert that was ignored.
const CANDIDATES_MAX: usize = 256;

/// A row that stood in the way of another.
pub(super) struct Candidate {
    id: i64,
    version: u32,
    rid: Option<i64>,
    row_id: RowId,
    old: Vec<Value>,
    new: Vec<Value>,
}

impl Candidate {
    /// The row as it was.
    pub(super) fn image(&self) -> Image<'_> {
        Image::kept(self.rid, &self.old)
    }
}

/// Candidates whose new row has not followed yet. Empty at every transaction boundary.
#[derive(Default)]
pub(super) struct Pending(VecDeque<Candidate>);

impl Pending {
    /// Notes a row that stands in the way of `new`.
    pub(super) fn note(&mut self, version: &Version, old: Image<'_>, new: Image<'_>) {
        if self.0.len() == CANDIDATES_MAX {
            self.0.pop_front();
        }
        let columns = version.table.columns.len();
        let row_id = old.identity(version);
        self.0.push_back(Candidate {
            id: version.id,
            version: version.version,
            rid: old.rid,
            row_id,
            old: old.keep(columns),
            new: new.keep(columns),
        });
    }

    /// A row was changed or deleted in the open: it was not removed behind our back.
    pub(super) fn forget_row(&mut self, id: i64, row_id: &RowId) {
        self.0.retain(|candidate| candidate.id != id || &candidate.row_id != row_id);
    }

    /// The rows that the writing of `new` removed.
    pub(super) fn removed_by(&mut self, version: &Version, new: &Image<'_>) -> Vec<Candidate> {
        let unique = || version.table.unique.iter().flatten();
        let rowid = match &version.table.identity {
            Identity::Rowid { stable: true, .. } => version.table.key.first().copied(),
            _ => None,
        };
        // Before an insert a row number that SQLite is still to choose reads as -1.
        let same = |candidate: &Candidate, column: usize| {
            let noted = ValueRef::from(&candidate.new[column]);
            noted == new.cell(column) || (Some(column) == rowid && noted == ValueRef::Integer(-1))
        };
        let is_removed = |candidate: &Candidate| {
            candidate.id == version.id
                && candidate.version == version.version
                && unique().all(|part| same(candidate, part.column))
                && (candidate.rid != Some(-1) || new.rid == Some(-1))
        };
        let mut removed: Vec<Candidate> = Vec::new();
        while let Some(found) = self.0.iter().rposition(is_removed) {
            let Some(candidate) = self.0.remove(found) else { break };
            self.forget_row(version.id, &candidate.row_id);
            removed.push(candidate);
        }
        removed
    }

    /// True when no row is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends a transaction: rows whose successor did not follow are still there.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
