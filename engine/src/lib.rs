//! Runs flows: definition, planner, channels, checkpoint coordinator, supervision.

pub mod definition;
pub mod control;
pub mod plan;
pub mod planner;
pub mod runtime;
