//! One epoch under way, and the order in which epochs may pass.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use aqueduct_model::{BadRow, Epoch, Error, Positions, PreparedCommit, Result, State, Token};
use tokio::time::Instant;

use super::protocol::Part;
use crate::receipts::{Content, Receipt};

/// An epoch between its barrier and its last commit.
#[derive(Debug)]
pub(crate) struct EpochUnderWay {
    pub(crate) epoch: Epoch,
    /// The flow stops after this epoch.
    pub(crate) stop: bool,
    /// Everything has ended: this epoch is the flow's last.
    pub(crate) last: bool,
    pub(crate) started: Instant,
    /// Tasks whose part is missing, by index.
    pub(crate) awaiting: BTreeSet<usize>,
    /// Sinks that were told to commit and have not answered, by index. Used once the epoch is logged.
    pub(crate) committing: BTreeSet<usize>,
    pub(crate) logged: bool,
    pub(crate) positions: Positions,
    /// Sources that end in the epoch that follows, or did in an earlier one.
    pub(crate) ended: BTreeSet<String>,
    pub(crate) states: BTreeMap<String, State>,
    pub(crate) prepared: BTreeMap<String, PreparedCommit>,
    /// By sink, what it was given.
    pub(crate) contents: BTreeMap<String, Content>,
    /// By task, rows to be kept as dead letters.
    pub(crate) bad_rows: Vec<(String, Vec<BadRow>)>,
}

impl EpochUnderWay {
    pub(crate) fn new(epoch: Epoch, stop: bool, last: bool, awaiting: BTreeSet<usize>) -> Self {
        Self {
            epoch,
            stop,
            last,
            started: Instant::now(),
            awaiting,
            committing: BTreeSet::new(),
            logged: false,
            positions: Positions::new(),
            ended: BTreeSet::new(),
            states: BTreeMap::new(),
            prepared: BTreeMap::new(),
            contents: BTreeMap::new(),
            bad_rows: Vec::new(),
        }
    }

    /// The epoch's receipt, once every part is there.
    pub(crate) fn receipt(&mut self, token: Token) -> Receipt {
        Receipt::new((self.epoch, token), now_ms(), self.positions.clone(), std::mem::take(&mut self.contents))
    }

    /// Takes one task's part.
    ///
    /// # Errors
    /// `Bug` when the part was not awaited: a task has answered twice or for another epoch.
    pub(crate) fn take(
        &mut self,
        task: usize,
        id: &str,
        epoch: Epoch,
        part: Part,
        bad_rows: Vec<BadRow>,
    ) -> Result<()> {
        if epoch != self.epoch || !self.awaiting.remove(&task) {
            return Err(Error::bug(format!(
                "task {id} answered for epoch {epoch} unasked; {} is under way",
                self.epoch
            )));
        }
        match part {
            Part::Source { position, ended } => {
                self.ended.extend(ended.then(|| id.to_owned()));
                self.positions.extend(position.map(|position| (id.to_owned(), position)));
            }
            Part::Operator { state } => {
                self.states.insert(id.to_owned(), state);
            }
            Part::Sink { prepared, content } => {
                self.contents.insert(id.to_owned(), content);
                self.prepared.extend(prepared.map(|prepared| (id.to_owned(), prepared)));
            }
        }
        if !bad_rows.is_empty() {
            self.bad_rows.push((id.to_owned(), bad_rows));
        }
        Ok(())
    }
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// `acked <= committed <= logged`, each rising by one. Checked in release builds too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EpochOrder {
    pub(crate) logged: Epoch,
    committed: Epoch,
    acked: Epoch,
}

impl EpochOrder {
    /// Everything up to `epoch` is done.
    pub(crate) fn at(epoch: Epoch) -> Self {
        Self { logged: epoch, committed: epoch, acked: epoch }
    }

    pub(crate) fn log(&mut self, epoch: Epoch) -> Result<()> {
        if epoch != self.logged.next() || self.committed != self.logged {
            return Err(self.broken("logged", epoch));
        }
        self.logged = epoch;
        Ok(())
    }

    pub(crate) fn commit(&mut self, epoch: Epoch) -> Result<()> {
        if epoch != self.committed.next() || epoch > self.logged {
            return Err(self.broken("committed", epoch));
        }
        self.committed = epoch;
        Ok(())
    }

    pub(crate) fn ack(&mut self, epoch: Epoch) -> Result<()> {
        if epoch != self.acked.next() || epoch > self.committed {
            return Err(self.broken("acknowledged", epoch));
        }
        self.acked = epoch;
        Ok(())
    }

    fn broken(&self, step: &str, epoch: Epoch) -> Error {
        Error::bug(format!("epoch {epoch} cannot be {step} now: {self:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_out_of_order_are_bugs() {
        let mut order = EpochOrder::at(Epoch(4));
        assert!(order.commit(Epoch(5)).is_err(), "commit before log");
        order.log(Epoch(5)).unwrap();
        assert!(order.ack(Epoch(5)).is_err(), "acknowledge before commit");
        assert!(order.log(Epoch(6)).is_err(), "a second epoch before the first is committed");
        order.commit(Epoch(5)).unwrap();
        order.ack(Epoch(5)).unwrap();
        assert!(order.ack(Epoch(5)).is_err(), "twice");
    }
}
