//! Chunks that an earlier life read and made durable, and whose rows no checkpoint has seen: they are not read again.
//!
//! Such an entry is true by itself: the rows of its range as of its place in the log. It fits when the table's snapshot
//! stands where its range begins, in its columns, and the log has not come behind its place. Until the log is there, a
//! change of any table's columns ends this: what is left is removed, and read again.

use aqueduct_model::{ErrorKind, Result};

use super::System;
use super::hand_out::Handing;
use super::journal::{Entry, What};
use super::position::Phase;
use super::work::{Lane, Work};
use crate::cdc::SnapshotMode;

/// What is known of the entries behind the position.
pub(super) enum Ahead<M: super::Mark> {
    /// There are none that count.
    Nothing,
    /// The next one was not looked at yet.
    Perhaps,
    /// The next one, which fits once the log is there.
    Next(Box<Entry<M>>),
    /// They do not count any more and are to be removed.
    Stale,
}

impl<S: System> Work<S> {
    /// Looks for entries behind the position from now on, unless this life begins with something else.
    pub(super) async fn look_ahead(&mut self) -> Result<()> {
        let is_straight = self.lane == Lane::Main
            && self.todo.is_empty()
            && self.found.is_none()
            && self.settings.snapshot != SnapshotMode::Always;
        self.ahead = if is_straight { Ahead::Perhaps } else { Ahead::Stale };
        self.journal.forget_drafts().await?;
        if is_straight { Ok(()) } else { self.forget_ahead().await }
    }

    /// What lies ahead does not fit any more.
    pub(super) fn ahead_is_stale(&mut self) {
        if !matches!(self.ahead, Ahead::Nothing) {
            self.ahead = Ahead::Stale;
        }
    }

    /// Hands out the next entry, or has the log read up to it; `None` when there is none.
    pub(super) async fn step_ahead(&mut self) -> Result<Option<bool>> {
        let next = match std::mem::replace(&mut self.ahead, Ahead::Stale) {
            Ahead::Nothing => {
                self.ahead = Ahead::Nothing;
                return Ok(None);
            }
            Ahead::Stale => None,
            Ahead::Next(entry) => Some(entry),
            Ahead::Perhaps => match self.journal.load::<S::Mark>(self.state.entry).await {
                // A crash may have left it in parts; nobody counts on it.
                Err(error) if error.kind() == ErrorKind::State => None,
                loaded => loaded?.filter(|entry| self.fits(entry)).map(Box::new),
            },
        };
        let Some(entry) = next else {
            self.forget_ahead().await?;
            return Ok(None);
        };
        if self.system.reached(&self.state.log, &entry.at) {
            tracing::debug!(entry = entry.number, "a chunk that an earlier run read is not read again");
            self.state.log = entry.at.clone();
            self.handing = Some(Handing::new(*entry, 0));
            self.ahead = Ahead::Perhaps;
            return Ok(Some(true));
        }
        self.limit = Some(entry.at.clone());
        self.ahead = Ahead::Next(entry);
        Ok(Some(false))
    }

    async fn forget_ahead(&mut self) -> Result<()> {
        self.journal.forget_from(self.state.entry + u64::from(self.state.done > 0)).await?;
        self.ahead = Ahead::Nothing;
        Ok(())
    }

    fn fits(&self, entry: &Entry<S::Mark>) -> bool {
        let What::Chunk { table, range, .. } = &entry.what else { return false };
        let Some(state) = self.state.tables.get(table) else { return false };
        let Phase::Snapshot { after, again, .. } = &state.phase else { return false };
        state.shape == range.shape
            && *after == range.after
            && *again == range.again
            && self.system.reached(&entry.at, &self.state.log)
    }
}
