//! The loop of a source: poll, emit, place barriers at transaction boundaries.
//!
//! A source that has read everything says so at its next barrier, and those behind it hear of the end right behind that
//! barrier. So the checkpoint tells in which epoch the end was, and what operators emit at the end of their inputs is in
//! the same epoch when that is replayed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    Barrier, Element, Epoch, Error, ErrorKind, Output, OutputPort, PollBudget, Polled, Position, Positions, Result,
    Source, SourceContext,
};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::faults::planted;
use super::outbox::{Outbox, aborted};
use super::progress::{Activity, Progress};
use super::protocol::{Command, Event, EventSender, Part};

/// How often a source that has nothing to hand out, and yet moves on (over what others write into its log), has its
/// position recorded: only then a server may forget what lies before it.
const QUIET_EPOCH: Duration = Duration::from_secs(5);

/// A source at work.
pub(crate) struct SourceTask {
    pub(crate) context: SourceContext,
    pub(crate) source: Box<dyn Source>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: EventSender,
    pub(crate) outbox: Outbox,
    pub(crate) progress: Arc<Progress>,
    pub(crate) budget: PollBudget,
    state: Reading,
}

/// What the loop has to remember between two polls.
#[derive(Default)]
struct Reading {
    /// Barriers that are asked for but not placed, because the source is inside a transaction.
    barriers: VecDeque<(Epoch, bool)>,
    /// The recorded epoch that is being replayed.
    replay: Option<(Epoch, Position)>,
    /// Where everything was read: no more polls.
    end: Option<Position>,
    /// The checkpoint of the last barrier, or that of the start, names the end.
    ended: bool,
    /// Those behind the source know of the end.
    finished: bool,
    /// The stop barrier is placed: no more polls.
    stopped: bool,
    /// It was opened late: no polls before the place where it begins is durable.
    begins: bool,
    /// The position of the last barrier, or of the start.
    placed: Option<Position>,
    /// When that was last compared with where the source is.
    compared_at: Option<Instant>,
}

impl SourceTask {
    pub(crate) fn new(
        context: SourceContext,
        source: Box<dyn Source>,
        line: (mpsc::Receiver<Command>, EventSender),
        outbox: Outbox,
        progress: Arc<Progress>,
        budget: PollBudget,
    ) -> Self {
        let (commands, events) = line;
        Self { context, source, commands, events, outbox, progress, budget, state: Reading::default() }
    }

    /// Runs until told to exit or the flow is torn down; closes the source in any case.
    pub(crate) async fn run(mut self) -> Result<()> {
        let result = self.work().await;
        let closed = self.source.close().await;
        result.and(closed)
    }

