//! What a capture does beside reading the log, when it does not replay: the order of its steps, and chunks, which are
//! cut, read and handed out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_model::{Error, ErrorKind, RelationName, Result};

use super::chunks::{Chunk, Stage};
use super::hand_out::Handing;
use super::journal::{Draft, Range, What};
use super::position::{Phase, SavedKey, TableState};
use super::readers::{Done, Job};
use super::work::{Lane, Work};
use super::{KeyRange, System, approval};
use crate::cdc::{OnTableError, SnapshotMode};

/// How often a chunk is tried before the flow begins anew.
const CHUNK_FAILURES_MAX: u32 = 6;

impl<S: System> Work<S> {
    /// One step at a boundary. True when something changed that the caller must look at before it reads on.
    pub(super) async fn live_step(&mut self) -> Result<bool> {
        self.limit = None;
        if !self.live {
            self.go_live().await?;
            return Ok(true);
        }
        if self.lane == Lane::Lost && self.todo.is_empty() {
            self.resnapshot().await?;
        }
        if self.lane != Lane::Lost
            && self.state.tables.values().any(|table| matches!(table.phase, Phase::CatchUp { .. }))
        {
            self.limit = Some(self.state.log.clone());
            return Ok(false);
        }
        if let Some(changed) = self.step_ahead().await? {
            return Ok(changed);
        }
        if let Some(what) = self.todo.pop_front() {
            self.begin_entry(None, what).await?;
            return Ok(true);
        }
        if !self.created.is_empty() {
            let mut tables = Vec::new();
            for info in std::mem::take(&mut self.created) {
                // A replay may have begun it already.
                if !self.state.tables.contains_key(info.relation.name()) {
                    tables.push(self.begun_of(&info).await?);
                }
            }
            if !tables.is_empty() {
                self.todo.push_back(What::Begin { tables, snapshot: true });
                return Ok(true);
            }
        }
        if self.settle_found().await? {
            return Ok(true);
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= self.settings.heartbeat) && self.found.is_none() {
            self.looked_at = Some(Instant::now());
            self.look().await?;
            if !self.todo.is_empty() {
                return Ok(true);
            }
        }
        self.step_chunks().await?;
        if self.lane == Lane::Main {
            // Exactly there: what the log says of a new table behind it is said of the columns that were found.
            self.limit = self.found.as_ref().map(|found| found.at.clone());
        }
        Ok(self.handing.is_some() || !self.todo.is_empty())
    }

    /// From here on nothing is replayed: what lies behind the position in the journal never came to the target.
    async fn go_live(&mut self) -> Result<()> {
        self.live = true;
        if self.state.done > 0 {
            let number = self.state.entry;
            let entry = self.journal.load(number).await?.ok_or_else(|| {
                Error::new(ErrorKind::LostPosition, format!("entry {number} of the capture's journal is gone"))
                    .with_hint("restore the checkpoint folder with its `sources` folder, or start over with `aqueduct checkpoint reset`")
            })?;
            self.handing = Some(Handing::new(entry, self.state.done));
        }
        for (name, table) in &self.state.tables {
            // A life that was undone may have taken the note away.
            match &table.phase {
                Phase::Parked { .. } => {
                    approval::note_again(self.disk.as_ref(), name, "parked", "its columns changed").await?
                }
                Phase::Failed { error } => approval::note_again(self.disk.as_ref(), name, "failed", error).await?,
                _ => {}
            }
        }
        self.remove_unwanted();
        if self.settings.snapshot == SnapshotMode::Always && self.found.is_none() {
            self.read_all_again().await?;
        }
        self.look_ahead().await
    }

    /// True when `snapshot: initial_only` has nothing more to do.
    pub(super) fn is_finished(&self) -> bool {
        self.settings.snapshot == SnapshotMode::InitialOnly
            && self.live
            && self.found.is_none()
            && self.todo.is_empty()
            && !self.is_snapshotting()
    }

    async fn step_chunks(&mut self) -> Result<()> {
        while let Some(done) = self.readers.done()? {
            self.chunk_is_done(done).await?;
        }
        if !self.is_snapshotting() {
            self.readers.rest();
            return Ok(());
        }
        if self.lane != Lane::Main {
            return Ok(());
        }
        if self.hand_out_front().await? {
            return Ok(());
        }
        self.cut_chunks().await?;
        self.read_chunks().await
    }

