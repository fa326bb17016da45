//! Events that hold rows.

use std::borrow::Cow;

use super::bytes::{Bytes, Decoded, Malformed, bit};
use super::inflate::inflate;
use super::kind;

/// What was done to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowsKind {
    Insert,
    Update,
    /// An update that may hold changes of JSON documents instead of documents.
    PartialUpdate,
    Delete,
}

/// The rows of one event, still packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsEvent<'a> {
    /// What was done.
    pub kind: RowsKind,
    /// The number that a TABLE_MAP event of the same statement has.
    pub table_id: u64,
    /// True in the last event of a statement.
    pub ends_statement: bool,
    /// How many columns the table has.
    pub(super) columns: usize,
    /// A bit per column that is in the old rows; empty for inserts.
    pub(super) before: &'a [u8],
    /// A bit per column that is in the new rows; empty for deletes.
    pub(super) after: &'a [u8],
    pub(super) rows: Cow<'a, [u8]>,
}

/// The number of the event that only ends a statement.
const DUMMY_TABLE_ID: u64 = 0x00ff_ffff;
const FLAG_STATEMENT_END: u16 = 1;

/// What the number of an event's type says: what was done, the version of the layout, whether rows are compressed.
fn form(event_type: u8) -> Option<(RowsKind, u8, bool)> {
    Some(match event_type {
        kind::WRITE_ROWS_V1 => (RowsKind::Insert, 1, false),
        kind::UPDATE_ROWS_V1 => (RowsKind::Update, 1, false),
        kind::DELETE_ROWS_V1 => (RowsKind::Delete, 1, false),
        kind::WRITE_ROWS => (RowsKind::Insert, 2, false),
        kind::UPDATE_ROWS => (RowsKind::Update, 2, false),
        kind::DELETE_ROWS => (RowsKind::Delete, 2, false),
        kind::PARTIAL_UPDATE_ROWS => (RowsKind::PartialUpdate, 2, false),
        kind::MARIADB_WRITE_ROWS_COMPRESSED_V1 => (RowsKind::Insert, 1, true),
        kind::MARIADB_UPDATE_ROWS_COMPRESSED_V1 => (RowsKind::Update, 1, true),
        kind::MARIADB_DELETE_ROWS_COMPRESSED_V1 => (RowsKind::Delete, 1, true),
        kind::MARIADB_WRITE_ROWS_COMPRESSED => (RowsKind::Insert, 2, true),
        kind::MARIADB_UPDATE_ROWS_COMPRESSED => (RowsKind::Update, 2, true),
        kind::MARIADB_DELETE_ROWS_COMPRESSED => (RowsKind::Delete, 2, true),
        _ => return None,
    })
}

/// True for the types of events that hold rows.
pub(super) fn is_rows(event_type: u8) -> bool {
    form(event_type).is_some()
}

impl<'a> RowsEvent<'a> {
    /// Reads the head, and decompresses the rows where the server compressed them.
    ///
    /// # Errors
    /// When the bytes are too few, or `event_type` is none that holds rows.
    pub fn parse(event_type: u8, body: &'a [u8]) -> Decoded<Self> {
        let (kind, version, compressed) = form(event_type).ok_or(Malformed("an event holds no rows"))?;
        let mut bytes = Bytes(body);
        let table_id = bytes.u48()?;
        let flags = bytes.u16()?;
        if version == 2 {
            // What NDB and partitioned tables add; the length counts itself.
            let extra = usize::from(bytes.u16()?);
            bytes.take(extra.checked_sub(2).ok_or(Malformed("extra data is shorter than its length"))?)?;
        }
        let columns = bytes.packed_len()?;
        let bitmap = columns.div_ceil(8);
        let before = if kind == RowsKind::Insert { &[][..] } else { bytes.take(bitmap)? };
        let after = if kind == RowsKind::Delete { &[][..] } else { bytes.take(bitmap)? };
        let rows = if compressed && !bytes.is_empty() {
            Cow::Owned(inflate(&mut bytes)?)
        } else {
            Cow::Borrowed(bytes.rest())
        };
        let ends_statement = flags & FLAG_STATEMENT_END != 0;
        Ok(Self { kind, table_id, ends_statement, columns, before, after, rows })
    }

    /// True for the event that holds nothing and only ends a statement.
    pub fn is_dummy(&self) -> bool {
        self.table_id == DUMMY_TABLE_ID && self.rows.is_empty()
    }

    /// True for an update whose new rows lack columns.
    pub fn is_partial_update(&self) -> bool {
        self.kind == RowsKind::Update && !(0..self.columns).all(|i| bit(self.after, i))
    }

    /// Bytes of the rows, decompressed.
    pub fn row_bytes(&self) -> usize {
        self.rows.len()
    }
}
