//! Runs a plan: tasks joined by bounded channels, a checkpoint coordinator, a supervisor.
//!
//! * [`Host`] and [`FlowStarter`] start flows; a [`FlowHandle`] watches and steers one.
//! * A *generation* is one set of fresh tasks; after a failure the next one goes on from the last checkpoint.
//! * Batches go from task to task over [`channel`]; the coordinator talks to tasks over [`protocol`]; actors see
//!   neither.

mod actors;
mod cancel;
mod channel;
mod coordinator;
mod dead_letters;
mod epoch;
mod factory;
mod faults;
mod host;
mod inbox;
mod launch;
mod memory_store;
mod operator_task;
mod outbox;
mod progress;
mod protocol;
mod pulse;
mod recovery;
mod restart_policy;
#[cfg(test)]
mod simulation;
mod sink_task;
mod source_task;
mod status;
mod task_line;
#[cfg(test)]
pub(crate) mod testing;

pub use factory::{PlannedPlugins, PluginFactory};
pub use host::{FlowHandle, FlowStarter, Host};
pub use progress::{Activity, TaskCounters};
pub use status::{CheckpointStatus, FailureReport, FlowState, FlowStatus, TaskStatus};
