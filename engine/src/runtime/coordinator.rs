//! The checkpoint coordinator: one per run of a flow.
//!
//! `RUNNING → BARRIER(e) → PRECOMMITTED(e) → LOGGED(e) → COMMITTED(e) → ACKED(e)`; one epoch is under way at a time.
//! It owns the checkpoint store and gives it back when it ends, so that the lock outlives restarts.

mod start;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aqueduct_checkpoint::{CheckpointStore, Record};
use aqueduct_model::{BadRow, Epoch, Error, ErrorKind, HumanDuration, PluginKind, Position, Result, Token};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info};

use super::cancel::Cancel;
use super::dead_letters::DeadLetters;
use super::epoch::{EpochOrder, EpochUnderWay, now_ms};
use super::faults::planted;
use super::operator_task::{finished_state, running_state};
use super::outbox::aborted;
use super::protocol::{Command, Event, Part};
use super::pulse::Pulse;
use super::status::CheckpointStatus;
use super::task_line::TaskLine;
use crate::plan::CheckpointSettings;
use crate::receipts::Ledger;

/// How a run ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every source was read to its end, and everything is committed.
    Finished,
    /// The flow was told to stop, and everything that was read is committed.
    Stopped,
}

/// How a run ended, and the store, unless its state is unknown.
pub(crate) type Ended = (Result<Outcome>, Option<Box<dyn CheckpointStore>>);

/// See the module.
pub(crate) struct Coordinator {
    pub(crate) tasks: Vec<TaskLine>,
    pub(crate) store: Box<dyn CheckpointStore>,
    pub(crate) settings: CheckpointSettings,
    pub(crate) pulse: Pulse,
    pub(crate) events: mpsc::Receiver<(usize, Event)>,
    /// Turns true when the flow shall stop after one more epoch.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) cancel: Cancel,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) receipts: Ledger,
    pub(crate) status: watch::Sender<CheckpointStatus>,
    /// A write to the store has failed: nobody knows what it holds, the next run opens it anew and looks.
    pub(crate) store_unknown: bool,
    /// Events that came while something else was waited for, in order.
    pub(crate) early: VecDeque<(usize, Event)>,
}

/// The part of the coordinator that changes from epoch to epoch.
struct Run {
    token: Token,
    order: EpochOrder,
    under_way: Option<EpochUnderWay>,
    finished: BTreeSet<usize>,
    /// Sources that have read everything, and no epoch says so yet.
    at_end: BTreeSet<usize>,
    /// Operators that work on behind the end of their inputs.
    lingering: BTreeSet<usize>,
    /// The sources' change counters when the last epoch began; `None` before the first, which is always begun: sources
    /// may have read before anybody looked.
    changes_seen: Option<u64>,
    ready: BTreeSet<usize>,
    /// Which pipelines are at work; those behind them wait.
    turn: usize,
    /// The epoch that makes the end of this turn durable.
    ends_turn: Option<Epoch>,
}

impl Coordinator {
    /// Recovers, then runs epochs until everything has ended, the flow is stopped, or something fails. Gives the
    /// store back unless its state is unknown.
    pub(crate) async fn run(mut self) -> Ended {
        let result = self.work().await;
        (result, (!self.store_unknown).then_some(self.store))
    }

    async fn work(&mut self) -> Result<Outcome> {
        let mut run = self.recover().await?;
        loop {
            match self.next_step(run.under_way.is_none()).await? {
                Step::Event(task, event) => {
                    self.handle(&mut run, task, event).await?;
                    if let Some(outcome) = self.advance(&mut run).await? {
                        return Ok(outcome);
                    }
                }
                Step::Stop => self.begin(&mut run, true).await?,
                Step::Tick => self.tick(&mut run).await?,
            }
        }
    }

    async fn next_step(&mut self, idle: bool) -> Result<Step> {
        let Self { early, events, cancel, stop, pulse, .. } = self;
        tokio::select! {
            biased;
            event = next_event(early, events, cancel) => event.map(|(task, event)| Step::Event(task, event)),
            () = stop_wanted(stop), if idle => Ok(Step::Stop),
            () = pulse.beat() => Ok(Step::Tick),
        }
    }

    async fn tick(&mut self, run: &mut Run) -> Result<()> {
        if let Some(epoch) = &run.under_way {
            if epoch.started.elapsed() > self.settings.timeout {
                return Err(self.too_slow(epoch));
            }
            return Ok(());
        }
        let changes = self.changes();
        if Some(changes) != run.changes_seen {
            self.begin(run, false).await?;
        }
        Ok(())
    }

    /// Rises whenever a source has read something, work beside the stream got on, or event time alone let rows go.
    fn changes(&self) -> u64 {
        self.tasks.iter().map(|task| task.progress.changes()).sum()
    }

