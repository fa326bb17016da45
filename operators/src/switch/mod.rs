//! `Switch`: sends each row to the port of the first condition that holds.
//!
//! Each port is the changelog of its own part of the table: a row that moves from one part to another is deleted on the
//! old port and inserted on the new one.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::{Case, SwitchConfig};
pub use operator::ENTRY;
pub(crate) use operator::{make, properties};
