//! The checkpoint coordinator: one per run of a flow.
//!
//! `RUNNING → BARRIER(e) → PRECOMMITTED(e) → LOGGED(e) → COMMITTED(e) → ACKED(e)`; one epoch is under way at a time.
//! It owns the checkpoint store and gives it back when it ends, so that the lock outlives restarts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aqueduct_checkpoint::{CheckpointStore, Record};
use aqueduct_model::{BadRow, Epoch, Error, ErrorKind, HumanDuration, PluginKind, Position, Result, Token};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use super::cancel::Cancel;
use super::dead_letters::DeadLetters;
use super::epoch::{EpochOrder, EpochUnderWay, now_ms};
use super::faults::planted;
use super::operator_task::{finished_state, running_state, stored_state};
use super::outbox::aborted;
use super::protocol::{Command, Event, Part};
use super::pulse::Pulse;
use super::recovery::{FlowShape, Recovery, SinkReport, decide, lost_folder, lowest_token};
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
    /// Operators that work on behind the end of their inputs.
    lingering: BTreeSet<usize>,
    /// The sources' change counters when the last epoch began; `None` before the first, which is always begun: sources
    /// may have read before anybody looked.
    changes_seen: Option<u64>,
    ready: BTreeSet<usize>,
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

    /// Opens the targets, decides where to go on, and starts every task there.
    async fn recover(&mut self) -> Result<Run> {
        self.status.send_modify(|status| status.ready = false);
        let record = self.store.load()?;
        let token = self.store.next_token()?;
        let sinks = self.collect_sinks().await?;
        let lowest = lowest_token(record.as_ref(), token, &sinks)?;
        let token = if lowest > token {
            self.store.raise_token(lowest)?;
            lowest
        } else {
            token
        };
        let shape = FlowShape {
            exact: self.tasks.iter().all(|task| task.replays_exactly),
            stateless: !self.tasks.iter().any(|task| task.stateful),
        };
        let begun = match &record {
            Some(record) => !(record.reset && record.positions.is_empty()),
            None => lost_folder(&sinks),
        };
        if !begun {
            let record = self.begin_anew(record.as_ref(), token).await?;
            return self.start(Some(&record), token, &sinks, shape, false).await;
        }
        self.start(record.as_ref(), token, &sinks, shape, true).await
    }

    /// The first start of a flow, or the first after a reset: opens the sources and logs where they begin, before any
    /// target is claimed. A crash in the first epoch then replays from there, and not from a newer beginning.
    async fn begin_anew(&mut self, reset: Option<&Record>, token: Token) -> Result<Record> {
        self.start_readers(None, &Recovery::default()).await?;
        let mut record = Record {
            epoch: reset.map_or(Epoch(0), |reset| reset.epoch).next(),
            token,
            reset: reset.is_some(),
            ..Record::default()
        };
        let mut waiting = self.tasks.iter().filter(|task| task.kind == PluginKind::Source).count();
        let mut early = VecDeque::new();
        while waiting > 0 {
            let (task, event) = self.next_event().await?;
            if let (Event::Ready { position }, PluginKind::Source) = (&event, self.tasks[task].kind) {
                let id = self.tasks[task].id.clone();
                let position =
                    position.clone().ok_or_else(|| Error::bug(format!("source {id} opened inside a transaction")))?;
                record.positions.insert(id, position);
                waiting -= 1;
            }
            early.push_back((task, event));
        }
        self.write(&record)?;
        self.early = early;
        Ok(record)
    }

    /// Claims the targets and, unless they were started before, the readers.
    async fn start(
        &mut self,
        record: Option<&Record>,
        token: Token,
        sinks: &BTreeMap<String, SinkReport>,
        shape: FlowShape,
        start_readers: bool,
    ) -> Result<Run> {
        let recovery = decide(record, token, sinks, shape)?;
        if recovery.rebuilt_from_targets {
            warn!(
                epoch = recovery.base.epoch.0,
                "the checkpoint folder was empty; going on from what the targets recorded"
            );
        }
        self.dead_letters.roll_back(recovery.base.epoch)?;
        let reset = record.is_some_and(|record| record.reset);
        self.receipts.open(recovery.base.epoch, &recovery.base.positions, reset)?;
        self.start_sinks(&recovery).await?;
        let under_way = if start_readers { self.start_readers(record, &recovery).await? } else { None };
        info!(epoch = recovery.base.epoch.0, token = token.0, replay = under_way.is_some(), "flow started");
        let order = EpochOrder::at(recovery.base.epoch);
        self.status.send_modify(|status| status.epoch = recovery.base.epoch);
        let ready = BTreeSet::new();
        Ok(Run {
            token,
            order,
            under_way,
            finished: BTreeSet::new(),
            lingering: BTreeSet::new(),
            changes_seen: None,
            ready,
        })
    }

    /// Waits until every sink has connected.
    async fn collect_sinks(&mut self) -> Result<BTreeMap<String, SinkReport>> {
        let expected = self.tasks.iter().filter(|task| task.kind == PluginKind::Sink).count();
        let mut sinks = BTreeMap::new();
        while sinks.len() < expected {
            let (task, event) = self.next_event().await?;
            let Event::Opened { recorded } = event else {
                return Err(Error::bug(format!("task {} spoke before the sinks were open", self.tasks[task].id)));
            };
            let transactional = self.tasks[task].transactional;
            sinks.insert(self.tasks[task].id.clone(), SinkReport { transactional, recorded });
        }
        Ok(sinks)
    }

    async fn next_event(&mut self) -> Result<(usize, Event)> {
        next_event(&mut self.early, &mut self.events, &mut self.cancel).await
    }

    async fn start_sinks(&mut self, recovery: &Recovery) -> Result<()> {
        let mut waiting = 0;
        for task in self.tasks.iter().filter(|task| task.kind == PluginKind::Sink) {
            let start = recovery.sinks.get(&task.id).ok_or_else(|| Error::bug("a sink was not decided about"))?;
            let command = Command::Claim {
                claim: start.claim.clone(),
                roll_forward: start.roll_forward.clone(),
                discard: start.discard.clone(),
            };
            task.send(command).await?;
            waiting += 1;
        }
        // Readers may have been started already; what they say is heard later.
        let mut early = VecDeque::new();
        while waiting > 0 {
            let (task, event) = self.next_event().await?;
            match (&event, self.tasks[task].kind) {
                (Event::Ready { .. }, PluginKind::Sink) => waiting -= 1,
                _ => early.push_back((task, event)),
            }
        }
        self.early = early;
        Ok(())
    }

    /// Starts operators and sources; returns the replayed epoch, if there is one.
    async fn start_readers(&mut self, record: Option<&Record>, recovery: &Recovery) -> Result<Option<EpochUnderWay>> {
        let replay = recovery.replay.as_ref();
        for task in &self.tasks {
            match task.kind {
                PluginKind::Operator => {
                    let stored = record.filter(|record| !record.reset && !record.finished);
                    let (state, finished) = match stored.and_then(|record| record.states.get(&task.id)) {
                        Some(stored) => stored_state(stored)?,
                        None => (None, false),
                    };
                    task.send(Command::StartOperator { state, finished }).await?;
                }
                PluginKind::Source => {
                    let resume = recovery.base.positions.get(&task.id).cloned();
                    let edge = replay.and_then(|cut| Some((cut.epoch, cut.positions.get(&task.id)?.clone())));
                    let asked = edge.is_some();
                    task.send(Command::StartSource { resume, replay: edge }).await?;
                    if let (Some(cut), false) = (replay, asked) {
                        task.send(Command::Barrier { epoch: cut.epoch, stop: false }).await?;
                    }
                }
                PluginKind::Sink => {}
            }
        }
        Ok(replay.map(|cut| EpochUnderWay::new(cut.epoch, false, false, (0..self.tasks.len()).collect())))
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

    /// Rises whenever a source has read something, or work beside the stream got on.
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
        if let (Part::Source { position }, true) = (&part, planted("mutant.ack_before_commit")) {
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
        }
        if run.under_way.is_none() && run.finished.len() == self.tasks.len() {
            self.begin(run, false).await?;
        }
        Ok(None)
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
