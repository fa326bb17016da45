//! The ends that `preview` puts on a flow: sources that stop after a few rows, taps at every edge, sinks that write
//! nothing.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aqueduct_engine::plan::PlannedTask;
use aqueduct_engine::runtime::PluginFactory;
use aqueduct_model::{
    BadRows, Batch, Build, Claim, Cut, Error, InputPort, Operator, OperatorContext, Output, PollBudget, Polled,
    Position, PreparedCommit, Recorded, Result, SchemaChange, Sink, SinkContext, SinkInput, Source, SourceContext,
    State, Watermark,
};
use async_trait::async_trait;

/// What passed an edge.
pub(super) struct Seen {
    /// The task that received the rows.
    pub(super) task: String,
    pub(super) batch: Batch,
}

/// Makes the ends.
#[derive(Clone)]
pub(super) struct PreviewPlugins {
    pub(super) rows: usize,
    /// Sources that are read to their end all the same: what an operator asks of them it asks of all their rows.
    pub(super) read_first: BTreeSet<String>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
}

impl PreviewPlugins {
    fn note(&self, task: &str, batch: &Batch) {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.push(Seen { task: task.to_owned(), batch: batch.slice(0, batch.num_rows().min(self.rows)) });
    }
}

impl PluginFactory for PreviewPlugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        let Build::Source { build, scan } = task.entry.build else {
            return Err(Error::bug(format!("{} is not a source", task.entry.name)));
        };
        let inner = match scan(&task.config) {
            Some(scan) => scan? as Box<dyn Source>,
            None => build(&task.config)?,
        };
        if self.read_first.contains(&task.id) {
            return Ok(inner);
        }
        Ok(Box::new(FirstRows { inner, left: self.rows }))
    }

    fn operator(&self, task: &PlannedTask) -> Result<Box<dyn Operator>> {
        let Build::Operator { build } = task.entry.build else {
            return Err(Error::bug(format!("{} is not an operator", task.entry.name)));
        };
        Ok(Box::new(Tap { inner: build(&task.config)?, task: task.id.clone(), preview: self.clone() }))
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Nowhere { task: task.id.clone(), preview: self.clone() }))
    }
}

/// Ends after a few rows, or at the first silence behind them.
struct FirstRows {
    inner: Box<dyn Source>,
    left: usize,
}

#[async_trait]
impl Source for FirstRows {
    async fn open(&mut self, context: &SourceContext, _: Option<&Position>) -> Result<()> {
        self.inner.open(context, None).await
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        if self.left == 0 {
            return Ok(Polled::Finished);
        }
        let budget = PollBudget { max_rows: self.left.max(2), ..budget.clone() };
        match self.inner.poll(&budget, bad).await? {
            Polled::Batch(batch) => {
                self.left = self.left.saturating_sub(batch.num_rows());
                Ok(Polled::Batch(batch))
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

/// An operator that shows what it gets.
struct Tap {
    inner: Box<dyn Operator>,
    task: String,
    preview: PreviewPlugins,
}

#[async_trait]
impl Operator for Tap {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.inner.open(context, state).await
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        self.preview.note(&self.task, &batch);
        self.inner.process(port, batch, out).await
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        self.inner.on_schema(port, change, out).await
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        self.inner.on_watermark(watermark, out).await
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        self.inner.finish(out).await
    }
}

/// A sink that shows what it gets and writes nothing.
struct Nowhere {
    task: String,
    preview: PreviewPlugins,
}

#[async_trait]
impl Sink for Nowhere {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, _: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        if let SinkInput::Batch(batch) = input {
            self.preview.note(&self.task, &batch);
        }
        Ok(())
    }

    async fn flush(&mut self, _: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        Ok(None)
    }
}
