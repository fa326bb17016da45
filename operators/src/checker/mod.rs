//! `Checker`: lets the rows through that keep all rules; the others go to the port `rejected` with all their reasons.
//!
//! Each port is the changelog of its own part of the table: a row that begins to break a rule is deleted on the main
//! port and inserted on `rejected`.

mod config;
mod operator;
mod rejected;
mod rule;
#[cfg(test)]
mod tests;

pub use config::{Check, CheckerConfig, Freshness, Length, Range, Rule};
pub use operator::ENTRY;
