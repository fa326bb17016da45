//! A recorded epoch once more: exactly the rows between two positions, from the log and the journal.

use aqueduct_model::{Error, ErrorKind, Position, Result};

use super::System;
use super::hand_out::Handing;
use super::position::{Phase, State};
use super::work::Work;

/// What comes next in a replay.
pub(super) enum Step {
    /// The edge is reached.
    End,
    /// An entry of the journal.
    HandOut,
    /// The log, up to the limit.
    Read,
}

impl<S: System> Work<S> {
    /// Looks what comes next before `until`, at a boundary.
    ///
    /// # Errors
    /// `LostPosition` when the journal no longer has what was handed out.
    pub(super) async fn replay_step(&mut self, until: &Position) -> Result<Step> {
        if self.target.as_ref().is_none_or(|(position, _)| position != until) {
            self.target = Some((until.clone(), State::parse(until)?));
        }
        let Some((_, target)) = self.target.clone() else { return Err(Error::bug("the edge was just read")) };
        if self.state == target {
            return Ok(Step::End);
        }
        if self.handing.is_some() {
            return Ok(Step::HandOut);
        }
        let has_entries = (target.entry, target.done) > (self.state.entry, self.state.done);
        if let Some(limit) = self.catching_up_until(&target) {
            self.limit = Some(limit);
            return Ok(Step::Read);
        }
        if has_entries {
            let number = self.state.entry;
            let entry = self.journal.load::<S::Mark>(number).await?.ok_or_else(|| entry_is_gone(number))?;
            if self.state.log == entry.at || self.system.reached(&self.state.log, &entry.at) {
                self.state.log = entry.at.clone();
                self.handing = Some(Handing::new(entry, self.state.done));
                return Ok(Step::HandOut);
            }
            self.limit = Some(entry.at);
            return Ok(Step::Read);
        }
        if self.system.reached(&self.state.log, &target.log) {
            self.state.log = target.log.clone();
            if self.state != target {
                return Err(elsewhere());
            }
            return Ok(Step::End);
        }
        self.limit = Some(target.log);
        Ok(Step::Read)
    }

    /// Up to where the log is read for a table that catches up; nothing else moves meanwhile.
    fn catching_up_until(&self, target: &State<S::Mark>) -> Option<S::Mark> {
        let is_behind = |phase: &Phase<S::Mark>| matches!(phase, Phase::CatchUp { .. });
        let (name, _) = self.state.tables.iter().find(|(_, table)| is_behind(&table.phase))?;
        match target.tables.get(name).map(|table| &table.phase) {
            Some(Phase::CatchUp { at, .. }) if target.entry == self.state.entry => Some(at.clone()),
            Some(Phase::Parked { at, .. }) if target.entry == self.state.entry && target.log == self.state.log => {
                Some(at.clone())
            }
            _ => Some(self.state.log.clone()),
        }
    }
}

fn entry_is_gone(number: u64) -> Error {
    Error::new(ErrorKind::LostPosition, format!("entry {number} of the capture's journal is gone, so an epoch that was interrupted cannot be written again as it was"))
        .with_hint("restore the checkpoint folder with its `sources` folder, or start over with `aqueduct checkpoint reset`")
}

fn elsewhere() -> Error {
    Error::new(ErrorKind::State, "reading an interrupted epoch again led elsewhere than the first time")
        .with_hint("were `tables`, `schema_change`, `truncate` or `on_table_error` changed since? put them back for one start; otherwise start over with `aqueduct checkpoint reset`")
}
