//! What the coordinator knows of a task: its commands, and the properties that recovery needs.

use std::sync::Arc;

use aqueduct_model::{PluginKind, Result};
use tokio::sync::mpsc;

use super::outbox::aborted;
use super::progress::Progress;
use super::protocol::Command;

/// One task as the coordinator sees it.
#[derive(Debug)]
pub(crate) struct TaskLine {
    pub(crate) id: String,
    pub(crate) kind: PluginKind,
    pub(crate) transactional: bool,
    /// True for everything but a source that cannot replay exactly.
    pub(crate) replays_exactly: bool,
    /// An operator that keeps state between batches.
    pub(crate) stateful: bool,
    /// Its pipeline's place in the order in which they run.
    pub(crate) turn: usize,
    pub(crate) progress: Arc<Progress>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl TaskLine {
    /// Gives a command. Waits when the task has [`super::protocol::COMMANDS_MAX`] unread ones.
    ///
    /// # Errors
    /// When the task is gone: the flow is being torn down.
    pub(crate) async fn send(&self, command: Command) -> Result<()> {
        self.commands.send(command).await.map_err(|_| aborted())
    }
}
