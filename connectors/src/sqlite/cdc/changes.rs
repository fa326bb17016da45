//! Reads the change log: from its rows to changes with the row before and the row after.
//!
//! REPLACE is put right here. SQLite removes the rows that stand in the way of a new one without firing a delete
//! trigger, so a trigger notes them as *candidates* before the new row is written. Once the new row follows in the log,
//! its candidates must be gone: they share unique values with it and could not stand beside it. When it does not follow
//! (INSERT OR IGNORE, ON CONFLICT DO UPDATE), they are still there.

use std::collections::VecDeque;

use aqueduct_model::{Error, ErrorKind, Result};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

use crate::sqlite::connection::failed;
use crate::sqlite::table::Identity;

use super::config::planted;
use super::history::{History, Version};
use super::log::{Names, op};

/// Columns of the log in front of the images.
const FIXED: usize = 6;
/// Candidates kept until their new row follows. It follows at once unless the application's own triggers write more
/// rows in between; beyond this many the oldest was surely an insert that was ignored.
const CANDIDATES_MAX: usize = 256;

/// A row as it was or is.
#[derive(Clone, Copy)]
pub(super) struct Image<'r> {
    /// Its row number; none in tables WITHOUT ROWID.
    pub(super) rid: Option<i64>,
    cells: Cells<'r>,
}

#[derive(Clone, Copy)]
enum Cells<'r> {
    Logged { row: &'r Row<'r>, first: usize },
    Kept(&'r [Value]),
}

impl<'r> Image<'r> {
    fn logged(row: &'r Row<'r>, rid: Option<i64>, first: usize) -> Self {
        Self { rid, cells: Cells::Logged { row, first: FIXED + first } }
    }

    /// The cell of a column.
    pub(super) fn cell(&self, column: usize) -> ValueRef<'r> {
        match self.cells {
            Cells::Logged { row, first } => row.get_ref(first + column).unwrap_or(ValueRef::Null),
            Cells::Kept(cells) => cells.get(column).map_or(ValueRef::Null, ValueRef::from),
        }
    }

    /// The first `columns` cells, to keep.
    pub(super) fn keep(&self, columns: usize) -> Vec<Value> {
        (0..columns).map(|column| own(self.cell(column))).collect()
    }

    /// What tells this row from all others of its table at one time.
    pub(super) fn identity(&self, version: &Version) -> RowId {
        match (&version.table.identity, self.rid) {
            (Identity::Key(parts), _) => RowId::Key(key_bytes(parts.iter().map(|part| self.cell(part.column)))),
            (Identity::Rowid { .. }, rid) => RowId::Number(rid.unwrap_or_default()),
        }
    }
}

/// What tells a row from all others of its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum RowId {
    /// Its row number.
    Number(i64),
    /// Its key, cell by cell, each with its class.
    Key(Vec<u8>),
}

/// Key cells as bytes that are equal when class and value are.
pub(super) fn key_bytes<'a>(cells: impl Iterator<Item = ValueRef<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for cell in cells {
        let (class, body): (u8, &[u8]) = match cell {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(i) => (1, &i.to_le_bytes()),
            ValueRef::Real(real) => (2, &real.to_bits().to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        bytes.push(class);
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(body);
    }
    bytes
}

fn own(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(real) => Value::Real(real),
        // Text that is not UTF-8 stays what it is: a blob fits no text column, as the text itself would not.
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(text.to_vec()),
        },
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    }
}

/// What the log says.
pub(super) enum Event<'r> {
    /// A row came, went or changed.
    Change {
        /// Where the log says so.
        seq: i64,
        /// The table, as it was then.
        version: &'r Version,
        /// The row as it was.
        before: Option<Image<'r>>,
        /// The row as it is now.
        after: Option<Image<'r>>,
    },
    /// A version begins.
    Schema(&'r Version),
}

struct Candidate {
    id: i64,
    version: u32,
    rid: Option<i64>,
    row_id: RowId,
    old: Vec<Value>,
    new: Vec<Value>,
}

/// Candidates whose new row has not followed yet. Empty at every transaction boundary.
#[derive(Default)]
pub(super) struct Pending(VecDeque<Candidate>);

