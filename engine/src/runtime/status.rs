//! What a flow shows of itself.

use aqueduct_model::{Epoch, Error, HumanDuration, PluginKind};
use serde::Serialize;

use super::progress::{Activity, TaskCounters};
use super::restart_policy::Failure;
use crate::plan::RestartSettings;
use crate::runs::RunStatus;

/// The state of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FlowState {
    /// Opening and recovering.
    #[default]
    Starting,
    /// Reading and writing.
    Running,
    /// Stopped at an epoch, connections released, ready to go on.
    Paused,
    /// Waiting to be restarted after a failure.
    Restarting {
        /// Why.
        cause: String,
        /// How many times in the present window.
        attempt: u32,
    },
    /// Stopping or pausing: draining to a last epoch.
    Draining,
    /// Every source was read to its end.
    Finished,
    /// Stopped by request.
    Stopped,
    /// Given up: a person has to act.
    Failed {
        /// Why, and what to do.
        #[serde(flatten)]
        report: FailureReport,
    },
}

/// Why a flow failed, as people and programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// The kind's public name, or `panic`.
    pub kind: &'static str,
    /// The task at fault, where known.
    pub task: Option<String>,
    /// The setting at fault, where there is one.
    pub setting: Option<String>,
    /// What happened, with every cause.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl FailureReport {
    /// Reads an error.
    pub fn of_error(error: &Error) -> Self {
        Self {
            kind: error.kind().name(),
            task: error.task().map(str::to_owned),
            setting: error.setting().map(str::to_owned),
            message: error.chain(),
            hint: error.hint().map(str::to_owned),
        }
    }

    pub(crate) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Error(error) => Self::of_error(error),
            Failure::Panic { task, message } => Self {
                kind: "panic",
                task: Some(task.clone()),
                setting: None,
                message: format!("the plugin panicked: {message}"),
                hint: Some("this is a bug of the plugin: please report it with the log".to_owned()),
            },
        }
    }

    /// The same after too many restarts.
    pub(crate) fn exhausted(mut self, settings: RestartSettings) -> Self {
        let window = HumanDuration(settings.window);
        self.message = format!("{} (given up after {} restarts in {window})", self.message, settings.max);
        self
    }
}

impl FlowState {
    /// True when the flow will do nothing more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Finished | Self::Stopped | Self::Failed { .. })
    }

    /// The state's public name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Draining => "draining",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Checkpoints of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointStatus {
    /// The last epoch that is committed everywhere.
    pub epoch: Epoch,
    /// Epochs committed since the daemon started.
    pub epochs: u64,
    /// How long the last one took, in milliseconds.
    pub last_ms: u64,
    /// When it was committed, milliseconds since 1970 UTC; 0 before the first.
    pub committed_at_ms: u64,
    /// Every source and operator has opened.
    pub ready: bool,
}

/// A flow, as `status` and metrics show it.
#[derive(Debug, Clone, Serialize)]
pub struct FlowStatus {
    /// The flow's name.
    pub flow: String,
    /// Its state.
    #[serde(flatten)]
    pub state: FlowState,
    /// Rises with every restart of the tasks.
    pub generation: u64,
    /// Its checkpoints.
    pub checkpoint: CheckpointStatus,
    /// Its tasks, in the plan's order.
    pub tasks: Vec<TaskStatus>,
    /// The flows that it runs just now, by name.
    pub runs: Vec<RunStatus>,
}

/// A task, as `status` and metrics show it.
#[derive(Debug, Clone, Serialize)]
pub struct TaskStatus {
    /// The task's id.
    pub id: String,
    /// Its plugin.
    pub plugin: &'static str,
    /// What its plugin is.
    pub kind: PluginKind,
    /// What it is doing.
    pub activity: Activity,
    /// For how long, in milliseconds.
    pub activity_ms: u64,
    /// What it has done.
    #[serde(flatten)]
    pub counters: TaskCounters,
}
