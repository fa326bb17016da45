//! Reads the change log: from its rows to changes with the row before and the row after.

use aqueduct_model::{Error, ErrorKind, Result};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};

use crate::sqlite::connection::failed;
use crate::sqlite::table::Identity;

use super::candidates::Pending;
use super::config::planted;
use super::history::{History, Version};
use super::log::{Names, op};

/// Columns of the log in front of the images.
const FIXED: usize = 6;

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

    /// A row that was kept.
    pub(super) const fn kept(rid: Option<i64>, cells: &'r [Value]) -> Self {
        Self { rid, cells: Cells::Kept(cells) }
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
    let mut rows =
        statement.query((from, to, i64::try_from(limit).unwrap_or(i64::MAX))).map_err(|e| failed(doing, e))?;
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
            if !pending.is_empty() {
                pending.forget_row(version.id, &old.identity(version));
            }
            take(change(Some(old), None))
        }
        _ => {
            let old = (fixed.op == op::UPDATE).then(|| Image::logged(row, fixed.rid0, 0));
            let new = Image::logged(row, fixed.rid1, if old.is_some() { columns } else { 0 });
            if pending.is_empty() {
                return take(change(old, Some(new)));
            }
            if let Some(old) = &old {
                pending.forget_row(version.id, &old.identity(version));
            }
            let removed = pending.removed_by(version, &new);
            let key = |image: &Image<'_>| key_bytes(version.table.key.iter().map(|&column| image.cell(column)));
            let mut replaced = None;
            for candidate in &removed {
                let gone = candidate.image();
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
