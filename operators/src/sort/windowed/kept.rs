//! The rows of open windows, in the state, in the order in which they will go out.
//!
//! A row's key is its window's end, its group, what it is sorted by, and the row itself; the value says how often it came.
//! So rows that are equal in what they are sorted by have an order too, the same however they came.

use std::collections::HashMap;

use aqueduct_model::{Batch, Error, ErrorKind, Result};

use super::bound::{Bound, Places};
use crate::event_time::{INSTANT_BYTES, instant, number};
use crate::sql::whole::First;
use crate::state::Store;

/// Keys of rows begin with this.
const ROW: u8 = b'R';
/// The key of the watermark.
const WATERMARK: &[u8] = b"W";
const LENGTH_BYTES: usize = 4;
/// So many rows go out at a time.
const CLOSED_ROWS_MAX: usize = 8_192;
/// Of so many groups it is known which rows need not be kept; of others it is found out.
const HEADS_MAX: usize = 65_536;
/// A group that holds so many rows more than twice what goes out is cut.
const SLACK_ROWS: u64 = 16;

/// See the module.
pub(super) struct Kept {
    pub(super) store: Store,
    first: First,
    /// Windows that end here or before are closed.
    pub(super) closed: i64,
    heads: HashMap<Vec<u8>, Head>,
    /// The group that is going out, how many of its rows are out, and what the last of them is sorted by.
    leaving: (Vec<u8>, u64, Vec<u8>),
}

/// What is known of a group in a window.
#[derive(Default)]
struct Head {
    rows: u64,
    /// When there are more, they are cut.
    cut_at: u64,
    /// What the last row that goes out is sorted by: rows behind it need not be kept.
    last: Option<Vec<u8>>,
}

impl Kept {
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn new(mut store: Store, first: First) -> Result<Self> {
        let closed = store.get(WATERMARK)?.map(|bytes| number(&bytes).ok_or_else(foreign)).transpose()?;
        let leaving = (Vec::new(), 0, Vec::new());
        Ok(Self { store, first, closed: closed.unwrap_or(i64::MIN), heads: HashMap::new(), leaving })
    }

    /// Takes in a watermark; false when it is known.
    pub(super) fn rise(&mut self, watermark_ms: i64) -> Result<bool> {
        if watermark_ms <= self.closed {
            return Ok(false);
        }
        self.store.put(WATERMARK.to_vec(), instant(watermark_ms).to_vec())?;
        Ok(true)
    }

    /// Keeps rows; those that are late, by their index.
    pub(super) fn take_in(&mut self, bound: &Bound, batch: &Batch, places: &Places) -> Result<Vec<usize>> {
        let mut refused = places.refused.iter().map(|(row, _)| *row).peekable();
        let (mut late, mut chosen, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            if refused.next_if_eq(&row).is_some() {
                continue;
            }
            let Some(until) = places.until[row] else {
                return Err(Error::bug("a row without a window was not refused"));
            };
            if until <= self.closed {
                late.push(row);
                continue;
            }
            let name = name(until, &places.group(row));
            let order = places.order(row);
            let order: &[u8] = order.as_ref();
            if self.head(&name)?.last.as_deref().is_none_or(|last| order <= last) {
                chosen.push(row as u32);
                names.push(name);
            }
        }
        let rows = bound.bytes(batch, &chosen)?;
        for (i, (row, name)) in chosen.iter().zip(names).enumerate() {
            self.add(&name, places.order(*row as usize).as_ref(), rows.row(i).as_ref())?;
        }
        Ok(late)
    }

    fn add(&mut self, name: &[u8], order: &[u8], row: &[u8]) -> Result<()> {
        let key = [name, order, row].concat();
        let times = match self.store.get(&key)? {
            Some(value) => Entry::read(&value)?.times,
            None => 0,
        };
        self.store.put(key, Entry { times: times + 1, order_bytes: order.len() }.write())?;
        let head = self.head(name)?;
        head.rows += 1;
        if head.rows > head.cut_at { self.cut(name) } else { Ok(()) }
    }

    fn head(&mut self, name: &[u8]) -> Result<&mut Head> {
        if !self.heads.contains_key(name) {
            if self.heads.len() == HEADS_MAX {
                self.heads.clear();
            }
            let head = self.find_head(name)?.0;
            self.heads.insert(name.to_vec(), head);
        }
        self.heads.get_mut(name).ok_or_else(|| Error::bug("a group that was just noted is not there"))
    }

    /// What is known of a group, and the keys of the rows that will not go out.
    fn find_head(&self, name: &[u8]) -> Result<(Head, Vec<Vec<u8>>)> {
        let Some(limit) = self.first.limit else {
            return Ok((Head { rows: 0, cut_at: u64::MAX, last: None }, Vec::new()));
        };
        let (mut head, mut surplus, mut before) = (Head::default(), Vec::new(), 0);
        self.store.scan(name, |key, value| {
            let entry = Entry::read(value)?;
            let order = entry.order(key, name.len())?;
            let goes_out = before < limit || (self.first.ties && head.last.as_deref() == Some(order));
            if goes_out {
                before += entry.times;
                head.rows += entry.times;
                head.last = (before >= limit).then(|| order.to_vec());
            } else {
                surplus.push(key.to_vec());
            }
            Ok(true)
        })?;
        head.cut_at = head.rows.saturating_mul(2).saturating_add(SLACK_ROWS);
        Ok((head, surplus))
    }

