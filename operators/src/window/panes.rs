//! The open panes, in the state: for each the totals of its rows, by group.

use aqueduct_model::{Batch, Error, ErrorKind, Result};

use super::bound::Bound;
use super::frame::Frame;
use super::sliding::Sliding;
use crate::event_time::{INSTANT_BYTES, millis};
pub(super) use crate::event_time::{instant, number};
use crate::group::{self, Columns, Groups, Moves, Values};
use crate::state::Store;

/// Keys of timers begin with this: an instant of a session that may be its last, and its group.
pub(super) const TIMER: u8 = b'T';
/// The key of the watermark.
const WATERMARK: &[u8] = b"W";

/// See the module.
pub(super) struct Panes {
    pub(super) store: Store,
    pub(super) frame: Frame,
    pub(super) values: Values,
    lateness_ms: i64,
    /// No pane begins (of sessions: no timer is set) before this; `i64::MAX`: there is none.
    pub(super) first: i64,
    /// Windows that end here or before are closed.
    pub(super) closed: i64,
    pub(super) sliding: Sliding,
}

impl Panes {
    /// The panes of a state.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn new(mut store: Store, frame: Frame, lateness_ms: i64, values: Values) -> Result<Self> {
        let closed = match store.get(WATERMARK)? {
            None => i64::MIN,
            Some(bytes) => number(&bytes).ok_or_else(foreign)?.saturating_sub(lateness_ms),
        };
        let mut panes =
            Self { store, frame, values, lateness_ms, first: i64::MIN, closed, sliding: Sliding::default() };
        panes.find_first()?;
        Ok(panes)
    }

    /// Takes in a watermark; windows that end at or before what comes back are to be closed. `None` when it is known.
    pub(super) fn rise(&mut self, watermark_ms: i64) -> Result<Option<i64>> {
        let limit = watermark_ms.saturating_sub(self.lateness_ms);
        if limit <= self.closed {
            return Ok(None);
        }
        self.store.put(WATERMARK.to_vec(), instant(watermark_ms).to_vec())?;
        Ok(Some(limit))
    }

    /// Adds and takes away rows; those that are late, by their index in `moves`.
    ///
    /// # Errors
    /// `Data` when a row is taken away that was never there.
    pub(super) fn take_in(&mut self, bound: &Bound, moves: &Moves, columns: &Columns) -> Result<Vec<usize>> {
        let Some(times) = columns.by.last() else { return Err(Error::bug("rows without an event time")) };
        let times = millis(times, "time")?;
        let keys = bound.keys(&columns.by)?;
        let mut failed = columns.failed.iter().map(|(i, _)| *i).peekable();
        let mut groups = Groups::new(self.values);
        let mut late = Vec::new();
        let mut name = Vec::new();
        for (i, &sign) in moves.signs.iter().enumerate() {
            if failed.next_if_eq(&i).is_some() {
                continue;
            }
            let Some(ms) = times[i] else { return Err(Error::bug("a row without an event time was not refused")) };
            let pane = self.frame.pane(ms);
            if self.frame.is_late(pane, self.closed) {
                late.push(i);
                continue;
            }
            let group = keys.as_ref().map(|keys| keys.row(i));
            self.name(pane, group.as_ref().map_or(&[], AsRef::as_ref), &mut name);
            let place = groups.place(&name, &bound.group, &mut self.store)?;
            groups.add(place, columns, i, sign, &mut self.store)?;
        }
        let (new, _) = groups.store(&mut self.store)?;
        for name in new {
            let (pane, group) = self.parts(&name)?;
            self.first = self.first.min(pane);
            if let Frame::Session { .. } = self.frame {
                let timer = timer(pane, group);
                self.store.put(timer, Vec::new())?;
            }
        }
        Ok(late)
    }

    /// The key of a pane of a group, into `name`. Panes lie in the order of time; those of sessions group by group.
    pub(super) fn name(&self, pane: i64, group: &[u8], name: &mut Vec<u8>) {
        name.clear();
        match self.frame {
            Frame::Hop { .. } => {
                name.extend(instant(pane));
                name.extend_from_slice(group);
            }
            Frame::Session { .. } => {
                name.extend_from_slice(group);
                name.extend(instant(pane));
            }
        }
    }

    /// The instant and the group of a pane's key.
    ///
    /// # Errors
    /// `State` when it is none.
    pub(super) fn parts<'a>(&self, name: &'a [u8]) -> Result<(i64, &'a [u8])> {
        let split = match self.frame {
            Frame::Hop { .. } => name.split_at_checked(INSTANT_BYTES),
            Frame::Session { .. } => {
                let at = name.len().checked_sub(INSTANT_BYTES);
                at.and_then(|at| name.split_at_checked(at)).map(|(group, pane)| (pane, group))
            }
        };
        let (pane, group) = split.ok_or_else(foreign)?;
        Ok((number(pane).ok_or_else(foreign)?, group))
    }

    /// Finds the first pane, or timer, at or behind the last known first.
    pub(super) fn find_first(&mut self) -> Result<()> {
        let prefix = match self.frame {
            Frame::Hop { .. } => group::name(&[]),
            Frame::Session { .. } => vec![TIMER],
        };
        let mut from = prefix.clone();
        from.extend(instant(self.first));
        let mut found = None;
        self.store.scan_from(&prefix, &from, |key, _| {
            found = Some(key.get(prefix.len()..prefix.len() + INSTANT_BYTES).and_then(number).ok_or_else(foreign)?);
            Ok(false)
        })?;
        self.first = found.unwrap_or(i64::MAX);
        Ok(())
    }

    /// Forgets all panes; what is closed stays closed.
    pub(super) fn clear(&mut self) -> Result<()> {
        let watermark = self.store.get(WATERMARK)?;
        self.store.clear();
        self.sliding = Sliding::default();
        self.first = i64::MAX;
        watermark.map_or(Ok(()), |bytes| self.store.put(WATERMARK.to_vec(), bytes))
    }

    /// Forgets a pane of a group.
    pub(super) fn forget(&mut self, bound: &Bound, name: &[u8]) -> Result<()> {
        group::remove(&bound.group, &mut self.store, name, self.values)
    }
}

/// The rows of a batch that moves come from.
pub(super) fn origins(batch: &Batch, moves: &Moves, late: &[usize]) -> Vec<bool> {
    let mut chosen = vec![false; batch.num_rows()];
    late.iter().for_each(|&i| chosen[moves.origins[i]] = true);
    chosen
}

pub(super) fn timer(ms: i64, group: &[u8]) -> Vec<u8> {
    let mut key = vec![TIMER];
    key.extend(instant(ms));
    key.extend_from_slice(group);
    key
}

pub(super) fn foreign() -> Error {
    Error::new(ErrorKind::State, "the kept windows are not those of this task").with_hint(
        "put `tumble`, `hop` or `session` back for one start, or start over with `aqueduct checkpoint reset`",
    )
}