    /// Begins an epoch: asks every source for a barrier, and every sink without inputs for a flush.
    async fn begin(&mut self, run: &mut Run, stop: bool) -> Result<()> {
        let epoch = run.order.logged.next();
        let last = run.finished.len() == self.tasks.len();
        run.changes_seen = Some(self.changes());
        let mut awaiting = BTreeSet::new();
        for (index, task) in self.tasks.iter().enumerate() {
            match task.kind {
                PluginKind::Operator if run.finished.contains(&index) => continue,
                PluginKind::Operator if run.lingering.contains(&index) => {
                    task.send(Command::Barrier { epoch, stop }).await?;
                }
                PluginKind::Source => task.send(Command::Barrier { epoch, stop }).await?,
                PluginKind::Sink if run.finished.contains(&index) => task.send(Command::Flush { epoch }).await?,
                PluginKind::Operator | PluginKind::Sink => {}
            }
            awaiting.insert(index);
        }
        debug!(epoch = epoch.0, stop, last, "epoch begins");
        run.under_way = Some(EpochUnderWay::new(epoch, stop, last, awaiting));
        Ok(())
    }

    async fn handle(&mut self, run: &mut Run, task: usize, event: Event) -> Result<()> {
        let id = self.tasks[task].id.clone();
        match event {
            Event::Snapshot { epoch, part, bad_rows } => self.take_part(run, task, epoch, part, bad_rows).await,
            Event::Committed { epoch } => {
                let current = run.under_way.as_mut().filter(|current| current.epoch == epoch);
                if current.is_some_and(|current| current.committing.remove(&task)) {
                    return Ok(());
                }
                Err(Error::bug(format!("task {id} committed epoch {epoch} unasked")))
            }
            Event::Lingers => self.task_lingers(run, task).await,
            Event::AtEnd => {
                run.at_end.insert(task);
                Ok(())
            }
            Event::Finished => self.task_finished(run, task).await,
            Event::Ready { .. } => {
                run.ready.insert(task);
                let readers = self.tasks.iter().filter(|task| task.kind != PluginKind::Sink).count();
                if run.ready.len() == readers {
                    self.status.send_modify(|status| status.ready = true);
                }
                Ok(())
            }
            Event::Opened { .. } => Err(Error::bug(format!("task {id} opened twice"))),
        }
    }

    async fn take_part(
        &mut self,
        run: &mut Run,
        task: usize,
        epoch: Epoch,
        part: Part,
        bad: Vec<BadRow>,
    ) -> Result<()> {
        let id = self.tasks[task].id.clone();
        let Some(current) = &mut run.under_way else {
            return Err(Error::bug(format!("task {id} answered for epoch {epoch}, which is not under way")));
        };
        if let Part::Source { ended: true, .. } = &part {
            run.at_end.remove(&task);
        }
        if let (Part::Source { position: Some(position), .. }, true) = (&part, planted("mutant.ack_before_commit")) {
            self.tasks[task].send(Command::Durable { epoch, position: position.clone() }).await?;
        }
        current.take(task, &id, epoch, part, bad)
    }

    /// No barrier will come to the operator by its inputs any more.
    async fn task_lingers(&mut self, run: &mut Run, task: usize) -> Result<()> {
        run.lingering.insert(task);
        match run.under_way.as_ref().filter(|epoch| epoch.awaiting.contains(&task)) {
            Some(current) => {
                let (epoch, stop) = (current.epoch, current.stop);
                self.tasks[task].send(Command::Barrier { epoch, stop }).await
            }
            None => Ok(()),
        }
    }

    /// A task has seen its end: it will not pass a barrier any more.
    async fn task_finished(&mut self, run: &mut Run, task: usize) -> Result<()> {
        run.finished.insert(task);
        run.lingering.remove(&task);
        let Some(current) = run.under_way.as_mut().filter(|epoch| epoch.awaiting.contains(&task)) else {
            return Ok(());
        };
        match self.tasks[task].kind {
            // Answers the barrier itself.
            PluginKind::Source => Ok(()),
            PluginKind::Operator => {
                current.awaiting.remove(&task);
                Ok(())
            }
            PluginKind::Sink => self.tasks[task].send(Command::Flush { epoch: current.epoch }).await,
        }
    }

    /// Takes the epoch under way as far as it goes; begins the last one when everything has ended.
    async fn advance(&mut self, run: &mut Run) -> Result<Option<Outcome>> {
        if let Some(current) = &mut run.under_way {
            let sinks_ignored = planted("mutant.log_before_flush")
                && current.awaiting.iter().all(|&task| self.tasks[task].kind == PluginKind::Sink);
            if !current.logged && (current.awaiting.is_empty() || sinks_ignored) {
                self.log(run).await?;
            }
        }
        let done = run.under_way.take_if(|epoch| epoch.logged && epoch.committing.is_empty());
        if let Some(epoch) = done {
            self.acknowledge(run, &epoch).await?;
            if epoch.stop || epoch.last {
                for task in &self.tasks {
                    task.send(Command::Exit).await?;
                }
                return Ok(Some(if epoch.last { Outcome::Finished } else { Outcome::Stopped }));
            }
            if run.ends_turn == Some(epoch.epoch) {
                self.next_turn(run).await?;
            }
        }
        if run.under_way.is_none() && run.finished.len() == self.tasks.len() {
            self.begin(run, false).await?;
        } else if run.under_way.is_none() && run.ends_turn.is_none() && self.has_turn_ended(run) {
            self.begin(run, false).await?;
            run.ends_turn = run.under_way.as_ref().map(|epoch| epoch.epoch);
        } else if run.under_way.is_none() && !run.at_end.is_empty() {
            self.begin(run, false).await?;
        }
        Ok(None)
    }

