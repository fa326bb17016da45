//! A capture that is open: the loop between the log, the chunks and the journal.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_model::{BadRows, Batch, Error, ErrorKind, Op, PollBudget, Polled, Position, RelationName, Result};
use arrow::array::BooleanArray;

use super::ahead::Ahead;
use super::chunks::{Chunks, edges};
use super::disk::Disk;
use super::found::Found;
use super::hand_out::Handing;
use super::journal::{Journal, What};
use super::left::Left;
use super::order::{keys_of, regions};
use super::parted::parted;
use super::position::{Phase, State, TableState};
use super::progress::Progress;
use super::readers::{Edges, Readers};
use super::replay::Step;
use super::settings::CaptureSettings;
use super::shapes::Shapes;
use super::table::Table;
use super::{LogBudget, LogItem, System, TableInfo, approval};

/// While chunks are read the log is asked for no longer than this, so that a chunk that is done is seen.
const SNAPSHOT_WAIT: Duration = Duration::from_millis(3);

/// Which part of the log the stream reads.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lane {
    /// All tables, from the position on.
    Main,
    /// What was withheld of one table, up to the position.
    CatchUp(RelationName),
    /// Nothing: the position is lost, and all is read anew.
    Lost,
}

/// See the module.
pub(super) struct Work<S: System> {
    pub(super) settings: Arc<CaptureSettings>,
    pub(super) system: S,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) journal: Journal,
    pub(super) shapes: Shapes,
    pub(super) left: Left,
    /// The position, once `out` is empty.
    pub(super) state: State<S::Mark>,
    /// The tables of the state, with their columns.
    pub(super) tables: BTreeMap<RelationName, Table>,
    /// Read and not yet handed out.
    pub(super) out: VecDeque<Polled>,
    /// The stream is inside a transaction.
    pub(super) inside: bool,
    pub(super) lane: Lane,
    /// Positions before this entry of the journal are of a log that was lost: the server must not hear of them.
    pub(super) log_since: u64,
    /// The entry of the journal that is being handed out.
    pub(super) handing: Option<Handing<S::Mark>>,
    /// Where the stream must stop for now.
    pub(super) limit: Option<S::Mark>,
    pub(super) chunks: Chunks<S>,
    pub(super) readers: Readers<S>,
    /// Where the chunks of the table end that is being cut into chunks.
    pub(super) edges: Option<Edges>,
    /// Compares keys where only the database can.
    pub(super) judge: Option<S::Reader>,
    /// The position is one that this run reads on from; false as long as an epoch may be replayed.
    pub(super) live: bool,
    /// Chunks that an earlier life had read.
    pub(super) ahead: Ahead<S::Mark>,
    /// What was found when tables were looked for; it counts once the stream is there.
    pub(super) found: Option<Found<S::Mark>>,
    /// Tables that the log just said to be new.
    pub(super) created: Vec<TableInfo>,
    /// Entries to be made at the next boundary.
    pub(super) todo: VecDeque<What<S::Mark>>,
    /// The table that is being cut waits for the stream: it no longer is as the stream has it.
    pub(super) edges_wait: Option<(RelationName, S::Mark)>,
    /// When tables were looked for last.
    pub(super) looked_at: Option<Instant>,
    pub(super) progress: Progress,
    pub(super) target: Option<(Position, State<S::Mark>)>,
}

impl<S: System> Work<S> {
    /// See [`aqueduct_model::Source::position`].
    pub(super) fn position(&self) -> Option<Position> {
        (self.out.is_empty() && !self.inside).then(|| self.state.position())
    }

