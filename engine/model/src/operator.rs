//! What stands between sources and sinks.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Background, BadRow, Batch, Epoch, Result, RuleCounts, Runs, SchemaChange, Watermark};

/// Which input of an operator, by its place in the task's `from` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputPort(pub usize);

/// Which output of an operator, by its place in [`crate::Properties::outputs`]; 0 is the main one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputPort(pub usize);

impl OutputPort {
    /// The first output, which an edge without a port name starts from.
    pub const MAIN: Self = Self(0);
}

/// Who an operator works for.
#[derive(Debug, Clone, Default)]
pub struct OperatorContext {
    /// The flow's name.
    pub flow: String,
    /// The task's id.
    pub task: String,
    /// A folder that belongs to this task alone and lives and dies with the flow's checkpoint; not created yet. `None`
    /// where nothing may be left behind: all state is in what `snapshot` returns then.
    pub state_dir: Option<PathBuf>,
    /// The ids of the tasks that feed each input port, in port order (`orders`, or `route.big` for a named port).
    pub inputs: Vec<String>,
    /// Runs other flows. `None` where flows cannot be run (a preview, a test of the operator alone).
    pub runs: Option<Arc<dyn Runs>>,
    /// Where an operator with rules counts what they find.
    pub rules: RuleCounts,
}

/// An operator's state at the end of an epoch. Small; opaque to everyone but the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State(pub Vec<u8>);

/// Where an operator puts its rows.
#[async_trait]
pub trait Output: Send {
    /// Sends a batch on; waits for credit, which is where backpressure is felt. An empty batch is dropped.
    async fn emit(&mut self, port: OutputPort, batch: Batch) -> Result<()>;

    /// Sends a schema change on.
    async fn announce(&mut self, port: OutputPort, change: SchemaChange) -> Result<()>;

    /// Sends progress of event time on, by every port: no row that is emitted after this lies behind it.
    ///
    /// The default drops it, for outputs that keep rows only.
    ///
    /// # Errors
    /// When the flow is being torn down.
    fn advance(&mut self, _watermark: Watermark) -> Result<()> {
        Ok(())
    }

    /// Refuses a row under the task's `on_bad_row` policy.
    ///
    /// # Errors
    /// `Data` when the policy is to fail, or in a flood.
    fn reject(&mut self, row: BadRow) -> Result<()>;
}

/// Turns rows into rows.
///
/// The engine calls `open` once, then the others from one task, in stream order. What `process` got before the
/// barrier of epoch e is in the state that `snapshot(e)` returns or was emitted.
#[async_trait]
pub trait Operator: Send {
    /// Starts, with the state of the last checkpoint if there is one.
    async fn open(&mut self, context: &OperatorContext, state: Option<State>) -> Result<()>;

    /// Handles one batch. Input relations come with the batches: a new relation or version may appear at any time.
    async fn process(&mut self, port: InputPort, batch: Batch, out: &mut dyn Output) -> Result<()>;

    /// Handles DDL; the default sends it on unchanged by the main port.
    async fn on_schema(&mut self, _port: InputPort, change: SchemaChange, out: &mut dyn Output) -> Result<()> {
        out.announce(OutputPort::MAIN, change).await
    }

    /// Handles the watermark over all inputs; what it returns is sent on. Behind an operator that waits for its end
    /// nothing is sent on: its rows come later.
    async fn on_watermark(&mut self, watermark: Watermark, _out: &mut dyn Output) -> Result<Option<Watermark>> {
        Ok(Some(watermark))
    }

    /// The state at the end of an epoch, between two elements of the stream.
    async fn snapshot(&mut self, _epoch: Epoch) -> Result<State> {
        Ok(State::default())
    }

    /// The work that goes on beside the stream, if the operator has such.
    fn background(&mut self) -> Option<&mut dyn Background> {
        None
    }

    /// All inputs have ended, and nothing is under way beside them: sends what is still held back.
    async fn finish(&mut self, _out: &mut dyn Output) -> Result<()> {
        Ok(())
    }
}
