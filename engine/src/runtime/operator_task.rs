//! The loop of an operator: align, process, snapshot.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    Barrier, Batch, Cardinality, Element, Error, InputPort, Operator, OperatorContext, Output, OutputPort, Relation,
    Result, State, Watermark,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::inbox::{Inbox, Incoming};
use super::outbox::{EpochCounts, Outbox, aborted};
use super::progress::{Activity, Progress};
use super::protocol::{Command, Event, EventSender, Part};

/// An operator at work.
pub(crate) struct OperatorTask {
    pub(crate) context: OperatorContext,
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: EventSender,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) progress: Arc<Progress>,
    /// Relations the operator is limited to, as patterns; empty: all.
    pub(crate) tables: Vec<String>,
    pub(crate) cardinality: Cardinality,
    /// Its rows come when its inputs end, so event time must not pass before them.
    pub(crate) needs_end: bool,
    pub(crate) silence: Silence,
    /// Rows given to the operator since the last barrier.
    pub(crate) rows_in_epoch: u64,
}

/// For how long no row came, where the operator wants to know.
pub(crate) struct Silence {
    limit: Option<Duration>,
    /// When it is long enough; `None` once the operator was told.
    until: Option<Instant>,
}

impl Silence {
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        let mut silence = Self { limit, until: None };
        silence.broken();
        silence
    }

    /// A row came.
    fn broken(&mut self) {
        self.until = self.limit.map(|limit| Instant::now() + limit);
    }
}

impl OperatorTask {
    /// Runs until the stop barrier or the end of all inputs.
    pub(crate) async fn run(mut self) -> Result<()> {
        let Some(Command::StartOperator { state, finished }) = self.commands.recv().await else {
            return Err(aborted());
        };
        self.operator.open(&self.context, state).await?;
        self.events.send(Event::Ready { position: None }).await;
        loop {
            self.progress.doing(Activity::Idle);
            let incoming = self.next().await?;
            self.progress.doing(Activity::Working);
            match incoming {
                Incoming::Batch(port, batch) => self.process(port, batch).await?,
                Incoming::Schema(port, change) if self.handles(&change.relation) => {
                    self.operator.on_schema(port, change, &mut self.outbox).await?;
                }
                Incoming::Schema(_, change) => self.outbox.announce_everywhere(&change)?,
                Incoming::Watermark(watermark) => {
                    let passed = self.operator.on_watermark(watermark, &mut self.outbox).await?;
                    if let Some(watermark) = passed.filter(|_| !self.needs_end) {
                        self.outbox.broadcast(&Element::Watermark(watermark))?;
                    }
                }
                Incoming::Barrier(barrier) => {
                    self.end_epoch(&barrier).await?;
                    if barrier.stop {
                        return self.wait_for_exit().await;
                    }
                }
                Incoming::End => {
                    if !finished {
                        self.operator.finish(&mut self.outbox).await?;
                    }
                    let positions = Arc::new(self.inbox.positions());
                    self.outbox.broadcast(&Element::End { positions })?;
                    self.events.send(Event::Finished).await;
                    return self.wait_for_exit().await;
                }
                Incoming::Aborted => return Err(aborted()),
            }
        }
    }

    /// What comes next, or the news that nothing does. The inbox keeps nothing in its future, so it may be dropped.
    async fn next(&mut self) -> Result<Incoming> {
        let Some(until) = self.silence.until else { return self.inbox.next().await };
        tokio::select! {
            biased;
            incoming = self.inbox.next() => incoming,
            () = tokio::time::sleep_until(until) => {
                self.silence.until = None;
                Ok(Incoming::Watermark(Watermark::Idle))
            }
        }
    }

    fn handles(&self, relation: &Relation) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| relation.name().matches(pattern))
    }

    async fn process(&mut self, port: InputPort, batch: Batch) -> Result<()> {
        self.progress.batch_in(batch.num_rows(), 0, batch.ingested_at_ms());
        self.rows_in_epoch += batch.num_rows() as u64;
        self.silence.broken();
        fail::fail_point!("op.process");
        if self.handles(batch.relation()) {
            self.operator.process(port, batch, &mut self.outbox).await
        } else {
            self.outbox.emit(OutputPort::MAIN, batch).await
        }
    }

    async fn end_epoch(&mut self, barrier: &Barrier) -> Result<()> {
        fail::fail_point!("op.state_write");
        let state = self.operator.snapshot(barrier.epoch).await?;
        let counts = self.outbox.end_epoch();
        let rows_in = std::mem::take(&mut self.rows_in_epoch);
        self.check_conservation(barrier, rows_in, &counts)?;
        self.outbox.broadcast(&Element::Barrier(barrier.clone()))?;
        let part = Part::Operator { state };
        self.events.send(Event::Snapshot { epoch: barrier.epoch, part, bad_rows: counts.kept }).await;
        Ok(())
    }

    /// Rows in = rows out + filtered + refused, as far as the operator's kind says.
    fn check_conservation(&self, barrier: &Barrier, rows_in: u64, counts: &EpochCounts) -> Result<()> {
        let accounted = counts.rows_out + counts.refused;
        let holds = match self.cardinality {
            Cardinality::OneToOne => accounted == rows_in,
            Cardinality::Filtering => accounted <= rows_in,
            Cardinality::Any => true,
        };
        if holds {
            return Ok(());
        }
        Err(Error::bug(format!(
            "epoch {}: {rows_in} rows in, {} out and {} refused",
            barrier.epoch, counts.rows_out, counts.refused
        )))
    }

    async fn wait_for_exit(&mut self) -> Result<()> {
        self.progress.doing(Activity::Idle);
        match self.commands.recv().await {
            Some(Command::Exit) => Ok(()),
            Some(other) => Err(Error::bug(format!("an operator that has ended cannot obey {other:?}"))),
            None => Err(aborted()),
        }
    }
}

/// What an operator that had seen the end of its inputs leaves in a checkpoint, so that `finish` is not run twice.
pub(crate) fn finished_state() -> State {
    State(vec![1])
}

/// A running operator's state as it is stored: one byte in front tells it from [`finished_state`].
pub(crate) fn running_state(state: State) -> State {
    let mut stored = Vec::with_capacity(state.0.len() + 1);
    stored.push(0);
    stored.extend_from_slice(&state.0);
    State(stored)
}

/// Reads a stored state back: the operator's own bytes, or `None` and true when it had finished.
pub(crate) fn stored_state(stored: &State) -> Result<(Option<State>, bool)> {
    match stored.0.split_first() {
        Some((0, bytes)) => Ok((Some(State(bytes.to_vec())), false)),
        Some((1, [])) => Ok((None, true)),
        _ => Err(Error::bug("a checkpoint holds an operator state of an unknown form")),
    }
}
