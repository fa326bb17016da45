//! Flows that a flow runs: each in a folder of its own inside the checkpoint folder of the one that asks.
//!
//! ```text
//! <flow's state>/runs/<task>/instance.json     tells these runs from those of other folders, in their targets
//! <flow's state>/runs/<task>/<run>/
//!   began.json       since when
//!   returned/        the rows that its Return tasks handed back, a file per epoch
//!   state/           its own checkpoint, while it has not ended
//!   ended.json       how it ended; written once, whole, and from then on the only thing that counts
//! ```
//! A run goes on where it was when it is asked for again, and one that has ended gives its end again: so whoever asks
//! needs to remember the name only.

mod active;
mod ended;
mod hooks;
mod per_row;
mod returned;
mod service;

pub use returned::ENTRY as RETURN;

pub use active::{RunStatus, Steer};

pub(crate) use active::Active;
pub(crate) use hooks::{EVENT_PARAMS, run_hooks};
pub(crate) use per_row::PerRow;
pub(crate) use service::RunService;

/// Flows inside flows, at most.
const DEPTH_MAX: u32 = 16;