    /// The first chunk goes out once the stream has come behind everything that it can show.
    async fn hand_out_front(&mut self) -> Result<bool> {
        let Some(front) = self.chunks.queue.front() else { return Ok(false) };
        let Stage::Read { seen, .. } = &front.stage else { return Ok(false) };
        if !self.system.reached(&self.state.log, &seen.high) {
            return Ok(false);
        }
        let Some(Chunk { table, range, stage: Stage::Read { mut draft, behind, .. }, covered, .. }) =
            self.chunks.queue.pop_front()
        else {
            return Err(Error::bug("the first chunk was just seen to be read"));
        };
        self.progress.add(&table, draft.rows() as u64);
        for batch in &behind {
            self.journal.append(&mut draft, batch).await?;
        }
        let is_covered = !covered.is_empty();
        if is_covered {
            self.append_covered(&table, &mut draft, &covered).await?;
        }
        let up_to = range.up_to.as_ref().map(SavedKey::new).transpose()?;
        let Some(TableState { shape, phase: Phase::Snapshot { after, again, .. }, .. }) = self.state.tables.get(&table)
        else {
            return Err(Error::bug("a chunk of a table that is not being read"));
        };
        let range = Range { after: after.clone(), up_to, shape: shape.clone(), again: *again };
        self.begin_entry(Some(draft), What::Chunk { table, range, covered: is_covered }).await?;
        Ok(true)
    }

    async fn append_covered(
        &mut self,
        table: &RelationName,
        draft: &mut Draft,
        covered: &[arrow::array::RecordBatch],
    ) -> Result<()> {
        let schema = covered.first().map(|keys| keys.schema()).ok_or_else(|| Error::bug("no keys to leave out"))?;
        let keys = arrow::compute::concat_batches(&schema, covered)
            .map_err(|error| Error::bug("keys of one table do not fit together").with_source(error))?;
        let relation = aqueduct_model::Relation::new(table.clone(), schema, &[] as &[&str], 1)?;
        let batch = aqueduct_model::Batch::inserts(Arc::new(relation), keys)?;
        self.journal.append(draft, &batch).await
    }

