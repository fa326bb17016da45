//! `While`: runs another flow again and again, until a condition over its last row is false.

mod config;
mod operator;

pub use config::WhileConfig;
pub use operator::ENTRY;
