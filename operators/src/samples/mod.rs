//! `Samples`: a part of the rows, the same part every time.
//!
//! * `passing`: decides row by row: first n, every n-th, by hash of the key.
//! * `reservoir`: holds rows until the input ends: n of all, or n of each group.

mod cells;
mod config;
mod held;
mod operator;
mod passing;
mod reservoir;
#[cfg(test)]
mod tests;

pub use config::{Bernoulli, Reservoir, SamplesConfig, Stratified, Take};
pub use operator::ENTRY;
