//! The control plane: one [`FlowActor`] per flow, one [`PluginActor`] per task. The only place that knows actix.
//!
//! Invariant: no batch is ever an actix message, and nothing here touches rows. Why our own supervision and not
//! actix's: its `Supervisor` does not survive a panicking handler, and `do_send` ignores the mailbox bound.

mod flow_actor;
mod plugin_actor;

pub(crate) use flow_actor::{FlowActor, Pause, Resume, Stop, StoreOpener};
