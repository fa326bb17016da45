//! The loop of an operator: align, process, snapshot.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    Barrier, Batch, Cardinality, Element, Error, InputPort, Load, Operator, OperatorContext, Output, OutputPort,
    Relation, Result, State, Watermark,
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

/// What made the loop wake up.
enum Wake {
    Incoming(Incoming),
    /// Work beside the stream has something to say.
    Background,
    /// The inputs have ended, and the coordinator speaks.
    Command(Option<Command>),
}

/// What the loop does next.
enum Next {
    GoOn,
    /// The inputs have ended and work beside them has not.
    Linger,
    End,
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

    /// What comes next, or the news that nothing does. The inbox keeps nothing in its future, so it may be dropped.
    async fn or_next(&mut self, inbox: &mut Inbox) -> Result<Incoming> {
        let Some(until) = self.until else { return inbox.next().await };
        tokio::select! {
            biased;
            incoming = inbox.next() => incoming,
            () = tokio::time::sleep_until(until) => {
                self.until = None;
                Ok(Incoming::Watermark(Watermark::Idle))
            }
        }
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
        let mut lingers = false;
        loop {
            self.progress.doing(Activity::Idle);
            let wake = self.wake(lingers).await?;
            self.progress.doing(Activity::Working);
            let next = match wake {
                Wake::Incoming(incoming) => self.take(incoming, finished).await?,
                Wake::Background => self.step(lingers).await?,
                Wake::Command(Some(Command::Barrier { .. })) if self.has_settled().await? => self.finish().await?,
                Wake::Command(Some(Command::Barrier { epoch, stop })) => {
                    let positions = Arc::new(self.inbox.positions());
                    self.barrier(&Barrier { epoch, stop, positions }).await?
                }
                Wake::Command(Some(other)) => {
                    return Err(Error::bug(format!("an operator at work cannot obey {other:?}")));
                }
                Wake::Command(None) => return Err(aborted()),
            };
            match next {
                Next::GoOn => {}
                Next::Linger => {
                    lingers = true;
                    self.events.send(Event::Lingers).await;
                }
                Next::End => return self.wait_for_exit().await,
            }
        }
    }

    /// Waits for something to do. Work beside the stream has the last word, so that a barrier is not held up by it.
    async fn wake(&mut self, lingers: bool) -> Result<Wake> {
        let Self { operator, inbox, commands, silence, .. } = self;
        let Some(background) = operator.background() else {
            return silence.or_next(inbox).await.map(Wake::Incoming);
        };
        if lingers {
            return Ok(tokio::select! {
                biased;
                command = commands.recv() => Wake::Command(command),
                () = background.ready() => Wake::Background,
            });
        }
        let takes_input = background.load() != Load::Full;
        let incoming = async {
            if takes_input {
                return silence.or_next(inbox).await;
            }
            inbox.aborted().await;
            Ok(Incoming::Aborted)
        };
        tokio::select! {
            biased;
            incoming = incoming => incoming.map(Wake::Incoming),
            () = background.ready() => Ok(Wake::Background),
        }
    }

    async fn take(&mut self, incoming: Incoming, finished: bool) -> Result<Next> {
        match incoming {
            Incoming::Batch(port, batch) => self.process(port, batch).await?,
            Incoming::Schema(port, change) if self.handles(&change.relation) => {
                self.operator.on_schema(port, change, &mut self.outbox).await?;
            }
            Incoming::Schema(_, change) => self.outbox.announce_everywhere(&change)?,
            Incoming::Watermark(watermark) => {
                let before = self.outbox.rows_in_epoch();
                let passed = self.operator.on_watermark(watermark, &mut self.outbox).await?;
                if let Some(watermark) = passed.filter(|_| !self.needs_end) {
                    self.outbox.broadcast(&Element::Watermark(watermark))?;
                }
                if self.outbox.rows_in_epoch() > before {
                    // Sources may be silent: these rows are worth an epoch by themselves.
                    self.progress.changed();
                }
            }
            Incoming::Barrier(barrier) => return self.barrier(&barrier).await,
            Incoming::End if finished => return self.end().await,
            Incoming::End if self.has_settled().await? => return self.finish().await,
            Incoming::End => return Ok(Next::Linger),
            Incoming::Aborted => return Err(aborted()),
        }
        Ok(Next::GoOn)
    }

    /// Behind the end of the inputs: emits what the last snapshot named, and says whether that was all. So whether the
    /// operator ends in this epoch or goes on is known from that snapshot, in a replay too.
    async fn has_settled(&mut self) -> Result<bool> {
        if let Some(background) = self.operator.background() {
            background.settle(&mut self.outbox).await?;
        }
        Ok(!self.is_busy())
    }

    fn is_busy(&mut self) -> bool {
        self.operator.background().is_some_and(|background| background.load() != Load::Idle)
    }

    /// Lets work beside the stream go on; behind the end of the inputs, the last of it ends the operator.
    async fn step(&mut self, lingers: bool) -> Result<Next> {
        let background = self.operator.background().ok_or_else(|| Error::bug("work beside the stream is gone"))?;
        background.step(&mut self.outbox).await?;
        self.progress.changed();
        if lingers && !self.is_busy() { self.finish().await } else { Ok(Next::GoOn) }
    }

    async fn barrier(&mut self, barrier: &Barrier) -> Result<Next> {
        self.end_epoch(barrier).await?;
        Ok(if barrier.stop { Next::End } else { Next::GoOn })
    }

    async fn finish(&mut self) -> Result<Next> {
        self.operator.finish(&mut self.outbox).await?;
        self.end().await
    }

    async fn end(&mut self) -> Result<Next> {
        let positions = Arc::new(self.inbox.positions());
        self.outbox.broadcast(&Element::End { positions })?;
        self.events.send(Event::Finished).await;
        Ok(Next::End)
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
        if let Some(background) = self.operator.background() {
            background.settle(&mut self.outbox).await?;
        }
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
        loop {
            match self.commands.recv().await {
                Some(Command::Exit) => return Ok(()),
                // Asked while it told that it has ended: the coordinator does not wait for it.
                Some(Command::Barrier { .. }) => {}
                Some(other) => return Err(Error::bug(format!("an operator that has ended cannot obey {other:?}"))),
                None => return Err(aborted()),
            }
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
