//! The loop of a sink: open, claim, write, flush at barriers, commit when told.

use std::sync::Arc;

use aqueduct_model::{
    BadRows, Cut, Epoch, Error, ErrorKind, Positions, PreparedCommit, Result, Sink, SinkContext, SinkInput,
};
use tokio::sync::mpsc;

use super::faults::planted;
use super::inbox::{Inbox, Incoming};
use super::outbox::aborted;
use super::progress::{Activity, Progress};
use super::protocol::{Command, Event, EventSender, Part};
use crate::receipts::ContentMeter;

/// A sink at work.
pub(crate) struct SinkTask {
    pub(crate) context: SinkContext,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: EventSender,
    pub(crate) inbox: Inbox,
    pub(crate) bad_rows: BadRows,
    pub(crate) progress: Arc<Progress>,
    /// The target already holds this epoch: its rows are dropped.
    pub(crate) discard: Option<Cut>,
    pub(crate) meter: ContentMeter,
}

/// What made the loop wake up.
enum Wake {
    Incoming(Incoming),
    Command(Option<Command>),
}

impl SinkTask {
    /// Runs until told to exit; closes the sink in any case.
    pub(crate) async fn run(mut self) -> Result<()> {
        let result = self.work().await;
        let closed = self.sink.close().await;
        result.and(closed)
    }

    async fn work(&mut self) -> Result<()> {
        let recorded = self.sink.open(&self.context).await?;
        self.events.send(Event::Opened { recorded }).await;
        let Some(Command::Claim { claim, roll_forward, discard }) = self.commands.recv().await else {
            return Err(aborted());
        };
        self.sink.claim(&claim).await?;
        if let Some((epoch, prepared)) = roll_forward {
            self.sink.commit(epoch, &prepared).await?;
        }
        self.discard = discard.filter(|_| !planted("mutant.replay_not_discarded"));
        self.events.send(Event::Ready { position: None }).await;
        // After the end of the inputs, or the stop barrier, only the coordinator is listened to.
        let mut listening = true;
        loop {
            self.progress.doing(Activity::Idle);
            let wake = tokio::select! {
                biased;
                command = self.commands.recv() => Wake::Command(command),
                incoming = self.inbox.next(), if listening => Wake::Incoming(incoming?),
            };
            self.progress.doing(Activity::Working);
            match wake {
                Wake::Command(Some(Command::Exit)) => return Ok(()),
                Wake::Command(None) => return Err(aborted()),
                Wake::Command(Some(command)) => self.obey(command).await?,
                Wake::Incoming(incoming) => listening = self.take(incoming).await?,
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Commit { epoch, prepared } => self.commit(epoch, &prepared).await,
            Command::Flush { epoch } => {
                let positions = self.inbox.positions();
                self.flush(epoch, positions).await
            }
            other => Err(Error::bug(format!("a sink cannot obey {other:?}"))),
        }
    }

    /// Handles one element; false when no more are to be read.
    async fn take(&mut self, incoming: Incoming) -> Result<bool> {
        match incoming {
            Incoming::Batch(_, batch) => {
                self.progress.batch_in(batch.num_rows(), batch.memory_bytes(), batch.ingested_at_ms());
                self.meter.rows(&batch)?;
                if self.discard.is_none() {
                    let rows = batch.num_rows();
                    self.sink.write(SinkInput::Batch(batch), &mut self.bad_rows).await?;
                    self.progress.rows_out(rows);
                }
            }
            Incoming::Schema(_, change) => {
                self.meter.schema_change();
                if self.discard.is_none() {
                    self.sink.write(SinkInput::Schema(change), &mut self.bad_rows).await?;
                }
            }
            Incoming::Watermark(_) => {}
            Incoming::Barrier(barrier) => {
                self.flush(barrier.epoch, (*barrier.positions).clone()).await?;
                return Ok(!barrier.stop);
            }
            Incoming::End => {
                self.events.send(Event::Finished).await;
                return Ok(false);
            }
            Incoming::Aborted => return Err(aborted()),
        }
        Ok(true)
    }

    async fn flush(&mut self, epoch: Epoch, positions: Positions) -> Result<()> {
        fail::fail_point!("sink.precommit");
        let cut = Cut { epoch, positions };
        let prepared = match self.discard.take() {
            Some(held) if held == cut => None,
            Some(held) => return Err(replay_differs(&held, &cut)),
            None => self.sink.flush(&cut, &mut self.bad_rows).await?,
        };
        self.progress.bad_rows(self.bad_rows.count());
        let (bad_rows, content) = (self.bad_rows.take(), self.meter.take());
        self.events.send(Event::Snapshot { epoch, part: Part::Sink { prepared, content }, bad_rows }).await;
        Ok(())
    }

    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        fail::fail_point!("sink.commit_before");
        self.sink.commit(epoch, prepared).await?;
        self.events.send(Event::Committed { epoch }).await;
        Ok(())
    }
}

fn replay_differs(held: &Cut, replayed: &Cut) -> Error {
    Error::new(
        ErrorKind::State,
        format!("the target holds epoch {} but the replay ended at epoch {} elsewhere", held.epoch, replayed.epoch),
    )
    .with_hint("the source did not replay the same rows; compare both with `aqueduct verify`, then `aqueduct checkpoint reset`")
}
