//! What reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use crate::{BadRows, Batch, Epoch, Position, Result, SchemaChange};

/// Who a source reads for.
#[derive(Debug, Clone, Default)]
pub struct SourceContext {
    /// The flow's name.
    pub flow: String,
    /// The task's id.
    pub task: String,
    /// A folder that belongs to this task alone and lives and dies with the flow's checkpoint; not created yet. `None`
    /// where nothing may be left behind (a scan).
    pub state_dir: Option<PathBuf>,
    /// What the flow's parameters are, but for those that are secret.
    pub params: BTreeMap<String, serde_json::Value>,
}

/// How much one poll may take.
#[derive(Debug, Clone)]
pub struct PollBudget {
    /// At most this many rows; a source may go over it to keep the two halves of an update together.
    pub max_rows: usize,
    /// About this many bytes.
    pub max_bytes: usize,
    /// Return [`Polled::Idle`] after this long without data, instead of being cancelled half way.
    pub max_wait: Duration,
    /// Do not read past this position: the edge of a recorded epoch that is being replayed. The rows between the
    /// resume position and this one are exactly those that were read the first time.
    pub until: Option<Position>,
}

impl Default for PollBudget {
    fn default() -> Self {
        Self { max_rows: 8_192, max_bytes: 8 << 20, max_wait: Duration::from_millis(100), until: None }
    }
}

/// What a poll found.
#[derive(Debug)]
pub enum Polled {
    /// Rows, not empty.
    Batch(Batch),
    /// A table changed its shape (or is new); rows behind this have the new one.
    Schema(SchemaChange),
    /// Nothing for now, or `until` is reached.
    Idle,
    /// Nothing ever again; the position stays valid.
    Finished,
}

/// Reads rows, and can say at any time where to go on.
///
/// The engine calls `open` once, then `poll` and `position` in turn; `on_checkpoint_durable` between polls;
/// `close` last, also after an error. Values are dropped and built anew after a failure.
///
/// ```
/// use aqueduct_model::*;
/// struct Nothing;
/// #[async_trait::async_trait]
/// impl Source for Nothing {
///     async fn open(&mut self, _: &SourceContext, _: Option<&Position>) -> Result<()> { Ok(()) }
///     async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> { Ok(Polled::Finished) }
///     fn position(&self) -> Option<Position> { Some(Position::default()) }
/// }
/// ```
#[async_trait]
pub trait Source: Send {
    /// Connects and goes to `resume`, or to the beginning.
    ///
    /// # Errors
    /// `LostPosition` when `resume` is no longer available: never a silent gap. `Auth`, `Unavailable`, `Config`.
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()>;

    /// Reads on. Returns within `budget.max_wait` (plus the time that one read takes).
    ///
    /// Rows that cannot be decoded go to `bad`; an unknown kind of event is an error, never a skip.
    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled>;

    /// What is read next, everything handed out so far being before it; `None` inside a source transaction, where no
    /// epoch may end.
    fn position(&self) -> Option<Position>;

    /// Everything before `position` is committed in every sink: the source may tell its server, and prune.
    async fn on_checkpoint_durable(&mut self, _epoch: Epoch, _position: &Position) -> Result<()> {
        Ok(())
    }

    /// Releases connections. Called once, also after an error.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
