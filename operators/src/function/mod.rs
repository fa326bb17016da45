//! `Function`: computed columns, each of which may use the ones before it.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::{FunctionConfig, OnError};
pub use operator::ENTRY;
