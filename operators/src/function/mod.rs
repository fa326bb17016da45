//! `Function`: computed columns, by SQL expressions, scripts and WebAssembly components, each of which may use the ones
//! before it.

mod component;
mod config;
mod decimal;
mod made;
mod operator;
mod returned;
mod script;
#[cfg(test)]
mod tests;
mod value;

pub use config::{ComponentConfig, Computed, FunctionConfig, Limits, OnError, Scripted};
pub use operator::ENTRY;
