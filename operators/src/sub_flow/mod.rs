//! `SubFlow`: runs another flow once per row.

mod config;
mod operator;

pub use config::SubFlowConfig;
pub use operator::ENTRY;
pub(crate) use operator::{given, runs_flows};