    async fn work(&mut self) -> Result<()> {
        let Some(Command::StartSource { resume, replay, waits, ended }) = self.commands.recv().await else {
            return Err(aborted());
        };
        self.state.ended = ended;
        if waits {
            if !self.wait_for_turn(resume.as_ref()).await? {
                return Ok(());
            }
            self.state.begins = resume.is_none();
            self.progress.changed();
        }
        self.source.open(&self.context, resume.as_ref()).await?;
        self.budget.until = replay.as_ref().map(|(_, position)| position.clone());
        self.state.replay = replay;
        self.state.placed = self.source.position();
        self.events.send(Event::Ready { position: self.state.placed.clone() }).await;
        if ended {
            self.state.end = resume;
            if self.state.replay.as_ref().is_some_and(|(_, until)| self.state.end.as_ref() != Some(until)) {
                return Err(lost_replay());
            }
            self.finish().await?;
        }
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if self.obey(command).await? {
                    return Ok(());
                }
            }
            self.end_replay().await?;
            self.place_barriers().await?;
            if self.state.end.is_some() || self.state.stopped || self.state.begins {
                self.progress.doing(Activity::Idle);
                let Some(command) = self.commands.recv().await else { return Err(aborted()) };
                if self.obey(command).await? {
                    return Ok(());
                }
            } else if self.commands.is_closed() {
                return Err(aborted());
            } else {
                self.poll().await?;
            }
        }
    }

    /// Waits unopened; false when the flow is over before its turn.
    async fn wait_for_turn(&mut self, resume: Option<&Position>) -> Result<bool> {
        self.events.send(Event::Ready { position: resume.cloned() }).await;
        self.progress.doing(Activity::Idle);
        loop {
            match self.commands.recv().await.ok_or_else(aborted)? {
                Command::Go => return Ok(true),
                Command::Exit => return Ok(false),
                Command::Barrier { epoch, stop } => self.place(epoch, stop, resume.cloned()).await?,
                // Nothing was read that could be forgotten.
                Command::Durable { .. } => {}
                other => return Err(Error::bug(format!("a source that waits cannot obey {other:?}"))),
            }
        }
    }

    /// Does what the coordinator says; true when that is to exit.
    async fn obey(&mut self, command: Command) -> Result<bool> {
        match command {
            Command::Barrier { epoch, stop } => self.state.barriers.push_back((epoch, stop)),
            Command::Durable { epoch, position } => {
                fail::fail_point!("src.ack_before");
                self.state.begins = false;
                self.source.on_checkpoint_durable(epoch, &position).await?;
                fail::fail_point!("src.ack_after");
            }
            Command::Exit => return Ok(true),
            // It did not wait, for its turn had come in an earlier life.
            Command::Go => {}
            other => return Err(Error::bug(format!("a source cannot obey {other:?}"))),
        }
        Ok(false)
    }

    /// Reads once and sends what was read.
    async fn poll(&mut self) -> Result<()> {
        if self.state.replay.is_some() && self.position() == self.budget.until {
            return Ok(());
        }
        self.progress.doing(Activity::Idle);
        let polled = self.source.poll(&self.budget, self.outbox.bad_rows()).await?;
        self.progress.doing(Activity::Working);
        match polled {
            Polled::Batch(batch) => {
                self.progress.changed();
                self.progress.batch_in(batch.num_rows(), batch.memory_bytes(), batch.ingested_at_ms());
                fail::fail_point!("chan.send");
                self.outbox.emit(OutputPort::MAIN, batch).await?;
            }
            Polled::Schema(change) => {
                self.progress.changed();
                self.outbox.announce(OutputPort::MAIN, change).await?;
            }
            Polled::Idle => {
                self.note_passed();
                tokio::task::yield_now().await;
            }
            Polled::Finished => {
                if self.state.replay.is_some() && self.source.position() != self.budget.until {
                    return Err(lost_replay());
                }
                self.end_replay().await?;
                let end = self.position().ok_or_else(|| Error::bug("a source ended inside a transaction"))?;
                self.state.end = Some(end);
                if planted("mutant.end_unnamed") {
                    return self.finish().await;
                }
                self.events.send(Event::AtEnd).await;
            }
        }
        Ok(())
    }

    /// Tells those behind the source that nothing more comes.
    async fn finish(&mut self) -> Result<()> {
        self.state.finished = true;
        let end = self.state.end.iter().map(|end| (self.context.task.clone(), end.clone()));
        self.outbox.broadcast(&Element::End { positions: Arc::new(end.collect()) })?;
        self.events.send(Event::Finished).await;
        Ok(())
    }

    /// What is read next; `None` inside a transaction.
    fn position(&self) -> Option<Position> {
        self.state.end.clone().or_else(|| self.source.position())
    }

    /// What was passed over without a row is worth an epoch now and then.
    fn note_passed(&mut self) {
        let now = Instant::now();
        let is_due = self.state.compared_at.is_none_or(|at| now >= at + QUIET_EPOCH);
        if self.state.replay.is_some() || !is_due {
            return;
        }
        self.state.compared_at = Some(now);
        let here = self.source.position();
        if here.is_some() && here != self.state.placed {
            self.progress.changed();
        }
    }

    /// Places the barrier of a replayed epoch, once exactly its rows were read.
    async fn end_replay(&mut self) -> Result<()> {
        let Some((epoch, until)) = self.state.replay.take() else { return Ok(()) };
        let here = self.position();
        if here.as_ref() == Some(&until) || (planted("mutant.replay_cut_short") && here.is_some()) {
            self.budget.until = None;
            return self.place(epoch, false, Some(here.unwrap_or(until))).await;
        }
        self.state.replay = Some((epoch, until));
        Ok(())
    }

    /// Places the barriers that were asked for, if the source is at a transaction boundary.
    async fn place_barriers(&mut self) -> Result<()> {
        if self.state.replay.is_some() {
            return Ok(());
        }
        while let Some((epoch, stop)) = self.state.barriers.front().copied() {
            let Some(position) = self.position() else { return Ok(()) };
            self.state.barriers.pop_front();
            self.place(epoch, stop, Some(position)).await?;
        }
        Ok(())
    }

    async fn place(&mut self, epoch: Epoch, stop: bool, position: Option<Position>) -> Result<()> {
        fail::fail_point!("barrier.inject");
        let stands = position.iter().map(|position| (self.context.task.clone(), position.clone()));
        let positions: Arc<Positions> = Arc::new(stands.collect());
        let counts = self.outbox.end_epoch();
        if !self.state.finished {
            self.outbox.broadcast(&Element::Barrier(Barrier { epoch, stop, positions }))?;
        }
        self.state.stopped |= stop;
        self.state.placed.clone_from(&position);
        // A flow that is stopped may find more when it goes on.
        let ends = self.state.end.is_some() && !self.state.finished && !stop;
        self.state.ended |= ends;
        let part = Part::Source { position, ended: self.state.ended };
        self.events.send(Event::Snapshot { epoch, part, bad_rows: counts.kept }).await;
        if ends { self.finish().await } else { Ok(()) }
    }
}

fn lost_replay() -> Error {
    Error::new(ErrorKind::LostPosition, "the source ended before the edge of the epoch that has to be replayed")
        .with_hint("its data was replaced or cut since; restore it, or start over with `aqueduct checkpoint reset`")
}
