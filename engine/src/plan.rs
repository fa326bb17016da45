//! What the planner hands to the runtime: a flow that was checked and can be built without surprises.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aqueduct_model::{BadRowPolicy, Delivery, PluginEntry, PluginKind, PollBudget, Properties};
use serde_json::Value;

use crate::receipts::ReceiptKind;

/// Sources that find nothing look up this often at most.
const POLL_WAIT_MIN: Duration = Duration::from_millis(5);

/// A flow that is ready to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The flow's name: letters, digits, `_`, `-` and `.`.
    pub flow: String,
    /// The file that it was read from, as it was named: files that it names are found from there.
    pub file: PathBuf,
    /// What its parameters are, but for those that are secret.
    pub params: BTreeMap<String, Value>,
    /// Where its checkpoints, dead letters and control socket live.
    pub state_dir: PathBuf,
    /// What the flow gives end to end; at least what its `delivery` asks for.
    pub delivery: Delivery,
    /// Tasks in topological order: every input names an earlier task.
    pub tasks: Vec<PlannedTask>,
    /// Flows that are run beside it, in the order of the file.
    pub hooks: Vec<Hook>,
    /// How often and where to checkpoint.
    pub checkpoint: CheckpointSettings,
    /// When to give up restarting.
    pub restart: RestartSettings,
    /// Bounds of every channel.
    pub channel: ChannelSettings,
    /// At most this many rows in a batch that a source makes.
    pub batch_rows: usize,
}

impl Plan {
    /// Says which file it was read from, with the flows in it.
    pub(crate) fn is_from(&mut self, file: &Path) {
        self.file = file.to_owned();
        for hook in &mut self.hooks {
            if let HookFlow::Planned(plan) = &mut hook.flow {
                plan.is_from(file);
            }
        }
    }

    /// The names of a task's inputs, as a flow file writes them, in port order.
    pub fn input_names(&self, task: &PlannedTask) -> Vec<String> {
        let name = |edge: &PlannedEdge| {
            let from = &self.tasks[edge.task];
            match (edge.port, from.properties.outputs.get(edge.port)) {
                (port, Some(named)) if port > 0 => format!("{}.{named}", from.id),
                _ => from.id.clone(),
            }
        };
        task.inputs.iter().map(name).collect()
    }

    /// The ids of the sources that are read to their end before others, because an operator asks for that.
    pub fn read_first(&self) -> BTreeSet<String> {
        let mut feeds = vec![false; self.tasks.len()];
        // Inputs come before their readers, so one pass from the back marks everything upstream.
        for (index, task) in self.tasks.iter().enumerate().rev() {
            for (edge, name) in task.inputs.iter().zip(self.input_names(task)) {
                let is_first = task.properties.first_inputs.iter().any(|first| first.input == name);
                feeds[edge.task] |= is_first || feeds[index];
            }
        }
        let sources = self.tasks.iter().zip(feeds).filter(|(task, feeds)| *feeds && task.inputs.is_empty());
        sources.map(|(task, _)| task.id.clone()).collect()
    }

    /// Where an operator keeps state that is too large for a checkpoint.
    pub fn operator_dir(&self, task: &str) -> PathBuf {
        self.state_dir.join("operators").join(task)
    }

    /// Where the flows that a task runs have their folders.
    pub fn runs_dir(&self, task: &str) -> PathBuf {
        self.runs_root().join(task)
    }

    /// Where the runs of all tasks are.
    pub fn runs_root(&self) -> PathBuf {
        self.state_dir.join("runs")
    }

    /// Where a source keeps what belongs to its checkpoint.
    pub fn source_dir(&self, task: &str) -> PathBuf {
        self.state_dir.join("sources").join(task)
    }

    /// Where a sink keeps what belongs to its checkpoint.
    pub fn sink_dir(&self, task: &str) -> PathBuf {
        self.state_dir.join("sinks").join(task)
    }
}

/// A flow that is run when something happens to another one.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The task that it belongs to, if not to the flow.
    pub task: Option<String>,
    /// When.
    pub event: HookEvent,
    /// What is run.
    pub flow: HookFlow,
}

/// What a hook runs.
#[derive(Debug, Clone)]
pub enum HookFlow {
    /// The flow of a file, relative to that of the flow that it belongs to.
    File(PathBuf),
    /// A flow that stands in the other one's file.
    Planned(Box<Plan>),
}