    /// Puts chunks whose edges are known into the queue.
    async fn cut_chunks(&mut self) -> Result<()> {
        while self.chunks.queue.len() < self.settings.parallel_chunks * 2 {
            let Some((name, after)) = self.next_to_cut() else { return Ok(()) };
            match self.edges_wait.take_if(|(table, at)| *table != name || self.system.reached(&self.state.log, at)) {
                Some(_) => {}
                None if self.edges_wait.is_some() => return Ok(()),
                None => {}
            }
            if self.edges.as_ref().is_none_or(|edges| edges.table != name) {
                let relation = self.table(&name)?.source.clone();
                self.edges = Some(self.readers.plan(&mut self.system, relation, after).await?);
            }
            let Some(edges) = &mut self.edges else { return Ok(()) };
            match edges.next() {
                None => return Ok(()),
                Some(Ok(up_to)) => {
                    let range = KeyRange { after: edges.after.take(), up_to: up_to.clone() };
                    match up_to {
                        Some(edge) => edges.after = Some(edge),
                        None => self.edges = None,
                    }
                    let number = self.chunks.number();
                    self.chunks.queue.push_back(Chunk::new(number, name, range));
                }
                Some(Err(error)) if error.kind() == ErrorKind::Schema => {
                    self.edges = None;
                    let end = self.system.end_of_log().await?;
                    if self.system.reached(&self.state.log, &end) {
                        return self.fail_table(&name, error).await;
                    }
                    self.edges_wait = Some((name, end));
                    return Ok(());
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// The first table that is not cut to its end yet, and from where.
    fn next_to_cut(&self) -> Option<(RelationName, Option<super::Key>)> {
        self.state.tables.iter().find_map(|(name, table)| {
            let Phase::Snapshot { after, .. } = &table.phase else { return None };
            match self.chunks.of(name).last() {
                None => Some((name.clone(), after.clone().map(|key| key.0))),
                Some(last) => last.range.up_to.clone().map(|edge| (name.clone(), Some(edge))),
            }
        })
    }

    /// Gives readers their work.
    async fn read_chunks(&mut self) -> Result<()> {
        for index in 0..self.chunks.queue.len() {
            // Those that wait for the stream count too: a crash loses no more than that many. Only the first one must not
            // wait for them, for they go out behind it.
            let most = self.settings.parallel_chunks;
            if self.readers.working() >= most || (index > 0 && self.chunks.in_hand() >= most) {
                return Ok(());
            }
            let chunk = &mut self.chunks.queue[index];
            let Stage::Waiting { until, delay } = &chunk.stage else { continue };
            if until.as_ref().is_some_and(|until| !self.system.reached(&self.state.log, until)) {
                continue;
            }
            let relation = self.tables.get(&chunk.table).map(|table| table.source.clone());
            let job = Job {
                chunk: chunk.number,
                relation: relation.ok_or_else(|| Error::bug("a chunk of a table that is not captured"))?,
                range: chunk.range.clone(),
                streamed: self.state.log.clone(),
                delay: *delay,
                journal: self.journal.clone(),
            };
            chunk.stage = Stage::Reading(Vec::new());
            self.readers.read(&mut self.system, job).await?;
        }
        Ok(())
    }

    async fn chunk_is_done(&mut self, done: Done<S>) -> Result<()> {
        let Some(chunk) = self.chunks.find(done.chunk) else {
            // Given up meanwhile.
            return match done.result {
                Ok((_, draft)) => self.journal.discard(draft).await,
                Err(_) => Ok(()),
            };
        };
        let (number, name) = (chunk.number, chunk.table.clone());
        match done.result {
            Ok((seen, draft)) => {
                if !chunk.is_read(&self.system, seen, draft) {
                    self.read_again(number).await?;
                }
                Ok(())
            }
            Err(error) => {
                chunk.failures += 1;
                let failures = chunk.failures;
                match error.kind() {
                    ErrorKind::Schema if failures == 1 => {
                        // The table changed and the stream has not come there yet.
                        let end = self.system.end_of_log().await?;
                        self.restart_chunk(number, Some(end), Duration::ZERO).await
                    }
                    ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled
                        if failures < CHUNK_FAILURES_MAX =>
                    {
                        tracing::warn!(table = %name, failures, error = error.chain(), "a chunk is read again");
                        let delay = self.settings.retry_delay * 2u32.pow(failures - 1);
                        self.restart_chunk(number, None, delay).await
                    }
                    ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Throttled => Err(error),
                    _ => self.fail_table(&name, error).await,
                }
            }
        }
    }

    /// A table cannot be read: the flow stops, or goes on without it.
    async fn fail_table(&mut self, name: &RelationName, error: Error) -> Result<()> {
        if self.settings.on_table_error == OnTableError::Fail {
            return Err(error);
        }
        tracing::error!(table = %name, error = error.chain(), "a table cannot be read; the others go on");
        self.give_up_chunks(name).await?;
        approval::note(self.disk.as_ref(), name, "failed", &error.chain()).await?;
        self.todo.push_back(What::Fail { table: name.clone(), error: error.chain() });
        Ok(())
    }

    /// What was read is not good enough: the range is read once more from the next boundary on.
    pub(super) async fn read_again(&mut self, number: u64) -> Result<()> {
        self.readers.smaller();
        self.restart_chunk(number, None, Duration::ZERO).await
    }

    async fn restart_chunk(&mut self, number: u64, until: Option<S::Mark>, delay: Duration) -> Result<()> {
        let new_number = self.chunks.number();
        let Some(chunk) = self.chunks.find(number) else { return Ok(()) };
        match chunk.restart(new_number, until, delay) {
            Some(draft) => self.journal.discard(draft).await,
            None => Ok(()),
        }
    }

    /// Forgets what was read of a table and not handed out.
    pub(super) async fn give_up_chunks(&mut self, name: &RelationName) -> Result<()> {
        if self.edges.as_ref().is_some_and(|edges| edges.table == *name) {
            self.edges = None;
        }
        for draft in self.chunks.give_up(name) {
            self.journal.discard(draft).await?;
        }
        Ok(())
    }
}
