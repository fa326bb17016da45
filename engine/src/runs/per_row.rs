//! A source with an input: it is read to its end once per row that comes in, with values of the row in its settings.
//!
//! What is read between two barriers belongs to the rows that came between them, so nothing has to be remembered: after
//! a crash the rows come again, and what they lead to is read again.

use aqueduct_model::{
    BadRow, BadRows, Batch, Build, Error, ErrorKind, InputPort, Operator, OperatorContext, Output, OutputPort,
    PollBudget, Polled, Result, SchemaChange, Source, SourceContext, State, bind_row,
};
use async_trait::async_trait;
use serde_json::Value;

use crate::plan::PlannedTask;

/// See the module.
pub(crate) struct PerRow {
    task: PlannedTask,
    budget: PollBudget,
    context: SourceContext,
}

impl PerRow {
    pub(crate) fn new(task: &PlannedTask, budget: PollBudget, context: SourceContext) -> Self {
        Self { task: task.clone(), budget, context }
    }

    fn build(&self, config: &Value) -> Result<Box<dyn Source>> {
        (self.task.entry.check)(config)?;
        match self.task.entry.build {
            Build::Source { build, .. } => build(config),
            _ => Err(Error::bug(format!("{} is not a source", self.task.entry.name))),
        }
    }

    async fn read(&self, source: &mut dyn Source, out: &mut dyn Output) -> Result<()> {
        source.open(&self.context, None).await?;
        let mut bad = BadRows::new(self.task.on_bad_row, self.task.max_bad_rows);
        loop {
            let polled = source.poll(&self.budget, &mut bad).await?;
            let refused: Vec<BadRow> = bad.take();
            refused.into_iter().try_for_each(|row| out.reject(row))?;
            match polled {
                Polled::Batch(batch) => out.emit(OutputPort::MAIN, batch).await?,
                Polled::Schema(change) => out.announce(OutputPort::MAIN, change).await?,
                Polled::Idle => tokio::task::yield_now().await,
                Polled::Finished => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Operator for PerRow {
    async fn open(&mut self, _: &OperatorContext, _: Option<State>) -> Result<()> {
        Ok(())
    }

    async fn process(&mut self, _: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()> {
        if !batch.is_append_only() {
            return Err(Error::new(
                ErrorKind::Data,
                "an update or delete came in, and a source is read once per new row",
            )
            .with_hint("put a Filter or a source that emits inserts only in front"));
        }
        for row in 0..batch.num_rows() {
            let config = bind_row(&self.task.config, batch.rows(), row)?;
            let mut source = self.build(&config)?;
            let read = self.read(source.as_mut(), out).await;
            let closed = source.close().await;
            read.and(closed)?;
        }
        Ok(())
    }

    async fn on_schema(&mut self, _: InputPort, _: SchemaChange, _: &mut dyn Output) -> Result<()> {
        // The shape of what comes in is not that of what goes out.
        Ok(())
    }
}
