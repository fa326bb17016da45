//! Runs flows: definition, planner, channels, checkpoint coordinator, supervision.

pub mod control;
pub mod definition;
pub mod plan;
pub mod planner;
pub mod receipts;
mod runs;
pub mod runtime;

/// The plugins that are the engine's own.
pub const ENTRIES: &[aqueduct_model::PluginEntry] = &[runs::RETURN];
