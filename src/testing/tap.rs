//! An operator that is looked at, and a sink that holds what it gets.

use aqueduct_engine::plan::PlannedTask;
use aqueduct_model::{
    BadRow, BadRows, Batch, Claim, Cut, Epoch, InputPort, Operator, OperatorContext, Output, OutputPort,
    PreparedCommit, Recorded, Relation, Result, SchemaChange, Sink, SinkContext, SinkInput, State, Watermark,
};
use async_trait::async_trait;

use super::recorder::{Place, Recorder, Seen};

/// Notes what an operator receives, sends and refuses. It also does what `tables:` says, so that rows which pass by are
/// seen too: the engine is not told of `tables:`.
pub(crate) struct Tap {
    inner: Box<dyn Operator>,
    task: String,
    tables: Vec<String>,
    ports: usize,
    recorder: Recorder,
}

impl Tap {
    /// `tables` are the patterns of the task as the flow has them.
    pub(crate) fn new(inner: Box<dyn Operator>, task: &PlannedTask, tables: Vec<String>, recorder: Recorder) -> Self {
        Self { inner, task: task.id.clone(), tables, ports: task.properties.outputs.len(), recorder }
    }

    fn handles(&self, relation: &Relation) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| relation.name().matches(pattern))
    }
}

#[async_trait]
impl Operator for Tap {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.inner.open(context, state).await
    }

    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        self.recorder.note(&self.task, Place::Input, Seen::Rows(batch.clone()))?;
        let handles = self.handles(batch.relation());
        let mut out = Noting { out, task: &self.task, recorder: &self.recorder };
        if handles { self.inner.process(port, batch, &mut out).await } else { out.emit(OutputPort::MAIN, batch).await }
    }

    async fn on_schema(&mut self, port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        let handles = self.handles(&change.relation);
        let mut out = Noting { out, task: &self.task, recorder: &self.recorder };
        if handles {
            return self.inner.on_schema(port, change, &mut out).await;
        }
        for port in 0..self.ports {
            out.announce(OutputPort(port), change.clone()).await?;
        }
        Ok(())
    }

    async fn on_watermark(&mut self, watermark: Watermark, out: &mut dyn Output) -> Result<Option<Watermark>> {
        let mut out = Noting { out, task: &self.task, recorder: &self.recorder };
        self.inner.on_watermark(watermark, &mut out).await
    }

    async fn snapshot(&mut self, epoch: Epoch) -> Result<State> {
        let state = self.inner.snapshot(epoch).await?;
        self.recorder.seal(&self.task, epoch);
        Ok(state)
    }

    async fn finish(&mut self, out: &mut dyn Output) -> Result<()> {
        let mut out = Noting { out, task: &self.task, recorder: &self.recorder };
        self.inner.finish(&mut out).await
    }
}

/// Outputs that are looked at.
struct Noting<'a> {
    out: &'a mut dyn Output,
    task: &'a str,
    recorder: &'a Recorder,
}

#[async_trait]
impl Output for Noting<'_> {
    async fn emit(&mut self, port: OutputPort, batch: Batch) -> Result<()> {
        if batch.num_rows() > 0 {
            self.recorder.note(self.task, Place::Output(port.0), Seen::Rows(batch.clone()))?;
        }
        self.out.emit(port, batch).await
    }

    async fn announce(&mut self, port: OutputPort, change: SchemaChange) -> Result<()> {
        self.recorder.note(self.task, Place::Output(port.0), Seen::Schema(change.clone()))?;
        self.out.announce(port, change).await
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.recorder.note(self.task, Place::Input, Seen::Refused(row.clone()))?;
        self.out.reject(row)
    }
}

/// A target in memory.
pub(crate) struct Memory {
    task: String,
    recorder: Recorder,
}

impl Memory {
    pub(crate) fn new(task: &str, recorder: Recorder) -> Self {
        Self { task: task.to_owned(), recorder }
    }
}

#[async_trait]
impl Sink for Memory {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        // Every flow has a sink, and sinks claim before anything is read.
        self.recorder.roll_back(claim.cut.epoch);
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        let seen = match input {
            SinkInput::Batch(batch) => Seen::Rows(batch),
            SinkInput::Schema(change) => Seen::Schema(change),
        };
        self.recorder.note(&self.task, Place::Input, seen)
    }

    async fn flush(&mut self, cut: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        self.recorder.seal(&self.task, cut.epoch);
        Ok(None)
    }
}
