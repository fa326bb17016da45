//! The rows that wait, in the state.
//!
//! A row's key is its table, what has to be equal, its time, and a number that tells rows of one instant apart in the order in
//! which they came. Beside it stands an entry in a queue, which has the same parts with the time in front.

use aqueduct_model::{Error, ErrorKind, Result, State};

use crate::event_time::{INSTANT_BYTES, instant, number};
use crate::state::Store;

/// Keys of rows of the left table, and of the right one, begin with these.
const ROWS: [u8; 2] = [b'L', b'R'];
/// Keys of queues begin with these.
const QUEUES: [u8; 3] = [b'l', b'r', b'x'];
/// The keys of how many rows of each table were kept so far.
const COUNTS: [&[u8]; 2] = [b"N0", b"N1"];
/// The key of the watermark.
const WATERMARK: &[u8] = b"W";
/// The second byte of a row's key: one of the values that have to be equal is NULL, or all are there.
const HAS_NULL: u8 = 0;
const IS_WHOLE: u8 = 1;
/// The length of a row's time and number, at the end of its key.
const MOMENT_BYTES: usize = INSTANT_BYTES + 8;
/// So many rows are looked at at a time.
const PAGE_ROWS: usize = 1_024;
/// So many rows leave a queue at a time.
const DUE_ROWS: usize = 8_192;

/// The rows of a table in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Rows of the left table, or of the right one.
    OfTable(usize),
    /// Rows of the right table that count already.
    InForce,
}

impl Queue {
    fn place(self) -> usize {
        match self {
            Self::OfTable(side) => side,
            Self::InForce => 2,
        }
    }

    fn side(self) -> usize {
        match self {
            Self::OfTable(side) => side,
            Self::InForce => 1,
        }
    }
}

/// A row that waits.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// Its key in the state.
    pub(super) key: Vec<u8>,
    /// It has met a row of the other table.
    pub(super) is_met: bool,
    /// The needed columns.
    pub(super) bytes: Vec<u8>,
}

impl Waiting {
    fn read(key: &[u8], value: &[u8]) -> Result<Self> {
        let (met, bytes) = value.split_first().ok_or_else(foreign)?;
        Ok(Self { key: key.to_vec(), is_met: *met != 0, bytes: bytes.to_vec() })
    }

    fn value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(1 + self.bytes.len());
        value.push(u8::from(self.is_met));
        value.extend_from_slice(&self.bytes);
        value
    }

    /// Its event time in milliseconds.
    ///
    /// # Errors
    /// `State` when its key is none.
    pub(super) fn ms(&self) -> Result<i64> {
        ms_of(&self.key)
    }

    /// What has to be equal; `None` when one of the values is NULL.
    ///
    /// # Errors
    /// `State` when its key is none.
    pub(super) fn on(&self) -> Result<Option<&[u8]>> {
        on_of(&self.key)
    }
}

/// See the module.
pub(super) struct Kept {
    pub(super) store: Store,
    /// How many rows of each table were kept so far.
    counts: [u64; 2],
    /// No row in each queue is earlier; `i64::MAX`: none is in it, unless it is of that very instant.
    first: [i64; 3],
    lateness_ms: i64,
    /// Rows before this are late.
    pub(super) closed: i64,
}

impl Kept {
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn new(mut store: Store, lateness_ms: i64) -> Result<Self> {
        let closed = match store.get(WATERMARK)? {
            None => i64::MIN,
            Some(bytes) => number(&bytes).ok_or_else(foreign)?.saturating_sub(lateness_ms),
        };
        let mut counts = [0; 2];
        for (count, key) in counts.iter_mut().zip(COUNTS) {
            if let Some(bytes) = store.get(key)? {
                *count = u64::from_be_bytes(bytes.as_slice().try_into().map_err(|_| foreign())?);
            }
        }
        Ok(Self { store, counts, first: [i64::MIN; 3], lateness_ms, closed })
    }