impl HookFlow {
    /// What people call it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Planned(plan) => plan.flow.clone(),
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookEvent {
    /// The tasks are about to begin.
    Before,
    /// The flow has finished.
    OnSuccess,
    /// The flow has failed for good.
    OnError,
    /// The flow has ended, well or not.
    After,
}

impl HookEvent {
    /// All of them, in the order in which they happen.
    pub const ALL: &'static [Self] = &[Self::Before, Self::OnSuccess, Self::OnError, Self::After];

    /// As it is written in a flow file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::OnSuccess => "on_success",
            Self::OnError => "on_error",
            Self::After => "after",
        }
    }
}

/// One task of a plan.
#[derive(Debug, Clone)]
pub struct PlannedTask {
    /// Its id, unique in the flow.
    pub id: String,
    /// Its plugin.
    pub entry: PluginEntry,
    /// Its settings, expanded; may hold secrets, so it is never printed.
    pub config: Value,
    /// What the plugin said of these settings.
    pub properties: Properties,
    /// What feeds each input port, in the order of `from`.
    pub inputs: Vec<PlannedEdge>,
    /// The relations an operator is limited to, as patterns; empty: all. Other relations pass through.
    pub tables: Vec<String>,
    /// Its place in the order in which sources are opened, each when all tasks of the turns before have ended; 0 where
    /// nothing waits.
    pub turn: usize,
    /// What to do with rows that the task cannot handle.
    pub on_bad_row: BadRowPolicy,
    /// More bad rows than this in one epoch fail the flow.
    pub max_bad_rows: usize,
    /// Overrides the flow's restart settings for failures of this task.
    pub retry: Option<RetrySettings>,
    /// Waits this long before the task is opened.
    pub delay: Duration,
    /// The task must end within this time, if given.
    pub timeout: Option<Duration>,
}

impl PlannedTask {
    /// What the task is: a source with an input is an operator, which reads the source once per row.
    pub fn kind(&self) -> PluginKind {
        match self.entry.kind() {
            PluginKind::Source if !self.inputs.is_empty() => PluginKind::Operator,
            kind => kind,
        }
    }
}

/// One edge: an output port of an earlier task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedEdge {
    /// Index into [`Plan::tasks`].
    pub task: usize,
    /// Index into that task's [`Properties::outputs`].
    pub port: usize,
}

/// How often and where to checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Time between the starts of two epochs' barriers.
    pub interval: Duration,
    /// An epoch that takes longer fails the flow with `Timeout`.
    pub timeout: Duration,
    /// Which store holds the checkpoints.
    pub store: StoreKind,
    /// What the receipts say.
    pub receipts: ReceiptKind,
}

impl CheckpointSettings {
    /// How long a source may wait for rows at a time: a barrier waits until it looks up.
    pub fn poll_wait(&self) -> Duration {
        self.interval.clamp(POLL_WAIT_MIN, PollBudget::default().max_wait)
    }
}

/// Which store holds the checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// sled 0.34 with the guards that make it survive kills.
    #[default]
    Sled,
    /// redb.
    Redb,
}

/// Restart intensity of a flow: at most `max` restarts in `window`, waiting `delay` doubled each time up to `delay_max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartSettings {
    /// Restarts allowed in the window.
    pub max: u32,
    /// The window.
    pub window: Duration,
    /// The first wait.
    pub delay: Duration,
    /// The longest wait.
    pub delay_max: Duration,
}

/// A task's own bound on restarts that its failures cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// Restarts in a row without an epoch committed between them.
    pub max: u32,
    /// The first wait, doubled each time.
    pub delay: Duration,
}

/// Bounds of a channel: a sender waits when either is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelSettings {
    /// Rows in flight.
    pub rows: u32,
    /// Bytes in flight.
    pub bytes: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(600),
            store: StoreKind::Sled,
            receipts: ReceiptKind::Counts,
        }
    }
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self {
            max: 5,
            window: Duration::from_secs(60),
            delay: Duration::from_millis(500),
            delay_max: Duration::from_secs(60),
        }
    }
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self { rows: 32_768, bytes: 32 << 20 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_waits_for_no_poll_longer_than_about_an_interval() {
        let wait = |ms| {
            let settings = CheckpointSettings { interval: Duration::from_millis(ms), ..CheckpointSettings::default() };
            settings.poll_wait().as_millis()
        };
        assert_eq!([wait(1), wait(20), wait(1_000), wait(60_000)], [5, 20, 100, 100]);
    }
}
