//! The sources of a comparison.
//!
//! A server cannot be asked for the state of its tables at a position in the past. Its scan reads the tables first, says
//! at which position it has them at the earliest, and computes them as of any later one. So it is opened before the
//! target's view, held, and read by every pass; other sources are built anew for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{
    BadRowPolicy, BadRows, Build, ChooseReading, Error, ErrorKind, PollBudget, Polled, Position, Positions, Result,
    Scan, Source, SourceContext, TableChecksum,
};
use async_trait::async_trait;

/// A scan between two passes; empty while one reads it.
type Slot = Arc<Mutex<Option<Held>>>;

/// A scan that is open, and what was read of it so far.
struct Held {
    source: Box<dyn Scan>,
    first: Option<Polled>,
}

/// See the module.
pub(super) struct Sources {
    held: BTreeMap<String, Slot>,
}

impl Sources {
    /// Opens the scans of `part` that have to be opened before the target's view; `choose` says how they read.
    pub(super) fn open(host: &Host, part: &Plan, choose: &ChooseReading) -> Result<Self> {
        let mut sources = Self { held: BTreeMap::new() };
        for task in &part.tasks {
            let Build::Source { scan, .. } = task.entry.build else { continue };
            let Some(source) = scan(&task.config) else { continue };
            let mut source = source?;
            source.choose(choose.clone());
            let context = SourceContext { flow: part.flow.clone(), task: task.id.clone(), ..SourceContext::default() };
            let opened = host.wait_on(source.open(&context, None));
            let waits = source.position().is_some_and(|position| !position.0.is_empty());
            if opened.is_err() || !waits {
                let closed = host.wait_on(source.close());
                opened.and(closed).map_err(|error| error.with_task(&task.id))?;
                continue;
            }
            let held = Held { source, first: None };
            sources.held.insert(task.id.clone(), Arc::new(Mutex::new(Some(held))));
        }
        Ok(sources)
    }

    /// What the scans summed up, as of the position they were fixed at.
    pub(super) fn checksums(&self) -> Vec<TableChecksum> {
        let held = self.held.values().map(|slot| lock(slot).as_ref().map(|held| held.source.checksums()));
        held.flatten().flatten().collect()
    }

    /// True when no scan had to be opened before the target's view.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Fixes every scan at the target's position.
    ///
    /// # Errors
    /// `Unavailable` when the target has not come to where a source was read, or a scan has to begin anew: see
    /// [`Self::is_spent`].
    pub(super) fn fix(&self, host: &Host, positions: &Positions) -> Result<()> {
        for (task, slot) in &self.held {
            let mut slot = lock(slot);
            let Some(held) = slot.as_mut() else { return Err(Error::bug("a scan is read by two")) };
            let until = positions.get(task).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, "the target has no rows of this source yet").with_task(task)
            })?;
            let budget = PollBudget { until: Some(until), ..PollBudget::default() };
            let mut bad = BadRows::new(BadRowPolicy::Drop, usize::MAX);
            let first = host.wait_on(held.source.poll(&budget, &mut bad)).map_err(|error| error.with_task(task))?;
            held.first = Some(first);
        }
        Ok(())
    }

    /// True when a scan is of no use any more.
    pub(super) fn is_spent(&self) -> bool {
        self.held.values().any(|slot| lock(slot).as_ref().is_none_or(|held| held.source.position().is_none()))
    }

    /// Closes all scans: what they made at the servers is taken back.
    pub(super) fn close(&self, host: &Host) -> Result<()> {
        let mut result = Ok(());
        for slot in self.held.values() {
            let held = lock(slot).take();
            if let Some(mut held) = held {
                result = result.and(host.wait_on(held.source.close()));
            }
        }
        result
    }

    /// The source of a task for one pass.
    pub(super) fn source(&self, task: &PlannedTask, until: Option<&Position>) -> Result<Box<dyn Source>> {
        if let Some(slot) = self.held.get(&task.id) {
            let held = lock(slot).take().ok_or_else(|| Error::bug("a scan is read by two"))?;
            return Ok(Box::new(Lent { held: Some(held), slot: slot.clone(), until: until.cloned() }));
        }
        let Build::Source { build, scan } = task.entry.build else {
            return Err(Error::bug(format!("{} is not a source", task.entry.name)));
        };
        let inner = match scan(&task.config) {
            Some(scan) => scan? as Box<dyn Source>,
            None => build(&task.config)?,
        };
        Ok(Box::new(AsOf { inner, until: until.cloned() }))
    }
}

/// The slot, also after a panic elsewhere: it is either full or empty.
fn lock(slot: &Slot) -> MutexGuard<'_, Option<Held>> {
    slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A held scan in a pass; goes back into its slot at the end.
struct Lent {
    held: Option<Held>,
    slot: Slot,
    until: Option<Position>,
}

impl Lent {
    fn give_back(&mut self) {
        if let Some(held) = self.held.take() {
            *lock(&self.slot) = Some(held);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[async_trait]
impl Source for Lent {
    async fn open(&mut self, _: &SourceContext, _: Option<&Position>) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let Some(held) = &mut self.held else { return Err(Error::bug("a scan was taken away")) };
        if let Some(first) = held.first.take() {
            return Ok(first);
        }
        held.source.poll(&PollBudget { until: self.until.clone(), ..budget.clone() }, bad).await
    }

    fn position(&self) -> Option<Position> {
        Some(Position::default())
    }

    async fn close(&mut self) -> Result<()> {
        self.give_back();
        Ok(())
    }
}

/// A source read from its beginning to a position and not further; a source without a position has written nothing.
struct AsOf {
    inner: Box<dyn Source>,
    until: Option<Position>,
}

#[async_trait]
impl Source for AsOf {
    async fn open(&mut self, context: &SourceContext, _: Option<&Position>) -> Result<()> {
        match self.until {
            Some(_) => self.inner.open(context, None).await,
            None => Ok(()),
        }
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        if self.until.is_none() {
            return Ok(Polled::Finished);
        }
        let budget = PollBudget { until: self.until.clone(), ..budget.clone() };
        match self.inner.poll(&budget, bad).await? {
            Polled::Idle if self.inner.position() == self.until => Ok(Polled::Finished),
            other => Ok(other),
        }
    }

    fn position(&self) -> Option<Position> {
        Some(Position::default())
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}
