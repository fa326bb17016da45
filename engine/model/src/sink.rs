//! What writes.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{BadRows, Batch, Cut, Epoch, Result, SchemaChange, Token};

/// Who a sink writes for.
#[derive(Debug, Clone, Default)]
pub struct SinkContext {
    /// The flow's name.
    pub flow: String,
    /// The task's id.
    pub task: String,
    /// A folder that belongs to this task alone and lives and dies with the flow's checkpoint; not created yet. `None`
    /// where nothing is going to be written.
    pub state_dir: Option<PathBuf>,
}

/// What a sink finds of an earlier run in the target itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The token of the last writer.
    pub token: Token,
    /// The last epoch committed there.
    pub cut: Cut,
}

/// What the engine decided at recovery: who writes from now on, and from which epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The token of this start: higher than any before.
    pub token: Token,
    /// The last committed epoch. What the target holds of later epochs (staged files, prepared transactions) is to
    /// be rolled back.
    pub cut: Cut,
}

/// What a sink writes: rows, or a change of a table's shape.
#[derive(Debug, Clone)]
pub enum SinkInput {
    /// Rows.
    Batch(Batch),
    /// A table changed its shape; a transactional sink applies it inside the epoch.
    Schema(SchemaChange),
}

/// How to finish an epoch that is flushed but not committed: opaque, small, enough for a fresh sink value to do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PreparedCommit(pub serde_json::Value);

/// Writes rows, epoch by epoch.
///
/// The engine calls `open`, `claim`, perhaps `commit` (to roll an epoch forward that was logged before a crash), then
/// `write` and `flush` in turn, `commit` after a flush that returned a prepared commit, and `close` last.
///
/// Two kinds of sink keep exactly-once:
/// * **transactional**: `flush` commits the target's own transaction, in which the row `(flow, task)` of the table
///   `_aqueduct_commits` goes from the previous epoch to this one under this token; `open` returns that row;
/// * **staged**: `flush` makes everything durable but invisible and returns a [`PreparedCommit`]; `commit` makes it
///   visible, and does nothing when it already is.
#[async_trait]
pub trait Sink: Send {
    /// Connects, changes nothing, and returns what an earlier run recorded in the target, if the target can.
    async fn open(&mut self, context: &SinkContext) -> Result<Option<Recorded>>;

    /// Makes this run the only writer: records the token and the epoch, rolls back leftovers of later epochs.
    ///
    /// # Errors
    /// `State` when the target knows a token that is not lower: another daemon has taken over.
    async fn claim(&mut self, claim: &Claim) -> Result<()>;

    /// Takes rows or DDL of the running epoch. Nothing of it may be visible before the epoch ends.
    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()>;

    /// Ends the epoch: makes all rows since the last flush durable. See the trait for the two kinds.
    ///
    /// # Errors
    /// `State` when the token was fenced. An error of a commit means *unknown*: the engine opens anew and looks.
    async fn flush(&mut self, cut: &Cut, bad: &mut BadRows) -> Result<Option<PreparedCommit>>;

    /// Makes a flushed epoch visible; may be called again for the same epoch, also by a fresh value after a restart.
    async fn commit(&mut self, _epoch: Epoch, _prepared: &PreparedCommit) -> Result<()> {
        Ok(())
    }

    /// Releases connections and drops what was not flushed. Called once, also after an error.
    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
