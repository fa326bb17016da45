//! Windows that the watermark has passed, as rows; what no window needs any more is forgotten.

use aqueduct_model::Result;

use super::bound::{Bound, Closed};
use super::frame::{Frame, first_end};
use super::panes::{Panes, TIMER, foreign, instant, number, timer};
use crate::group::{self, Group};

/// About how many windows are made into rows at a time.
const CLOSED_ROWS_MAX: usize = 8_192;

impl Panes {
    /// Closes windows that end at or before `limit`, in the order of time; the rows of some of them. None: all are closed.
    ///
    /// # Errors
    /// `State` when it is damaged; `Data` when a total becomes too large.
    pub(super) fn close(&mut self, bound: &Bound, limit: i64) -> Result<Vec<Closed>> {
        let closed = match self.frame {
            Frame::Hop { size, slide, .. } if size == slide => self.close_tumbling(bound, size, limit)?,
            Frame::Hop { size, slide, offset, .. } => self.close_hopping(bound, (size, slide, offset), limit)?,
            Frame::Session { gap } => self.close_sessions(bound, gap, limit)?,
        };
        if closed.is_empty() {
            self.closed = self.closed.max(limit);
        }
        Ok(closed)
    }

    fn close_tumbling(&mut self, bound: &Bound, size: i64, limit: i64) -> Result<Vec<Closed>> {
        let mut closed = Vec::new();
        if self.first.saturating_add(size) > limit || self.first == i64::MAX {
            return Ok(closed);
        }
        let prefix = group::name(&[]);
        let mut from = prefix.clone();
        from.extend(instant(self.first));
        self.store.scan_from(&prefix, &from, |key, value| {
            let (start, group) = self.parts(key.get(prefix.len()..).ok_or_else(foreign)?)?;
            let end = start.saturating_add(size);
            if end > limit || closed.len() == CLOSED_ROWS_MAX {
                return Ok(false);
            }
            closed.push(Closed { start, end, key: group.to_vec(), group: Group::read(&bound.group, value)? });
            Ok(true)
        })?;
        let mut name = Vec::new();
        for window in &closed {
            self.name(window.start, &window.key, &mut name);
            self.forget(bound, &name)?;
        }
        self.find_first()?;
        Ok(closed)
    }

    fn close_hopping(&mut self, bound: &Bound, windows: (i64, i64, i64), limit: i64) -> Result<Vec<Closed>> {
        let (size, slide, offset) = windows;
        while self.first < i64::MAX {
            let end = first_end(self.first.max(self.closed), size, slide, offset);
            if end > limit {
                break;
            }
            let mut sliding = std::mem::take(&mut self.sliding);
            let closed = sliding.close(self, bound, end - size, end)?;
            // The next window begins here.
            let gone = sliding.leave(self, bound, end - size + slide)?;
            self.sliding = sliding;
            for name in gone {
                self.forget(bound, &name)?;
            }
            self.closed = end;
            self.find_first()?;
            if !closed.is_empty() {
                return Ok(closed);
            }
        }
        Ok(Vec::new())
    }

    fn close_sessions(&mut self, bound: &Bound, gap: i64, limit: i64) -> Result<Vec<Closed>> {
        let mut closed = Vec::new();
        let last = limit.saturating_sub(gap);
        while closed.is_empty() && self.first <= last && self.first < i64::MAX {
            let mut due: Vec<(i64, Vec<u8>)> = Vec::new();
            let mut from = vec![TIMER];
            from.extend(instant(self.first));
            self.store.scan_from(&[TIMER], &from, |key, _| {
                let (ms, group) = key.get(1..).and_then(|key| key.split_at_checked(8)).ok_or_else(foreign)?;
                let ms = number(ms).ok_or_else(foreign)?;
                if ms > last || due.len() == CLOSED_ROWS_MAX {
                    return Ok(false);
                }
                due.push((ms, group.to_vec()));
                Ok(true)
            })?;
            for (ms, group) in due {
                self.store.remove(timer(ms, &group))?;
                if !self.goes_on(&group, ms, gap)? {
                    self.end_sessions(bound, &group, ms, gap, &mut closed)?;
                }
            }
            self.find_first()?;
        }
        Ok(closed)
    }

    /// True when a row follows within the gap.
    fn goes_on(&self, group: &[u8], ms: i64, gap: i64) -> Result<bool> {
        let prefix = group::name(group);
        let mut from = prefix.clone();
        from.extend(instant(ms.saturating_add(1)));
        let mut next = None;
        self.store.scan_from(&prefix, &from, |key, _| {
            next = Some(key.get(prefix.len()..).and_then(number).ok_or_else(foreign)?);
            Ok(false)
        })?;
        Ok(next.is_some_and(|next| next < ms.saturating_add(gap)))
    }

    /// Ends the sessions of a group whose last row is at `last` or before.
    fn end_sessions(&mut self, bound: &Bound, key: &[u8], last: i64, gap: i64, closed: &mut Vec<Closed>) -> Result<()> {
        let prefix = group::name(key);
        let mut sessions: Vec<(Closed, Vec<Vec<u8>>)> = Vec::new();
        self.store.scan_from(&prefix, &prefix, |name, value| {
            let ms = name.get(prefix.len()..).and_then(number).ok_or_else(foreign)?;
            if ms > last {
                return Ok(false);
            }
            let totals = Group::read(&bound.group, value)?;
            let name = name.get(1..).ok_or_else(foreign)?.to_vec();
            let end = ms.saturating_add(gap);
            match sessions.last_mut().filter(|(session, _)| ms < session.end) {
                Some((session, panes)) => {
                    session.group.merge(&totals)?;
                    session.end = end;
                    panes.push(name);
                }
                None => sessions.push((Closed { start: ms, end, key: key.to_vec(), group: totals }, vec![name])),
            }
            Ok(true)
        })?;
        for (mut session, panes) in sessions {
            if bound.group.counts_different() {
                session.group.recount(&bound.group, &self.store, &panes)?;
            }
            for name in panes {
                self.forget(bound, &name)?;
            }
            closed.push(session);
        }
        Ok(())
    }
}
