//! Which tables there are: looked for while the log is read, begun, read anew, given up.

use std::sync::Arc;

use aqueduct_model::{RelationName, Result};

use super::journal::{Before, Begun, What};
use super::order::sorts_natively;
use super::position::Phase;
use super::work::Work;
use super::{Mark, System, TableInfo, approval, is_remade};
use crate::cdc::SnapshotMode;

/// What was found when tables were looked for.
pub(super) struct Found<M: Mark> {
    /// The end of the log at that time.
    pub(super) at: M,
    /// Tables that are not captured yet.
    pub(super) new: Vec<TableInfo>,
    /// Tables that were made anew under the name of a captured one.
    pub(super) remade: Vec<TableInfo>,
    /// Captured tables that are not there any more.
    pub(super) gone: Vec<RelationName>,
    /// Their rows are read, not their changes alone.
    pub(super) snapshot: bool,
}

impl<S: System> Work<S> {
    /// Tables that the settings no longer ask for are left out from the next boundary on, before anything else happens.
    pub(super) fn remove_unwanted(&mut self) {
        let unwanted = |name: &&RelationName| !super::is_wanted(&self.settings.tables, name);
        let removed: Vec<RelationName> = self.state.tables.keys().filter(unwanted).cloned().collect();
        if !removed.is_empty() {
            self.todo.push_front(What::Remove(removed));
        }
    }

    /// Everything is read anew, because the log no longer has what comes next.
    pub(super) async fn resnapshot(&mut self) -> Result<()> {
        let (infos, mark) = self.described().await?;
        let is_gone = |name: &&RelationName| !infos.iter().any(|info| info.relation.name() == *name);
        let gone: Vec<RelationName> = self.state.tables.keys().filter(is_gone).cloned().collect();
        tracing::warn!(
            tables = infos.len(),
            "the position is lost: every table is emptied at the target and read anew"
        );
        let mut tables = Vec::new();
        for info in infos {
            tables.push(self.begun_of(&info).await?);
        }
        self.todo.push_back(What::Reset { log: Some(mark), tables });
        if !gone.is_empty() {
            // The part of the log that told of it is lost too.
            self.todo.push_back(What::Dropped(gone));
        }
        Ok(())
    }

    /// `snapshot: always`: tables with a key as updates, the others from nothing.
    pub(super) async fn read_all_again(&mut self) -> Result<()> {
        let is_streaming = |name: &RelationName| {
            self.state.tables.get(name).is_some_and(|table| matches!(table.phase, Phase::Streaming))
        };
        let streaming = self.tables.iter().filter(|(name, _)| is_streaming(name));
        let (keyed, bare): (Vec<_>, Vec<_>) = streaming.partition(|(_, table)| !table.source.key().is_empty());
        let again: Vec<RelationName> = keyed.into_iter().map(|(name, _)| name.clone()).collect();
        let bare: Vec<RelationName> = bare.into_iter().map(|(name, _)| name.clone()).collect();
        if !again.is_empty() {
            self.todo.push_back(What::Again(again));
        }
        self.reset(&bare).await
    }

    /// Has tables emptied at the target and read anew, as they are now.
    pub(super) async fn reset(&mut self, names: &[RelationName]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        // Described at the end of the log: they count once the stream is there.
        let (infos, at) = self.described().await?;
        let is_there = |name: &RelationName| infos.iter().any(|info| info.relation.name() == name);
        let gone = names.iter().filter(|name| !is_there(name)).cloned().collect();
        let new = infos.iter().filter(|info| names.contains(info.relation.name())).cloned().collect();
        self.ahead_is_stale();
        if self.found.replace(Found { at, new, remade: Vec::new(), gone, snapshot: true }).is_some() {
            // What was found before is looked for again.
            self.looked_at = None;
        }
        Ok(())
    }

    /// The tables, and a place in the log at which they were like that.
    pub(super) async fn described(&mut self) -> Result<(Vec<TableInfo>, S::Mark)> {
        super::open::described(&mut self.system).await
    }

