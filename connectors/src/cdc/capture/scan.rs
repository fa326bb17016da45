//! The tables as they were at a place in the log: what `verify` compares a target with.
//!
//! How to call it: `open`, which reads every table, and after it [`Source::position`], whose offset is the least place
//! that can be computed. Wait until the target's cut has come there, open the target's view, then `poll` with that cut's
//! position as `PollBudget::until` until `Finished`. A cut that is still before it is an `Unavailable` error: open the
//! target's view again and poll again, with a later cut. After another `Unavailable` error there is no position any more:
//! a new scan is needed. After `Finished` it can be read again from its beginning, as of the same cut. Rows come as
//! inserts, of tables without a key also as changes: what counts is the sum. Close it in any case: what it made at the
//! server is taken back then. Tables that wait for a person are left out.
//!
//! Tables can be summed up at the server instead ([`aqueduct_model::Scan::choose`]): their rows stay there.
//!
//! How it works: chunks are read into a folder of its own, each with what it shows of the log. Then the log is read from
//! before the first chunk to the cut, and the changes that a chunk does not show are applied to it, key by key; or to the
//! sum of its rows, for which both images of a change have to be in the log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use aqueduct_model::{
    BadRows, ChooseReading, Error, PollBudget, Polled, Position, Reading, Result, Scan, Source, SourceContext,
    TableChecksum,
};
use async_trait::async_trait;

use super::System;
use super::disk::{Disk, Folder};
use super::journal::Journal;
use super::past::Past;
use super::position::State;
use super::settings::CaptureSettings;
use super::source::MakeSystem;

/// What is to be taken back at the server once a scan is over.
type TakeBack = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send>;

/// See the module.
pub(crate) struct CaptureScan<S: System> {
    make: Option<MakeSystem<S>>,
    choose: ChooseReading,
    take_back: Option<TakeBack>,
    settings: CaptureSettings,
    folder: Option<PathBuf>,
    work: Option<Past<S>>,
}

impl<S: System> CaptureScan<S> {
    /// A scan that is not open yet.
    pub(crate) fn new(
        make: impl FnOnce(&SourceContext) -> Result<S> + Send + 'static,
        settings: CaptureSettings,
    ) -> Self {
        let choose: ChooseReading = Arc::new(|_| Reading::Rows);
        Self { make: Some(Box::new(make)), choose, take_back: None, settings, folder: None, work: None }
    }

    /// What the system made at the server for this scan is taken back when it is closed.
    #[cfg(feature = "postgres")]
    pub(crate) fn taking_back<F: Future<Output = Result<()>> + Send + 'static>(
        mut self,
        take_back: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        self.take_back = Some(Box::new(move || Box::pin(take_back())));
        self
    }

    fn forget_folder(&mut self) {
        if let Some(folder) = self.folder.take()
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            tracing::debug!(folder = %folder.display(), %error, "a folder of a scan was not removed");
        }
    }
}

impl<S: System> Drop for CaptureScan<S> {
    fn drop(&mut self) {
        self.forget_folder();
    }
}

impl<S: System> Scan for CaptureScan<S> {
    fn choose(&mut self, choose: ChooseReading) {
        self.choose = choose;
    }

    fn checksums(&self) -> Vec<TableChecksum> {
        let tables = self.work.iter().filter(|work| work.folded.is_some()).flat_map(|work| &work.tables);
        tables.filter_map(|table| Some(table.sums.as_ref()?.result(&table.info.relation))).collect()
    }
}

#[async_trait]
impl<S: System> Source for CaptureScan<S> {
    async fn open(&mut self, context: &SourceContext, _: Option<&Position>) -> Result<()> {
        let make = self.make.take().ok_or_else(|| Error::bug("a scan is opened once"))?;
        let folder = std::env::temp_dir().join(format!("aqueduct-scan-{}", uuid::Uuid::new_v4()));
        self.folder = Some(folder.clone());
        let mut system = make(context)?;
        system.connect().await?;
        let disk: Arc<dyn Disk> = Arc::new(Folder::new(&folder));
        self.work = Some(Past::open(system, Journal::new(disk), self.settings.chunk_rows, &self.choose).await?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let work = self.work.as_mut().ok_or_else(|| Error::bug("poll before open"))?;
        let until = budget.until.as_ref().ok_or_else(|| Error::bug("a scan is polled with `until`"))?;
        if work.folded.as_ref() != Some(until) {
            let cut: State<S::Mark> = State::parse(until)?;
            work.fold(&cut, bad).await?;
            work.rewind();
            work.folded = Some(until.clone());
        }
        work.next(budget.max_rows.max(1)).await
    }

    /// The least place that can be computed; see the module.
    fn position(&self) -> Option<Position> {
        let work = self.work.as_ref().filter(|work| !work.broken)?;
        let state: State<S::Mark> =
            State { log: work.high.clone(), entry: 0, done: 0, left: 0, tables: BTreeMap::new() };
        Some(state.position())
    }

    async fn close(&mut self) -> Result<()> {
        self.forget_folder();
        let closed = match self.work.take() {
            Some(mut work) => work.system.close().await,
            None => Ok(()),
        };
        match self.take_back.take().filter(|_| self.make.is_none()) {
            Some(take_back) => closed.and(take_back().await),
            None => closed,
        }
    }
}