    /// Takes in a watermark; false when it is known.
    pub(super) fn rise(&mut self, watermark_ms: i64) -> Result<bool> {
        let closed = watermark_ms.saturating_sub(self.lateness_ms);
        if closed <= self.closed {
            return Ok(false);
        }
        self.store.put(WATERMARK.to_vec(), instant(watermark_ms).to_vec())?;
        self.closed = closed;
        Ok(true)
    }

    /// Keeps a row of a table.
    pub(super) fn add(&mut self, side: usize, on: Option<&[u8]>, ms: i64, is_met: bool, bytes: Vec<u8>) -> Result<()> {
        let mut key = named(side, on);
        key.extend(instant(ms));
        key.extend(self.counts[side].to_be_bytes());
        self.counts[side] += 1;
        self.put_in(Queue::OfTable(side), &key)?;
        self.put(&Waiting { key, is_met, bytes })
    }

    /// Keeps a row as it is now.
    pub(super) fn put(&mut self, row: &Waiting) -> Result<()> {
        self.store.put(row.key.clone(), row.value())
    }

    /// Puts a row that is kept into a queue.
    pub(super) fn put_in(&mut self, queue: Queue, key: &[u8]) -> Result<()> {
        let (name, moment) = split(key)?;
        let first = &mut self.first[queue.place()];
        *first = (*first).min(ms_of(key)?);
        self.store.put(queued(queue, moment), name.to_vec())
    }

    /// Takes a row out of a queue.
    pub(super) fn take_from(&mut self, queue: Queue, key: &[u8]) -> Result<()> {
        self.store.remove(queued(queue, split(key)?.1))
    }

    /// Forgets a row; that it was in a queue is forgotten too. The row, if it was there.
    pub(super) fn take(&mut self, queue: Queue, key: Vec<u8>) -> Result<Option<Waiting>> {
        self.take_from(queue, &key)?;
        let row = self.store.get(&key)?.map(|value| Waiting::read(&key, &value)).transpose()?;
        if row.is_some() {
            self.store.remove(key)?;
        }
        Ok(row)
    }

    /// Forgets a row that is in no queue.
    pub(super) fn forget(&mut self, key: Vec<u8>) -> Result<()> {
        self.store.remove(key)
    }

    /// The first rows of a queue whose time is at most `last`, by their keys, in the order of time. Whoever asks takes all of
    /// them out.
    pub(super) fn due(&mut self, queue: Queue, last: i64) -> Result<Vec<Vec<u8>>> {
        let place = queue.place();
        if self.first[place] > last {
            return Ok(Vec::new());
        }
        let prefix = [QUEUES[place]];
        let mut from = prefix.to_vec();
        from.extend(instant(self.first[place]));
        let (mut keys, mut first) = (Vec::new(), i64::MAX);
        self.store.scan_from(&prefix, &from, |entry, name| {
            let moment = entry.get(1..).ok_or_else(foreign)?;
            let ms = moment.get(..INSTANT_BYTES).and_then(number).ok_or_else(foreign)?;
            first = ms;
            if ms > last || keys.len() == DUE_ROWS {
                return Ok(false);
            }
            keys.push(joined(&[&[ROWS[queue.side()]], name, moment]));
            Ok(true)
        })?;
        // With all of these taken out, nothing is left before the last of them.
        self.first[place] = first;
        Ok(keys)
    }

    /// True when no row is in a queue.
    pub(super) fn is_empty(&self, queue: Queue) -> Result<bool> {
        let mut is_empty = true;
        self.store.scan(&[QUEUES[queue.place()]], |_, _| {
            is_empty = false;
            Ok(false)
        })?;
        Ok(is_empty)
    }

