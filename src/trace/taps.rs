//! What is put around a flow's sources and operators, and in place of its targets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use aqueduct_model::{
    BadRow, BadRows, Batch, Claim, Cut, Epoch, InputPort, Operator, OperatorContext, Output, OutputPort, PollBudget,
    Polled, Position, PreparedCommit, Recorded, Relation, RelationName, Result, SchemaChange, Sink, SinkContext,
    SinkInput, Source, SourceContext, State, Watermark,
};
use async_trait::async_trait;

use super::key::{Key, Where};
use super::log::{Event, TraceLog};

/// A source whose batches are cut around the row; ends at the first silence.
pub(super) struct TracedSource {
    pub(super) inner: Box<dyn Source>,
    pub(super) task: String,
    pub(super) key: Arc<Key>,
    pub(super) log: TraceLog,
    /// How many more rows are read.
    pub(super) left: usize,
    /// What is left of the last batch.
    pub(super) parts: VecDeque<Batch>,
}

#[async_trait]
impl Source for TracedSource {
    async fn open(&mut self, context: &SourceContext, _: Option<&Position>) -> Result<()> {
        self.inner.open(context, None).await
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        if let Some(part) = self.parts.pop_front() {
            return Ok(Polled::Batch(part));
        }
        if self.left == 0 {
            return Ok(Polled::Finished);
        }
        match self.inner.poll(budget, bad).await? {
            Polled::Batch(batch) => {
                self.left = self.left.saturating_sub(batch.num_rows());
                for (part, is_row) in self.key.cut(&batch, Where::Source) {
                    if is_row {
                        self.log.own(&part);
                        let (task, position) = (self.task.clone(), self.inner.position());
                        self.log.note(Event::Read { task, batch: part.clone(), position });
                    }
                    self.parts.push_back(part);
                }
                Ok(self.parts.pop_front().map_or(Polled::Idle, Polled::Batch))
            }
            Polled::Idle => Ok(Polled::Finished),
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

/// An operator that tells what it makes of the row.
pub(super) struct TracedOperator {
    pub(super) inner: Box<dyn Operator>,
    pub(super) task: String,
    pub(super) tables: Vec<String>,
    pub(super) ports: usize,
    pub(super) key: Arc<Key>,
    pub(super) log: TraceLog,
    /// The tables that came in, and whether the row was among their rows.
    pub(super) inputs: BTreeMap<RelationName, bool>,
}

impl TracedOperator {
    fn handles(&self, relation: &Relation) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| relation.name().matches(pattern))
    }

    /// The operator, and outputs for what it gives while it has no rows in hand.
    fn later<'a>(&'a mut self, out: &'a mut dyn Output) -> (&'a mut dyn Operator, Telling<'a>) {
        let Self { inner, task, key, log, inputs, .. } = self;
        (inner.as_mut(), Telling { out, task, key, log, inputs, is_own: false })
    }
}

#[async_trait]
impl Operator for TracedOperator {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.inner.open(context, state).await
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        let is_own = self.log.is_own(&batch);
        *self.inputs.entry(batch.relation().name().clone()).or_insert(false) |= is_own;
        if is_own {
            self.log.note(Event::Received { task: self.task.clone(), batch: batch.clone() });
        }
        let handles = self.handles(batch.relation());
        let mut out = Telling { out, task: &self.task, key: &self.key, log: &self.log, inputs: &self.inputs, is_own };
        if handles { self.inner.process(port, batch, &mut out).await } else { out.emit(OutputPort::MAIN, batch).await }
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        if self.handles(&change.relation) {
            let (inner, mut out) = self.later(out);
            return inner.on_schema(port, change, &mut out).await;
        }
        for port in 0..self.ports {
            out.announce(OutputPort(port), change.clone()).await?;
        }
        Ok(())
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let (inner, mut out) = self.later(out);
        inner.on_watermark(watermark, &mut out).await
    }

    async fn snapshot(&mut self, epoch: Epoch) -> Result<State> {
        self.inner.snapshot(epoch).await
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let (inner, mut out) = self.later(out);
        inner.finish(&mut out).await
    }
}

/// Outputs that tell what comes out of them because of the row.
struct Telling<'a> {
    out: &'a mut dyn Output,
    task: &'a str,
    key: &'a Key,
    log: &'a TraceLog,
    inputs: &'a BTreeMap<RelationName, bool>,
    /// The operator has the row's batch in hand.
    is_own: bool,
}

impl Telling<'_> {
    /// Whether rows of the row's table, or of one that the task makes, may be what became of it.
    fn may_be_later(&self, batch: &Batch) -> bool {
        let came = self.inputs.values().any(|came| *came);
        came && self.inputs.get(batch.relation().name()).copied().unwrap_or(true)
    }
}

#[async_trait]
impl Output for Telling<'_> {
    async fn emit(&mut self, port: OutputPort, batch: Batch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let parts = match self.is_own {
            true => vec![(batch, true)],
            false if self.may_be_later(&batch) => self.key.cut(&batch, Where::Later),
            false => vec![(batch, false)],
        };
        for (part, is_row) in parts {
            if is_row {
                self.log.own(&part);
                let (task, later) = (self.task.to_owned(), !self.is_own);
                self.log.note(Event::Gave { task, port: port.0, batch: part.clone(), later });
            }
            self.out.emit(port, part).await?;
        }
        Ok(())
    }

    async fn announce(&mut self, port: OutputPort, change: SchemaChange) -> Result<()> {
        self.out.announce(port, change).await
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        if self.is_own {
            self.log.note(Event::Refused { task: self.task.to_owned(), row: row.clone() });
        }
        self.out.reject(row)
    }
}

/// A target that writes nothing.
pub(super) struct TracedSink {
    pub(super) task: String,
    pub(super) log: TraceLog,
    /// Batches so far.
    pub(super) batches: usize,
    /// The row came since the last epoch.
    pub(super) came: bool,
}

#[async_trait]
impl Sink for TracedSink {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, _: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        let SinkInput::Batch(batch) = input else { return Ok(()) };
        self.batches += 1;
        if self.log.is_own(&batch) {
            self.came = true;
            self.log.note(Event::Wrote { task: self.task.clone(), batch, number: self.batches });
        }
        Ok(())
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        if std::mem::take(&mut self.came) {
            self.log.note(Event::Flushed { task: self.task.clone(), epoch: cut.epoch });
        }
        Ok(None)
    }
}