    /// Forgets the rows of a group that will not go out.
    fn cut(&mut self, name: &[u8]) -> Result<()> {
        let (head, surplus) = self.find_head(name)?;
        for key in surplus {
            self.store.remove(key)?;
        }
        self.heads.insert(name.to_vec(), head);
        Ok(())
    }

    /// Closes windows that end at or before `limit`; some of their rows, in order, and whether there are more.
    pub(super) fn close(&mut self, limit: i64) -> Result<(Vec<Vec<u8>>, bool)> {
        let (mut rows, mut gone) = (Vec::new(), Vec::new());
        let (first, mut leaving) = (self.first, std::mem::take(&mut self.leaving));
        self.store.scan(&[ROW], |key, value| {
            let (until, name_bytes) = parts(key)?;
            if until > limit || rows.len() >= CLOSED_ROWS_MAX || gone.len() >= CLOSED_ROWS_MAX {
                return Ok(false);
            }
            let (name, entry) = (&key[..name_bytes], Entry::read(value)?);
            if leaving.0 != name {
                leaving = (name.to_vec(), 0, Vec::new());
            }
            let order = entry.order(key, name_bytes)?;
            let left = first.limit.map_or(u64::MAX, |limit| limit.saturating_sub(leaving.1));
            let times = match left {
                0 if first.ties && leaving.2 == order => entry.times,
                left if first.ties && left > 0 => entry.times,
                left => entry.times.min(left),
            };
            if times > 0 {
                leaving.1 += times;
                leaving.2 = order.to_vec();
                let row = key.get(name_bytes + entry.order_bytes..).ok_or_else(foreign)?;
                rows.extend(std::iter::repeat_n(row.to_vec(), usize::try_from(times).unwrap_or(usize::MAX)));
            }
            gone.push(key.to_vec());
            Ok(true)
        })?;
        let is_done = gone.is_empty();
        for key in gone {
            self.store.remove(key)?;
        }
        if is_done {
            self.closed = self.closed.max(limit);
            self.heads.retain(|name, _| parts(name).is_ok_and(|(until, _)| until > limit));
        } else {
            self.leaving = leaving;
        }
        Ok((rows, !is_done))
    }

    /// Forgets all rows; what is closed stays closed.
    pub(super) fn clear(&mut self) -> Result<()> {
        let watermark = self.store.get(WATERMARK)?;
        self.store.clear();
        self.heads.clear();
        watermark.map_or(Ok(()), |bytes| self.store.put(WATERMARK.to_vec(), bytes))
    }
}

/// What is kept of a row beside its key.
struct Entry {
    /// How often it came.
    times: u64,
    order_bytes: usize,
}

impl Entry {
    fn write(&self) -> Vec<u8> {
        let mut bytes = self.times.to_le_bytes().to_vec();
        bytes.extend((self.order_bytes as u32).to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let (times, order) = bytes.split_at_checked(8).ok_or_else(foreign)?;
        let times = u64::from_le_bytes(times.try_into().map_err(|_| foreign())?);
        let order_bytes = u32::from_le_bytes(order.try_into().map_err(|_| foreign())?) as usize;
        Ok(Self { times, order_bytes })
    }

    /// What the row is sorted by; `name_bytes` of its key stand before that.
    fn order<'a>(&self, key: &'a [u8], name_bytes: usize) -> Result<&'a [u8]> {
        key.get(name_bytes..name_bytes + self.order_bytes).ok_or_else(foreign)
    }
}

/// What the keys of the rows of a group in a window begin with.
fn name(until: i64, group: &[u8]) -> Vec<u8> {
    let mut name = vec![ROW];
    name.extend(instant(until));
    name.extend((group.len() as u32).to_be_bytes());
    name.extend_from_slice(group);
    name
}

/// The window's end and the length of [`name`] in a key.
fn parts(key: &[u8]) -> Result<(i64, usize)> {
    let until = key.get(1..1 + INSTANT_BYTES).and_then(number).ok_or_else(foreign)?;
    let length = key.get(1 + INSTANT_BYTES..1 + INSTANT_BYTES + LENGTH_BYTES).ok_or_else(foreign)?;
    let length = u32::from_be_bytes(length.try_into().map_err(|_| foreign())?) as usize;
    let name_bytes = 1 + INSTANT_BYTES + LENGTH_BYTES + length;
    if key.len() < name_bytes { Err(foreign()) } else { Ok((until, name_bytes)) }
}

fn foreign() -> Error {
    Error::new(ErrorKind::State, "the kept rows are not those of this task")
        .with_hint("put the settings back for one start, or start over with `aqueduct checkpoint reset`")
}
