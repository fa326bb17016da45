//! The rows of both tables, in the state: by what has to be equal, then by what tells them apart.

use aqueduct_model::{Error, ErrorKind, Result};

use crate::join::side::Row;
use crate::state::Store;

/// Rows of the left table, and of the right one, begin with these.
const ROWS: [u8; 2] = [b'L', b'R'];
/// Where a row is that is known by its key only.
const PLACES: [u8; 2] = [b'l', b'r'];
/// The second byte of a row's key: one of the values that have to be equal is NULL, or all are there.
const HAS_NULL: u8 = 0;
const IS_WHOLE: u8 = 1;
/// The length of the two numbers in front of a kept row.
const HEAD_BYTES: usize = 16;

/// A kept row.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    /// What has to be equal; `None` when one of the values is NULL.
    on: Option<Vec<u8>>,
    /// What tells it from the others.
    pub(super) id: Vec<u8>,
    /// The needed columns.
    pub(super) bytes: Vec<u8>,
    /// How many rows of the other table it meets.
    pub(super) partners: i64,
    /// How often it is there: of a table without a key, rows may be equal.
    pub(super) count: i64,
}

impl Kept {
    /// A row that is not there yet.
    pub(super) fn new(row: Row) -> Self {
        Self { on: row.on, id: row.id, bytes: row.bytes, partners: 0, count: 0 }
    }

    /// What has to be equal; `None` when one of the values is NULL.
    pub(super) fn on(&self) -> Option<&[u8]> {
        self.on.as_deref()
    }
}

/// See the module.
pub(super) struct Rows {
    pub(super) store: Store,
}

impl Rows {
    /// The row with these values and this identity.
    pub(super) fn get(&mut self, side: usize, on: Option<&[u8]>, id: &[u8]) -> Result<Option<Kept>> {
        let found = self.store.get(&name(side, on, id))?;
        found.map(|bytes| read(on, id, &bytes)).transpose()
    }

    /// The row with this key.
    pub(super) fn by_key(&mut self, side: usize, id: &[u8]) -> Result<Option<Kept>> {
        let Some(place) = self.store.get(&place(side, id))? else { return Ok(None) };
        let (whole, on) = place.split_first().ok_or_else(foreign)?;
        self.get(side, (*whole == IS_WHOLE).then_some(on), id)
    }

    /// The rows with these values.
    pub(super) fn partners(&self, side: usize, on: &[u8]) -> Result<Vec<Kept>> {
        let prefix = name(side, Some(on), &[]);
        let mut found = Vec::new();
        self.store.scan(&prefix, |key, bytes| {
            found.push(read(Some(on), key.get(prefix.len()..).ok_or_else(foreign)?, bytes)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Keeps a row as it is now, or forgets it when it is there no more.
    pub(super) fn put(&mut self, side: usize, row: &Kept, has_key: bool) -> Result<()> {
        let name = name(side, row.on(), &row.id);
        if has_key {
            let place = place(side, &row.id);
            let mut whole = vec![if row.on.is_some() { IS_WHOLE } else { HAS_NULL }];
            whole.extend_from_slice(row.on().unwrap_or_default());
            if row.count > 0 { self.store.put(place, whole)? } else { self.store.remove(place)? }
        }
        self.update(name, row)
    }

    /// Keeps a row that is there already with another number of partners.
    pub(super) fn meet(&mut self, side: usize, row: &Kept) -> Result<()> {
        self.update(name(side, row.on(), &row.id), row)
    }

    fn update(&mut self, name: Vec<u8>, row: &Kept) -> Result<()> {
        if row.count == 0 {
            return self.store.remove(name);
        }
        let mut bytes = Vec::with_capacity(HEAD_BYTES + row.bytes.len());
        bytes.extend(row.partners.to_le_bytes());
        bytes.extend(row.count.to_le_bytes());
        bytes.extend_from_slice(&row.bytes);
        self.store.put(name, bytes)
    }

    /// The next rows of a table behind a key of the state, at most so many.
    pub(super) fn page(&self, side: usize, behind: Option<&[u8]>, rows_max: usize) -> Result<Page> {
        let prefix = [ROWS[side]];
        let mut from = behind.unwrap_or(&prefix).to_vec();
        if behind.is_some() {
            // The least key behind it.
            from.push(0);
        }
        let mut page = Page { rows: Vec::new(), last: None };
        self.store.scan_from(&prefix, &from, |key, bytes| {
            page.rows.push(bytes.get(HEAD_BYTES..).ok_or_else(foreign)?.to_vec());
            page.last = Some(key.to_vec());
            Ok(page.rows.len() < rows_max)
        })?;
        Ok(page)
    }
}

/// Some rows of a table, in the order of the state.
pub(super) struct Page {
    /// The needed columns of each.
    pub(super) rows: Vec<Vec<u8>>,
    /// The key of the last.
    pub(super) last: Option<Vec<u8>>,
}

fn name(side: usize, on: Option<&[u8]>, id: &[u8]) -> Vec<u8> {
    let mut name = vec![ROWS[side], if on.is_some() { IS_WHOLE } else { HAS_NULL }];
    name.extend_from_slice(on.unwrap_or_default());
    name.extend_from_slice(id);
    name
}

fn place(side: usize, id: &[u8]) -> Vec<u8> {
    let mut place = vec![PLACES[side]];
    place.extend_from_slice(id);
    place
}

fn read(on: Option<&[u8]>, id: &[u8], bytes: &[u8]) -> Result<Kept> {
    let (head, row) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(foreign)?;
    let number = |at: usize| {
        head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(i64::from_le_bytes).ok_or_else(foreign)
    };
    Ok(Kept {
        on: on.map(<[u8]>::to_vec),
        id: id.to_vec(),
        bytes: row.to_vec(),
        partners: number(0)?,
        count: number(8)?,
    })
}

fn foreign() -> Error {
    Error::new(ErrorKind::State, "the kept rows of a join are not those of this task")
        .with_hint("put the settings back for one start, or start over with `aqueduct checkpoint reset`")
}
