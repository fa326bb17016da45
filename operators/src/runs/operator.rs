//! The operator around the items: the same for all whose rows are worked on by runs.

use aqueduct_model::{
    Background, Batch, Epoch, InputPort, Operator, OperatorContext, Output, Result, SchemaChange, State,
};
use async_trait::async_trait;

use super::Queue;

/// See the module.
pub(crate) struct ByRuns {
    pub(crate) queue: Queue,
}

#[async_trait]
impl Operator for ByRuns {
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()> {
        self.queue.open(context, state).await
    }

    async fn process(&mut self, _port: InputPort, batch: Batch, _out: &mut dyn Output) -> Result<()> {
        self.queue.take(&batch)
    }

    async fn on_schema(&mut self, _port: InputPort, _change: SchemaChange, _out: &mut dyn Output) -> Result<()> {
        // The shape of what comes in is not that of what goes out.
        Ok(())
    }

    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        self.queue.snapshot()
    }

    fn background(&mut self) -> Option<&mut dyn Background> {
        Some(&mut self.queue)
    }
}