    pub(super) async fn begun_of(&mut self, info: &TableInfo) -> Result<Begun> {
        let name = info.relation.name().clone();
        let left = self.left.find(&name).filter(|_| !self.tables.contains_key(&name));
        let before = match left {
            None => Before::Nothing,
            Some(left) if left.stays => Before::Kept,
            Some(_) => Before::Old,
        };
        let known = self.tables.get(&name).map(|table| table.source.version().max(table.shown.version()));
        let version = known.or(left.map(|left| left.version)).unwrap_or_default();
        let relation = with_version(&info.relation, info.relation.version().max(version + 1))?;
        self.progress.expected += info.rows_estimate;
        let native_order = info.native_key_order && sorts_natively(&relation);
        Ok(Begun { name, shape: self.shapes.keep(&relation).await?, native_order, before })
    }

    /// What was found comes true once the stream has come to where it was found.
    pub(super) async fn settle_found(&mut self) -> Result<bool> {
        let Some(found) = self.found.take_if(|found| self.system.reached(&self.state.log, &found.at)) else {
            return Ok(false);
        };
        let (mut fresh, mut resets) = (Vec::new(), Vec::new());
        for info in &found.new {
            let begun = self.begun_of(info).await?;
            if self.state.tables.contains_key(info.relation.name()) { resets.push(begun) } else { fresh.push(begun) }
        }
        for info in &found.remade {
            // The log may have told of it meanwhile.
            let before = self.tables.get(info.relation.name());
            if before.is_some_and(|before| is_remade(&before.source, &info.relation)) {
                tracing::warn!(table = %info.relation.name(), "a table was made anew under its name: it is read anew");
                resets.push(self.begun_of(info).await?);
            }
        }
        let gone: Vec<RelationName> =
            found.gone.into_iter().filter(|name| self.state.tables.contains_key(name)).collect();
        if !fresh.is_empty() {
            self.todo.push_back(What::Begin { tables: fresh, snapshot: found.snapshot });
        }
        if !resets.is_empty() {
            self.todo.push_back(What::Reset { log: None, tables: resets });
        }
        if !gone.is_empty() {
            self.todo.push_back(What::Dropped(gone));
        }
        Ok(!self.todo.is_empty())
    }

    /// Looks for tables that came or went, and for approvals.
    pub(super) async fn look(&mut self) -> Result<()> {
        let approved = approval::approved(self.disk.as_ref(), self.state.tables.keys()).await?;
        let mut resets = Vec::new();
        for name in approved {
            match self.state.tables.get(&name).map(|table| &table.phase) {
                Some(Phase::Parked { unfinished: false, .. }) => self.todo.push_back(What::Approve(name)),
                Some(Phase::Parked { .. } | Phase::Failed { .. }) => resets.push(name),
                _ => {}
            }
        }
        if !resets.is_empty() {
            return self.reset(&resets).await;
        }
        if self.settings.snapshot == SnapshotMode::InitialOnly && !self.state.tables.is_empty() {
            return Ok(());
        }
        let (infos, at) = self.described().await?;
        let is_new = |info: &TableInfo| !self.state.tables.contains_key(info.relation.name());
        let is_gone = |name: &&RelationName| !infos.iter().any(|info| info.relation.name() == *name);
        let gone: Vec<RelationName> = self.state.tables.keys().filter(is_gone).cloned().collect();
        let new: Vec<TableInfo> = infos.iter().filter(|info| is_new(info)).cloned().collect();
        let is_running = |name: &RelationName| {
            let phase = self.state.tables.get(name).map(|table| &table.phase);
            matches!(phase, Some(Phase::Streaming | Phase::Snapshot { .. }))
        };
        let is_another = |info: &&TableInfo| {
            let name = info.relation.name();
            is_running(name) && self.tables.get(name).is_some_and(|before| is_remade(&before.source, &info.relation))
        };
        let remade: Vec<TableInfo> = infos.iter().filter(is_another).cloned().collect();
        if !new.is_empty() || !remade.is_empty() || !gone.is_empty() {
            self.found = Some(Found { at, new, remade, gone, snapshot: true });
        }
        Ok(())
    }
}

/// The same table under another version.
pub(super) fn with_version(relation: &aqueduct_model::Relation, version: u32) -> Result<Arc<aqueduct_model::Relation>> {
    let columns = relation.columns().clone();
    aqueduct_model::Relation::new(relation.name().clone(), columns, &relation.key_names(), version).map(Arc::new)
}
