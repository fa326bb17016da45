//! The capture as a source.

use std::sync::Arc;

use aqueduct_model::{BadRows, Epoch, Error, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;

use super::System;
use super::disk::{Disk, Folder, Memory};
use super::settings::CaptureSettings;
use super::work::Work;

/// Makes a system once it is known who it reads for. No I/O.
pub(super) type MakeSystem<S> = Box<dyn FnOnce(&SourceContext) -> Result<S> + Send>;

/// Snapshot and stream of one system; see the module.
pub(crate) struct Capture<S: System> {
    settings: Arc<CaptureSettings>,
    make: Option<MakeSystem<S>>,
    disk: Option<Arc<dyn Disk>>,
    work: Option<Work<S>>,
}

impl<S: System> Capture<S> {
    /// A capture that is not open yet.
    pub(crate) fn new(
        make: impl FnOnce(&SourceContext) -> Result<S> + Send + 'static,
        settings: CaptureSettings,
    ) -> Self {
        Self { settings: Arc::new(settings), make: Some(Box::new(make)), disk: None, work: None }
    }

    /// With files of a test's own.
    #[cfg(test)]
    pub(super) fn on_disk(system: S, settings: CaptureSettings, disk: Arc<dyn Disk>) -> Self {
        Self { disk: Some(disk), ..Self::new(move |_| Ok(system), settings) }
    }

    fn work(&mut self) -> Result<&mut Work<S>> {
        self.work.as_mut().ok_or_else(|| Error::bug("the capture is not open"))
    }
}

#[async_trait]
impl<S: System> Source for Capture<S> {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        let make = self.make.take().ok_or_else(|| Error::bug("a capture is opened once"))?;
        let system = make(context)?;
        let disk: Arc<dyn Disk> = match (self.disk.take(), &context.state_dir) {
            (Some(disk), _) => disk,
            (None, Some(folder)) => Arc::new(Folder::new(folder)),
            (None, None) => Arc::new(Memory::default()),
        };
        fail::fail_point!("src.connect");
        self.work = Some(Work::open(system, self.settings.clone(), disk, resume).await?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        self.work()?.poll(budget, bad).await
    }

    fn position(&self) -> Option<Position> {
        self.work.as_ref().and_then(Work::position)
    }

    async fn on_checkpoint_durable(&mut self, _: Epoch, position: &Position) -> Result<()> {
        self.work()?.durable(position).await
    }

    async fn close(&mut self) -> Result<()> {
        match self.work.take() {
            Some(mut work) => work.system.close().await,
            None => Ok(()),
        }
    }
}
