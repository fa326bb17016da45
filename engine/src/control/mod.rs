//! Steers a running daemon from another process: a Unix socket in the flow's state folder, one JSON line each way.
//!
//! Only whoever may enter the folder (mode 0700) can connect. Requests: `status`, `pause`, `resume`, `stop`; each is
//! answered by the flow's status once it has taken effect (`stop`: once it was accepted).

mod client;
mod server;
mod socket_path;

pub use client::request;
pub use server::ControlServer;

use serde::{Deserialize, Serialize};

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}
