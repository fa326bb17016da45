//! The items: those that wait, those that run, those that have ended and are not emitted.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Background, Batch, Error, ErrorKind, Load, OperatorContext, Output, Result, Runs, State};
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;

use super::item::{Item, Stage, digest, parse_name};
use super::{ItemEnd, Job, emit, stored};

/// No more input is taken while so many items wait.
const WAITING_MAX: usize = 1_000;

/// What holds for all items.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// So many at a time.
    pub(crate) parallel: usize,
    /// Columns of the item's row in front of every row that is handed back.
    pub(crate) keep: Vec<String>,
}

type Done = (u64, Result<ItemEnd>);

/// See the module.
pub(crate) struct Queue {
    job: Arc<dyn Job>,
    rules: Rules,
    task: String,
    runs: Option<Arc<dyn Runs>>,
    /// By number.
    items: BTreeMap<u64, Item>,
    next: u64,
    /// Runs of an earlier life that no snapshot knows: digest and number.
    orphans: Vec<(u64, u64)>,
    working: FuturesUnordered<BoxFuture<'static, Done>>,
    /// What `ready` saw and `step` has not looked at.
    arrived: Vec<Done>,
    /// Runs whose items were emitted before the last snapshot.
    over: Vec<String>,
}

impl Queue {
    pub(crate) fn new(job: Arc<dyn Job>, rules: Rules) -> Self {
        Self {
            job,
            rules,
            task: String::new(),
            runs: None,
            items: BTreeMap::new(),
            next: 0,
            orphans: Vec::new(),
            working: FuturesUnordered::new(),
            arrived: Vec::new(),
            over: Vec::new(),
        }
    }

    /// Goes on where the snapshot was made.
    pub(crate) async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.task.clone_from(&context.task);
        let runs = context
            .runs
            .clone()
            .ok_or_else(|| Error::config("flows cannot be run here").with_hint("start the flow with `aqueduct run`"))?;
        self.runs = Some(runs.clone());
        let restored = state.as_ref().map(stored::read).transpose()?.unwrap_or_default();
        for name in &restored.over {
            runs.forget(name)?;
        }
        let numbers = restored.items.iter().map(|(item, _)| item.number + 1);
        self.next = numbers.max().unwrap_or_default().max(restored.next);
        let known: Vec<String> = restored.items.iter().map(|(item, _)| item.name()).collect();
        for name in runs.known()? {
            match parse_name(&name).filter(|(number, _)| *number >= restored.next) {
                _ if known.contains(&name) => {}
                Some((number, digest)) => {
                    self.orphans.push((digest, number));
                    self.next = self.next.max(number + 1);
                }
                // Of an item whose end was emitted, or of none of ours.
                None => runs.forget(&name)?,
            }
        }
        for (mut item, ended) in restored.items {
            if ended {
                // It gives its end again at once.
                let end = self.job.work(runs.clone(), item.name(), &item.row)?.await?;
                item.stage = Stage::Named(end);
            }
            self.items.insert(item.number, item);
        }
        self.start_next()
    }

    /// Takes the rows of a batch as items.
    pub(crate) fn take(&mut self, batch: &Batch) -> Result<()> {
        if !batch.is_append_only() {
            return Err(Error::new(ErrorKind::Data, "an update or delete came in, and a flow is run once per new row")
                .with_hint("put a source that emits inserts only in front"));
        }
        emit::columns_exist(&self.rules.keep, batch.relation())?;
        for row in 0..batch.num_rows() {
            let row = batch.slice(row, 1);
            let digest = digest(&row)?;
            let orphan = self.orphans.iter().position(|(of, _)| *of == digest);
            let number = match orphan {
                Some(place) => self.orphans.remove(place).1,
                None => {
                    self.next += 1;
                    self.next - 1
                }
            };
            self.items.insert(number, Item { number, digest, row, stage: Stage::Waiting });
        }
        self.start_next()
    }

    fn start_next(&mut self) -> Result<()> {
        let Some(runs) = &self.runs else { return Ok(()) };
        let free = self.rules.parallel.saturating_sub(self.working.len() + self.arrived.len());
        let waiting = self.items.values_mut().filter(|item| matches!(item.stage, Stage::Waiting));
        for item in waiting.take(free) {
            let work = self.job.work(runs.clone(), item.name(), &item.row)?;
            let number = item.number;
            item.stage = Stage::Running;
            self.working.push(Box::pin(async move { (number, work.await) }));
        }
        Ok(())
    }

    /// What the items are at the end of an epoch.
    pub(crate) fn snapshot(&mut self) -> Result<State> {
        if let Some(runs) = &self.runs {
            // The snapshot that named them is durable: there is no other before this one.
            self.over.drain(..).try_for_each(|name| runs.forget(&name))?;
        }
        let emitted = self.items.values().filter(|item| matches!(item.stage, Stage::Emitted));
        self.over = emitted.map(Item::name).collect();
        self.items.retain(|_, item| !matches!(item.stage, Stage::Emitted));
        for item in self.items.values_mut() {
            if let Stage::Ended(end) = &mut item.stage {
                item.stage = Stage::Named(end.clone());
            }
        }
        // Those that were taken over may have lower numbers than those that were not.
        let next = self.orphans.iter().map(|(_, number)| *number).min().unwrap_or(self.next);
        stored::write(next, self.items.values(), &self.over)
    }

    fn item_ended(&mut self, number: u64, end: Result<ItemEnd>) -> Result<()> {
        let item = self.items.get_mut(&number).ok_or_else(|| Error::bug("an item ended that is not there"))?;
        item.stage = Stage::Ended(end?);
        Ok(())
    }

    async fn emit_named(&mut self, out: &mut dyn Output) -> Result<()> {
        for item in self.items.values_mut() {
            if let Stage::Named(end) = &item.stage {
                let end = end.clone();
                emit::emit(&self.task, &self.rules.keep, item, &end, out).await?;
                item.stage = Stage::Emitted;
            }
        }
        Ok(())
    }

    fn is_named(&self) -> bool {
        self.items.values().any(|item| matches!(item.stage, Stage::Named(_)))
    }
}

#[async_trait]
impl Background for Queue {
    async fn ready(&mut self) {
        if self.is_named() || !self.arrived.is_empty() {
            return;
        }
        match self.working.next().await {
            Some(done) => self.arrived.push(done),
            None => std::future::pending().await,
        }
    }

    async fn step(&mut self, out: &mut dyn Output) -> Result<()> {
        for (number, end) in std::mem::take(&mut self.arrived) {
            self.item_ended(number, end)?;
        }
        self.start_next()?;
        self.emit_named(out).await
    }

    async fn settle(&mut self, out: &mut dyn Output) -> Result<()> {
        self.emit_named(out).await
    }

    fn load(&self) -> Load {
        let open = self.items.values().filter(|item| !matches!(item.stage, Stage::Emitted));
        let waiting = self.items.values().filter(|item| matches!(item.stage, Stage::Waiting)).count();
        if open.count() == 0 {
            Load::Idle
        } else if waiting >= WAITING_MAX {
            Load::Full
        } else {
            Load::Busy
        }
    }
}
