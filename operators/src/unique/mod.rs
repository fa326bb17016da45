//! `Unique`: each row once, by all columns or by some; with how often it came, at the end of a bounded input.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::UniqueConfig;
pub use operator::ENTRY;
