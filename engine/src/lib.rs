//! Runs flows: definition, planner, channels, checkpoint coordinator, supervision.

pub mod plan;
