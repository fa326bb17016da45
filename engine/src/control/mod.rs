//! Steers a running daemon from another process: a Unix socket in the flow's state folder, one JSON line each way.
//!
//! Only whoever may enter the folder (mode 0700) can connect. Requests: `status`, `pause`, `resume`, `stop`, and `run`
//! for one of the flows that it runs; each is answered by the flow's status once it has taken effect (`stop`: once it was
//! accepted), or by an `error` with a `hint`.

mod client;
mod server;
mod socket_path;

pub use client::request;
pub use server::ControlServer;

use serde::{Deserialize, Serialize};

pub use crate::runs::Steer;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// What is the flow doing?
    Status,
    /// Drain to an epoch, let go of all connections, wait.
    Pause,
    /// Go on.
    Resume,
    /// Drain to an epoch and end.
    Stop,
    /// Something with one of its runs.
    Run {
        /// As in the flow's status.
        name: String,
        /// What is to be done.
        what: Steer,
    },
}
