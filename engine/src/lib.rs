//! Runs flows: definition, planner, channels, checkpoint coordinator, supervision.

pub mod control;
pub mod definition;
pub mod plan;
pub mod planner;
pub mod receipts;
pub mod runtime;
