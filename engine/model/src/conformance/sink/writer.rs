//! Drives a sink value the way the engine does.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::caught::caught;
use super::SinkTarget;
use crate::{
    BadRowPolicy, BadRows, Batch, Claim, Cut, Epoch, Position, PreparedCommit, Recorded, Result, SchemaChange, Sink,
    SinkContext, SinkInput, Token,
};

/// The end of an epoch, with one source upstream.
pub(super) fn cut(epoch: u64) -> Cut {
    let position = Position::single("", json!({ "row": epoch * 10 }));
    let positions = if epoch == 0 { BTreeMap::new() } else { BTreeMap::from([("source".to_owned(), position)]) };
    Cut { epoch: Epoch(epoch), positions }
}

pub(super) struct Writer {
    sink: Box<dyn Sink>,
    pub(super) bad: BadRows,
    pub(super) recorded: Option<Recorded>,
    /// The last epoch that was flushed or that was claimed.
    pub(super) epoch: u64,
}

impl Writer {
    /// A fresh value, opened only.
    pub(super) async fn open(target: &SinkTarget) -> Result<Self> {
        let mut sink = (target.build)()?;
        let context = SinkContext { flow: "conformance".to_owned(), task: "sink".to_owned(), state_dir: None };
        let recorded = caught(sink.open(&context)).await?;
        Ok(Self { sink, bad: BadRows::new(BadRowPolicy::Drop, usize::MAX), recorded, epoch: 0 })
    }

    /// A fresh value, opened, with its claim.
    pub(super) async fn start(target: &SinkTarget, token: u64, epoch: u64) -> Result<Self> {
        let mut writer = Self::open(target).await?;
        writer.claim(token, epoch).await?;
        Ok(writer)
    }

    pub(super) async fn claim(&mut self, token: u64, epoch: u64) -> Result<()> {
        self.epoch = epoch;
        caught(self.sink.claim(&Claim { token: Token(token), cut: cut(epoch) })).await
    }

    pub(super) async fn write(&mut self, batch: Batch) -> Result<()> {
        caught(self.sink.write(SinkInput::Batch(batch), &mut self.bad)).await
    }

    pub(super) async fn schema(&mut self, change: SchemaChange) -> Result<()> {
        caught(self.sink.write(SinkInput::Schema(change), &mut self.bad)).await
    }

    /// Flushes the next epoch.
    pub(super) async fn flush(&mut self) -> Result<Option<PreparedCommit>> {
        self.epoch += 1;
        caught(self.sink.flush(&cut(self.epoch), &mut self.bad)).await
    }

    pub(super) async fn commit(&mut self, epoch: u64, prepared: &PreparedCommit) -> Result<()> {
        caught(self.sink.commit(Epoch(epoch), prepared)).await
    }

    /// Writes, flushes and commits one epoch.
    pub(super) async fn epoch(&mut self, batches: Vec<Batch>) -> Result<()> {
        for batch in batches {
            self.write(batch).await?;
        }
        self.end_epoch().await
    }

    /// Flushes and commits what was written.
    pub(super) async fn end_epoch(&mut self) -> Result<()> {
        match self.flush().await? {
            Some(prepared) => self.commit(self.epoch, &prepared).await,
            None => Ok(()),
        }
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        caught(self.sink.close()).await
    }
}