    /// Some of the rows of a table with these values whose time is from `first` to `last`, in the order of time, behind the key
    /// `behind`; and whether there are more.
    pub(super) fn between(
        &self,
        side: usize,
        on: &[u8],
        (first, last): (i64, i64),
        behind: Option<&[u8]>,
    ) -> Result<(Vec<Waiting>, bool)> {
        let (mut found, mut more) = (Vec::new(), false);
        let prefix = named(side, Some(on));
        let from = match behind {
            // The least key behind it.
            Some(key) => joined(&[key, &[0]]),
            None => joined(&[&prefix, &instant(first)]),
        };
        self.store.scan_from(&prefix, &from, |key, value| {
            let row = Waiting::read(key, value)?;
            more = row.ms()? <= last && found.len() == PAGE_ROWS;
            if row.ms()? > last || more {
                return Ok(false);
            }
            found.push(row);
            Ok(true)
        })?;
        Ok((found, more))
    }

    /// Shows the rows of a table with these values from `first` on by their keys and columns, in the order of time, until
    /// `visit` says false.
    pub(super) fn scan(
        &self,
        side: usize,
        on: &[u8],
        first: i64,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let prefix = named(side, Some(on));
        let from = joined(&[&prefix, &instant(first)]);
        self.store.scan_from(&prefix, &from, |key, value| visit(key, value.get(1..).ok_or_else(foreign)?))
    }

    /// Forgets all rows of a table.
    pub(super) fn clear(&mut self, side: usize) -> Result<()> {
        let queues = QUEUES.iter().enumerate().filter(|(place, _)| *place == side || (side == 1 && *place == 2));
        let prefixes: Vec<u8> = queues.map(|(_, prefix)| *prefix).chain([ROWS[side]]).collect();
        for prefix in prefixes {
            let mut from = vec![prefix];
            loop {
                let mut keys = Vec::new();
                self.store.scan_from(&[prefix], &from, |key, _| {
                    keys.push(key.to_vec());
                    Ok(keys.len() < DUE_ROWS)
                })?;
                let Some(last) = keys.last() else { break };
                from.clone_from(last);
                keys.into_iter().try_for_each(|key| self.store.remove(key))?;
            }
        }
        Ok(())
    }

    /// What a checkpoint has to keep.
    pub(super) fn snapshot(&mut self) -> Result<State> {
        for (count, key) in self.counts.into_iter().zip(COUNTS) {
            let count = count.to_be_bytes().to_vec();
            if self.store.get(key)?.as_ref() != Some(&count) {
                self.store.put(key.to_vec(), count)?;
            }
        }
        self.store.snapshot()
    }
}

/// What the keys of rows with these values begin with.
fn named(side: usize, on: Option<&[u8]>) -> Vec<u8> {
    let mut name = vec![ROWS[side], if on.is_some() { IS_WHOLE } else { HAS_NULL }];
    name.extend_from_slice(on.unwrap_or_default());
    name
}

/// A row's place in a queue.
fn queued(queue: Queue, moment: &[u8]) -> Vec<u8> {
    joined(&[&[QUEUES[queue.place()]], moment])
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// What has to be equal, with the byte in front of it; and the time with the number.
fn split(key: &[u8]) -> Result<(&[u8], &[u8])> {
    let end = key.len().checked_sub(MOMENT_BYTES).filter(|end| *end >= 2).ok_or_else(foreign)?;
    Ok((&key[1..end], &key[end..]))
}

/// The event time in a row's key.
///
/// # Errors
/// `State` when it is none.
pub(super) fn ms_of(key: &[u8]) -> Result<i64> {
    split(key)?.1.get(..INSTANT_BYTES).and_then(number).ok_or_else(foreign)
}

/// What has to be equal in a row's key; `None` when one of the values is NULL.
///
/// # Errors
/// `State` when it is none.
pub(super) fn on_of(key: &[u8]) -> Result<Option<&[u8]>> {
    let (is_whole, on) = split(key)?.0.split_first().ok_or_else(foreign)?;
    Ok((*is_whole == IS_WHOLE).then_some(on))
}

fn foreign() -> Error {
    Error::new(ErrorKind::State, "the kept rows of a join are not those of this task")
        .with_hint("put the settings back for one start, or start over with `aqueduct checkpoint reset`")
}
