//! `Function`: computed columns, by SQL expressions and scripts, each of which may use the ones before it.

mod config;
mod operator;
mod script;
#[cfg(test)]
mod tests;

pub use config::{Computed, FunctionConfig, Limits, OnError, Scripted};
pub use operator::ENTRY;
