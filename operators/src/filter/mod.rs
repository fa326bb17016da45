//! `Filter`: keeps the rows for which a condition holds.
//!
//! The condition is about the table, not about events: folding what comes out by key gives the rows of the folded
//! input for which the condition holds.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::FilterConfig;
pub use operator::ENTRY;