    /// See [`aqueduct_model::Source::poll`].
    pub(super) async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let deadline = Instant::now() + budget.max_wait;
        loop {
            if let Some(polled) = self.pop(budget.max_rows) {
                return Ok(polled);
            }
            if !self.inside {
                match &budget.until {
                    Some(until) => match self.replay_step(until).await? {
                        Step::End => return Ok(Polled::Idle),
                        Step::HandOut | Step::Read => {}
                    },
                    None => {
                        self.target = None;
                        if self.handing.is_none() && self.live_step().await? {
                            continue;
                        }
                    }
                }
                if self.handing.is_some() {
                    self.hand_out(budget, bad).await?;
                    continue;
                }
                if budget.until.is_none() && self.is_finished() {
                    return Ok(Polled::Finished);
                }
            }
            self.read_on(budget, deadline, bad).await?;
            // Also where much came that is not for us: the caller has more to do than to wait for this source.
            if self.out.is_empty() && Instant::now() >= deadline {
                return Ok(Polled::Idle);
            }
        }
    }

    /// The next of what was read; batches that are too large are cut, the halves of an update kept together.
    fn pop(&mut self, max_rows: usize) -> Option<Polled> {
        let first = self.out.pop_front()?;
        let Polled::Batch(batch) = &first else { return Some(first) };
        let mut rows = max_rows.max(1);
        if batch.num_rows() <= rows {
            return Some(first);
        }
        if batch.op(rows - 1) == Op::UpdateBefore {
            rows += 1;
        }
        if batch.num_rows() > rows {
            self.out.push_front(Polled::Batch(batch.slice(rows, batch.num_rows() - rows)));
        }
        Some(Polled::Batch(batch.slice(0, rows)))
    }

    /// Reads the log on.
    async fn read_on(&mut self, budget: &PollBudget, deadline: Instant, bad: &mut BadRows) -> Result<()> {
        if self.lane == Lane::Lost {
            return Err(Error::new(
                ErrorKind::LostPosition,
                "an interrupted epoch cannot be read again: the log is gone",
            )
            .with_hint("start over with `aqueduct checkpoint reset`"));
        }
        self.change_lane().await?;
        let is_busy = self.is_snapshotting();
        let left = deadline.saturating_duration_since(Instant::now());
        let budget = LogBudget {
            max_rows: budget.max_rows.max(1),
            max_bytes: budget.max_bytes.max(1),
            max_wait: if is_busy { left.min(SNAPSHOT_WAIT) } else { left },
            single: is_busy || self.limit.is_some(),
            until: self.limit.clone(),
        };
        let item = match self.system.next(&budget, bad).await {
            Ok(item) => item,
            Err(error) => return self.reading_failed(error).await,
        };
        if is_busy {
            // The readers work on this very thread where there is only one.
            tokio::task::yield_now().await;
        }
        self.take(item).await
    }

    /// A position can turn out to be lost only once the log is read: some servers do not say it before.
    async fn reading_failed(&mut self, error: Error) -> Result<()> {
        if error.kind() != ErrorKind::LostPosition || !self.settings.resnapshots() || !self.live {
            return Err(error);
        }
        if self.inside {
            let text = "the position was lost in the middle of a transaction; the flow begins anew";
            return Err(Error::new(ErrorKind::Unavailable, text).with_source(error));
        }
        match self.lane.clone() {
            Lane::CatchUp(name) => self.withheld_is_lost(&name, &error).await,
            _ => {
                self.position_is_lost(&error);
                Ok(())
            }
        }
    }

    /// True while rows of the stream have to be judged transaction by transaction.
    pub(super) fn is_snapshotting(&self) -> bool {
        self.state.tables.values().any(|table| matches!(table.phase, Phase::Snapshot { .. }))
    }

    async fn take(&mut self, item: LogItem<S::Mark, S::Transaction>) -> Result<()> {
        match item {
            LogItem::Rows { batches, transaction, boundary } => {
                for batch in batches {
                    self.route(batch, &transaction).await?;
                }
                self.advance(boundary)
            }
            LogItem::Schema { change, boundary } => {
                self.ahead_is_stale();
                self.follow(change).await?;
                self.advance(boundary)
            }
            LogItem::Failed { table, error, boundary } => {
                self.ahead_is_stale();
                self.table_failed(&table, error).await?;
                self.advance(boundary)
            }
            LogItem::Quiet(mark) => self.advance(Some(mark)),
        }
    }

    /// The stream stands at a boundary, or inside a transaction.
    fn advance(&mut self, boundary: Option<S::Mark>) -> Result<()> {
        self.inside = boundary.is_none();
        let Some(mut mark) = boundary else { return Ok(()) };
        if let Some(limit) = self.limit.take_if(|limit| self.system.reached(&mark, limit)) {
            mark = limit;
        }
        let Lane::CatchUp(name) = self.lane.clone() else {
            self.state.log = mark;
            return Ok(());
        };
        let is_done = self.system.reached(&mark, &self.state.log);
        let Some(TableState { phase, .. }) = self.state.tables.get_mut(&name) else { return Ok(()) };
        let Phase::CatchUp { at, then_again, .. } = phase else { return Ok(()) };
        *at = mark;
        match (is_done, *then_again) {
            (true, true) => return self.read_rows_again(&name),
            (true, false) => *phase = Phase::Streaming,
            (false, _) => {}
        }
        Ok(())
    }

    /// The log is read for the table that has to catch up, if there is one, and for all otherwise.
    async fn change_lane(&mut self) -> Result<()> {
        if self.inside || self.lane == Lane::Lost {
            return Ok(());
        }
        let behind = self.state.tables.iter().find_map(|(name, table)| match &table.phase {
            Phase::CatchUp { at, .. } => Some((name.clone(), at.clone())),
            _ => None,
        });
        match (behind, &self.lane) {
            (Some((name, _)), Lane::CatchUp(now)) if name == *now => {}
            (Some((name, at)), _) => {
                let relation = self.table(&name)?.source.clone();
                match self.system.start(&at, &[relation]).await {
                    Ok(()) => self.lane = Lane::CatchUp(name),
                    Err(error) if error.kind() == ErrorKind::LostPosition && self.settings.resnapshots() => {
                        self.withheld_is_lost(&name, &error).await?;
                    }
                    Err(error) => return Err(error),
                }
            }
            (None, Lane::CatchUp(_)) => {
                self.system.start(&self.state.log, &self.streamed_tables()).await?;
                self.lane = Lane::Main;
            }
            (None, _) => {}
        }
        Ok(())
    }

    /// The log no longer has what was withheld of a table: it is emptied at the target and read anew.
    async fn withheld_is_lost(&mut self, name: &RelationName, error: &Error) -> Result<()> {
        tracing::warn!(table = %name, error = error.chain(), "what was withheld is lost; the table is read anew");
        approval::note(self.disk.as_ref(), name, "failed", &error.chain()).await?;
        self.set_phase(name, Phase::Failed { error: error.chain() });
        self.start().await?;
        if self.live && self.lane == Lane::Main { self.reset(std::slice::from_ref(name)).await } else { Ok(()) }
    }

    /// The tables whose rows the log is decoded for.
    pub(super) fn streamed_tables(&self) -> Vec<Arc<aqueduct_model::Relation>> {
        let is_streamed = |phase: &Phase<S::Mark>| matches!(phase, Phase::Snapshot { .. } | Phase::Streaming);
        let tables = self
            .tables
            .iter()
            .filter(|(name, _)| self.state.tables.get(*name).is_some_and(|table| is_streamed(&table.phase)));
        tables.map(|(_, table)| table.source.clone()).collect()
    }

    /// The columns of a table of the state.
    pub(super) fn table(&self, name: &RelationName) -> Result<&Table> {
        self.tables.get(name).ok_or_else(|| Error::bug(format!("the columns of {name} are not loaded")))
    }

    /// Rows of the log go where their table stands.
    async fn route(&mut self, batch: Batch, transaction: &S::Transaction) -> Result<()> {
        let name = batch.relation().name().clone();
        let Some(TableState { phase, .. }) = self.state.tables.get(&name) else { return Ok(()) };
        match (phase, &self.lane) {
            (Phase::Streaming, Lane::Main) => self.push(&name, batch),
            (Phase::CatchUp { approved: false, .. }, Lane::CatchUp(now)) if *now == name => self.push(&name, batch),
            (Phase::Snapshot { .. }, Lane::Main) => self.judge(&name, batch, transaction).await,
            _ => Ok(()),
        }
    }

    fn push(&mut self, name: &RelationName, batch: Batch) -> Result<()> {
        if batch.num_rows() > 0 {
            let shown = self.table(name)?.show(batch)?;
            self.out.push_back(Polled::Batch(shown));
        }
        Ok(())
    }

    /// Rows of a table that is being read: each goes by where its key lies. The halves of an update that lie apart become
    /// a delete and an insert, judged apart.
    async fn judge(&mut self, name: &RelationName, batch: Batch, transaction: &S::Transaction) -> Result<()> {
        let Some(TableState { phase: Phase::Snapshot { after, again, .. }, native_order, .. }) =
            self.state.tables.get(name)
        else {
            return Err(Error::bug("a table that is not being read has nothing to judge"));
        };
        let (after, again, native_order) = (after.clone().map(|key| key.0), *again, *native_order);
        let relation = batch.relation().clone();
        if relation.key().is_empty() {
            return self.keep_for_chunk(name, 0, batch, transaction).await;
        }
        let keys = keys_of(&relation, &batch.rows().clone())?;
        let at_chunks = edges(after.as_ref(), self.chunks.of(name))?;
        let reader = match native_order {
            true => None,
            false => {
                if self.judge.is_none() {
                    self.judge = Some(self.system.reader().await?);
                }
                self.judge.as_mut()
            }
        };
        let found = regions(&relation, &keys, &at_chunks, reader).await?;
        if again {
            // The target has the rows: it gets every change, and chunks leave out the keys that it concerns.
            self.push(name, batch.clone())?;
        }
        let finished = usize::from(after.is_some());
        let parted = if again { Vec::new() } else { parted(&batch, &found) };
        for &row in &parted {
            self.read_whole(name, found[row].checked_sub(finished)).await?;
        }
        let mut regions_met = found.clone();
        regions_met.sort_unstable();
        regions_met.dedup();
        for region in regions_met {
            let is_here = |(row, other): (usize, &usize)| *other == region && !parted.contains(&row);
            let here = BooleanArray::from_iter(found.iter().enumerate().map(|row| Some(is_here(row))));
            let part = if here.true_count() == here.len() { batch.clone() } else { batch.select(&here)? };
            if region < finished {
                if !again {
                    self.push(name, part)?;
                }
            } else if again {
                self.cover(name, region - finished, &part).await?;
            } else {
                self.keep_for_chunk(name, region - finished, part, transaction).await?;
            }
        }
        Ok(())
    }

    async fn cover(&mut self, name: &RelationName, index: usize, part: &Batch) -> Result<()> {
        if let Some(chunk) = self.chunks.nth_of(name, index) {
            let keys = keys_of(part.relation(), part.rows())?;
            if !chunk.cover(keys) {
                let number = chunk.number;
                return self.read_again(number).await;
            }
        }
        Ok(())
    }

    async fn keep_for_chunk(
        &mut self,
        name: &RelationName,
        index: usize,
        part: Batch,
        transaction: &S::Transaction,
    ) -> Result<()> {
        let Some(chunk) = self.chunks.nth_of(name, index) else { return Ok(()) };
        if chunk.judge(&self.system, transaction, part) {
            return Ok(());
        }
        let number = chunk.number;
        self.read_again(number).await
    }
}