impl Pending {
    fn note(&mut self, version: &Version, old: Image<'_>, new: Image<'_>) {
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
    fn forget_row(&mut self, id: i64, row_id: &RowId) {
        self.0.retain(|candidate| candidate.id != id || &candidate.row_id != row_id);
    }

    /// The rows that the writing of `new` removed.
    fn removed_by(&mut self, version: &Version, new: &Image<'_>) -> Vec<Candidate> {
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

    /// Ends a transaction: rows whose successor did not follow are still there.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Reads the changes `from..=to`, at most `limit` log rows, and gives each to `take`, which returns false to stop behind
/// that log row. Returns the next change to read, `to + 1` when all are read.
///
/// # Errors
/// `Data` for a log row of an unknown kind or table, naming kind and number: never a skip.
pub(super) fn read(
    connection: &Connection,
    names: &Names,
    history: &History,
    (from, to): (i64, i64),
    limit: usize,
    pending: &mut Pending,
    mut take: impl FnMut(Event<'_>) -> Result<bool>,
) -> Result<i64> {
    let doing = "cannot read the change log";
    let cells: String = (0..history.cells()).map(|i| format!(",c{i}")).collect();
    let sql = format!(
        "SELECT seq,tbl,version,op,rid0,rid1{cells} FROM {} WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
        names.changes()
    );
    let skip_unknown = planted("mutant.src_skip_unknown_op");
    let mut statement = connection.prepare_cached(&sql).map_err(|e| failed(doing, e))?;
    let mut rows = statement.query((from, to, i64::try_from(limit).unwrap_or(i64::MAX))).map_err(|e| failed(doing, e))?;
    let (mut next, mut count) = (from, 0);
    while let Some(row) = rows.next().map_err(|e| failed(doing, e))? {
        let fixed = Fixed::of(row).map_err(|e| failed(doing, e))?;
        let known = history.get(fixed.id, fixed.version).filter(|_| op_is_known(fixed.op));
        let go_on = match known {
            Some(version) => decode(row, &fixed, version, pending, &mut take)?,
            None if skip_unknown => true,
            None => return Err(unknown(&fixed)),
        };
        next = fixed.seq + 1;
        count += 1;
        if !go_on {
            return Ok(next);
        }
    }
    Ok(if count < limit { to + 1 } else { next })
}

struct Fixed {
    seq: i64,
    id: i64,
    version: u32,
    op: i64,
    rid0: Option<i64>,
    rid1: Option<i64>,
}

impl Fixed {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            id: row.get(1)?,
            version: row.get(2)?,
            op: row.get(3)?,
            rid0: row.get(4)?,
            rid1: row.get(5)?,
        })
    }
}

const fn op_is_known(number: i64) -> bool {
    matches!(number, op::INSERT | op::UPDATE | op::DELETE | op::CANDIDATE | op::SCHEMA)
}

fn unknown(fixed: &Fixed) -> Error {
    Error::new(
        ErrorKind::Data,
        format!(
            "change {} of the change log is unknown: kind {}, table {}, version {}",
            fixed.seq, fixed.op, fixed.id, fixed.version
        ),
    )
    .with_hint("the log was written by something else or by a newer version; nothing is skipped")
}

fn decode<'r>(
    row: &'r Row<'r>,
    fixed: &Fixed,
    version: &'r Version,
    pending: &mut Pending,
    take: &mut impl FnMut(Event<'_>) -> Result<bool>,
) -> Result<bool> {
    let seq = fixed.seq;
    let columns = version.table.columns.len();
    let change = |before, after| Event::Change { seq, version, before, after };
    match fixed.op {
        op::SCHEMA => take(Event::Schema(version)),
        op::CANDIDATE => {
            pending.note(version, Image::logged(row, fixed.rid0, 0), Image::logged(row, fixed.rid1, columns));
            Ok(true)
        }
        op::DELETE => {
            let old = Image::logged(row, fixed.rid0, 0);
            if !pending.0.is_empty() {
                pending.forget_row(version.id, &old.identity(version));
            }
            take(change(Some(old), None))
        }
        _ => {
            let old = (fixed.op == op::UPDATE).then(|| Image::logged(row, fixed.rid0, 0));
            let new = Image::logged(row, fixed.rid1, if old.is_some() { columns } else { 0 });
            if pending.0.is_empty() {
                return take(change(old, Some(new)));
            }
            if let Some(old) = &old {
                pending.forget_row(version.id, &old.identity(version));
            }
            let removed = pending.removed_by(version, &new);
            let key = |image: &Image<'_>| key_bytes(version.table.key.iter().map(|&column| image.cell(column)));
            let mut replaced = None;
            for candidate in &removed {
                let gone = Image { rid: candidate.rid, cells: Cells::Kept(&candidate.old) };
                if old.is_none() && !version.table.key.is_empty() && key(&gone) == key(&new) {
                    replaced = Some(gone);
                } else {
                    take(change(Some(gone), None))?;
                }
            }
            take(change(old.or(replaced), Some(new)))
        }
    }
}
