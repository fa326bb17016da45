//! All outputs of a task: ports, fan-out, backpressure, refused rows.

use std::sync::Arc;

use aqueduct_model::{
    BadRow, BadRows, Batch, Element, Error, ErrorKind, Output, OutputPort, Result, SchemaChange, Watermark,
};
use async_trait::async_trait;

use super::cancel::Cancel;
use super::channel::{Closed, Sender};
use super::progress::{Activity, Progress};

/// All outputs of a task. A port without an edge drops its rows: nobody asked for them.
pub(crate) struct Outbox {
    /// By port, the edges that start there.
    ports: Vec<Vec<Sender>>,
    bad_rows: BadRows,
    progress: Arc<Progress>,
    cancel: Cancel,
    /// Rows emitted on any port since the last barrier, for the conservation check.
    rows_in_epoch: u64,
}

/// The error of a task whose flow is being torn down; never shown, because the cause is another task's.
pub(crate) fn aborted() -> Error {
    Error::new(ErrorKind::Unavailable, ABORTED)
}

const ABORTED: &str = "the flow is being torn down";

/// True for the error that [`aborted`] makes.
pub(crate) fn is_aborted(error: &Error) -> bool {
    error.kind() == ErrorKind::Unavailable && error.to_string() == ABORTED
}

impl Outbox {
    pub(crate) fn new(ports: Vec<Vec<Sender>>, bad_rows: BadRows, progress: Arc<Progress>, cancel: Cancel) -> Self {
        Self { ports, bad_rows, progress, cancel, rows_in_epoch: 0 }
    }

    /// Sends a barrier, a watermark or the end on every edge.
    pub(crate) fn broadcast(&mut self, element: &Element) -> Result<()> {
        for sender in self.ports.iter_mut().flatten() {
            sender.send_control(element.clone()).map_err(|Closed| aborted())?;
        }
        Ok(())
    }

    /// Sends a schema change on every port: used for relations that an operator does not handle.
    pub(crate) fn announce_everywhere(&mut self, change: &SchemaChange) -> Result<()> {
        self.broadcast(&Element::Schema(change.clone()))
    }

    /// The collector of refused rows, for plugins that take it directly.
    pub(crate) fn bad_rows(&mut self) -> &mut BadRows {
        &mut self.bad_rows
    }

    /// How many rows were sent since the last barrier.
    pub(crate) fn rows_in_epoch(&self) -> u64 {
        self.rows_in_epoch
    }

    /// Ends the epoch: what was refused and is to be kept, how many were refused, how many rows went out.
    pub(crate) fn end_epoch(&mut self) -> EpochCounts {
        let refused = self.bad_rows.count() as u64;
        self.progress.bad_rows(refused as usize);
        EpochCounts { kept: self.bad_rows.take(), refused, rows_out: std::mem::take(&mut self.rows_in_epoch) }
    }
}

/// What an outbox counted in one epoch.
pub(crate) struct EpochCounts {
    pub(crate) kept: Vec<BadRow>,
    pub(crate) refused: u64,
    pub(crate) rows_out: u64,
}

#[async_trait]
impl Output for Outbox {
    async fn emit(&mut self, port: OutputPort, batch: Batch) -> Result<()> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(());
        }
        let Some(senders) = self.ports.get_mut(port.0) else {
            return Err(Error::bug(format!("output port {} does not exist", port.0)));
        };
        self.rows_in_epoch += rows as u64;
        self.progress.rows_out(rows);
        self.progress.doing(Activity::Backpressure);
        let (last, others) = match senders.split_last_mut() {
            Some(split) => split,
            None => return Ok(()),
        };
        for sender in others {
            send(sender, batch.clone(), &mut self.cancel).await?;
        }
        send(last, batch, &mut self.cancel).await?;
        self.progress.doing(Activity::Working);
        Ok(())
    }

    async fn announce(&mut self, port: OutputPort, change: SchemaChange) -> Result<()> {
        let senders = self.ports.get_mut(port.0).ok_or_else(|| Error::bug("output port does not exist"))?;
        for sender in senders {
            sender.send_control(Element::Schema(change.clone())).map_err(|Closed| aborted())?;
        }
        Ok(())
    }

    fn advance(&mut self, watermark: Watermark) -> Result<()> {
        self.broadcast(&Element::Watermark(watermark))
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.bad_rows.reject(row)
    }
}

async fn send(sender: &mut Sender, batch: Batch, cancel: &mut Cancel) -> Result<()> {
    tokio::select! {
        biased;
        sent = sender.send_batch(batch) => sent.map_err(|Closed| aborted()),
        () = cancel.cancelled() => Err(aborted()),
    }
}