    fn has_turn_ended(&self, run: &Run) -> bool {
        let mut of_turn = self.tasks.iter().enumerate().filter(|(_, task)| task.turn == run.turn);
        of_turn.all(|(index, _)| run.finished.contains(&index))
    }

    /// The pipelines at work have ended, and what they wrote is durable: the next ones open their sources.
    async fn next_turn(&mut self, run: &mut Run) -> Result<()> {
        (run.turn, run.ends_turn) = (run.turn + 1, None);
        for task in self.tasks.iter().filter(|task| task.turn == run.turn && task.kind == PluginKind::Source) {
            info!(task = task.id.as_str(), "its turn has come");
            task.send(Command::Go).await?;
        }
        Ok(())
    }

    /// Everything is flushed: writes the one atomic record, then tells the sinks to commit.
    async fn log(&mut self, run: &mut Run) -> Result<()> {
        let Some(current) = &mut run.under_way else { return Ok(()) };
        let mut states = BTreeMap::new();
        for (index, task) in self.tasks.iter().enumerate().filter(|(_, task)| task.kind == PluginKind::Operator) {
            let stored = match current.states.remove(&task.id) {
                Some(state) => running_state(state),
                None if run.finished.contains(&index) => finished_state(),
                None => return Err(Error::bug(format!("operator {} gave no state", task.id))),
            };
            states.insert(task.id.clone(), stored);
        }
        self.dead_letters.write(current.epoch, &current.bad_rows)?;
        self.receipts.write(current.receipt(run.token))?;
        let record = Record {
            epoch: current.epoch,
            token: run.token,
            positions: current.positions.clone(),
            ended: current.ended.clone(),
            states,
            prepared: current.prepared.clone(),
            finished: current.last,
            ..Record::default()
        };
        run.order.log(current.epoch)?;
        self.write(&record)?;
        current.logged = true;
        for (index, task) in self.tasks.iter().enumerate() {
            if let Some(prepared) = current.prepared.get(&task.id) {
                task.send(Command::Commit { epoch: current.epoch, prepared: prepared.clone() }).await?;
                current.committing.insert(index);
            }
        }
        Ok(())
    }

    /// One atomic, durable step. After a failure nobody knows whether it happened.
    fn write(&mut self, record: &Record) -> Result<()> {
        self.store_unknown = true;
        self.store.log(record)?;
        self.store_unknown = false;
        Ok(())
    }

    /// Every sink has committed: tells the sources that they may forget.
    async fn acknowledge(&mut self, run: &mut Run, epoch: &EpochUnderWay) -> Result<()> {
        run.order.commit(epoch.epoch)?;
        run.order.ack(epoch.epoch)?;
        for task in self.tasks.iter().filter(|task| task.kind == PluginKind::Source) {
            let position: Option<&Position> = epoch.positions.get(&task.id);
            if let Some(position) = position {
                task.send(Command::Durable { epoch: epoch.epoch, position: position.clone() }).await?;
            }
        }
        let took = epoch.started.elapsed();
        debug!(epoch = epoch.epoch.0, ms = took.as_millis() as u64, "epoch committed");
        self.status.send_modify(|status| {
            status.epoch = epoch.epoch;
            status.epochs += 1;
            status.last_ms = took.as_millis() as u64;
            status.committed_at_ms = now_ms();
        });
        Ok(())
    }

    fn too_slow(&self, epoch: &EpochUnderWay) -> Error {
        let waiting: Vec<&str> = epoch.awaiting.iter().map(|&task| self.tasks[task].id.as_str()).collect();
        let committing: Vec<&str> = epoch.committing.iter().map(|&task| self.tasks[task].id.as_str()).collect();
        let timeout = HumanDuration(self.settings.timeout);
        Error::new(
            ErrorKind::Timeout,
            format!(
                "epoch {} did not end within {timeout}: waiting for {}",
                epoch.epoch,
                [waiting, committing].concat().join(", ")
            ),
        )
        .with_task(epoch.awaiting.iter().next().map_or("", |&task| self.tasks[task].id.as_str()))
        .with_setting("checkpoint.timeout")
        .with_hint(
            "raise `checkpoint.timeout` if a single source transaction takes that long; else look at that task's log",
        )
    }
}

/// What wakes the coordinator.
enum Step {
    Event(usize, Event),
    Stop,
    Tick,
}

async fn next_event(
    early: &mut VecDeque<(usize, Event)>,
    events: &mut mpsc::Receiver<(usize, Event)>,
    cancel: &mut Cancel,
) -> Result<(usize, Event)> {
    if let Some(early) = early.pop_front() {
        return Ok(early);
    }
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(aborted()),
        event = events.recv() => event.ok_or_else(aborted),
    }
}

/// Returns once the flow shall stop; never, when nobody is left who could say so.
async fn stop_wanted(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
