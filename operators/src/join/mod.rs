//! `Join`: rows of two tables that belong together.
//!
//! * [`bounded`]: both tables are kept until their inputs end, then joined whole, in files where memory does not suffice.
//! * [`changelog`]: row by row, while both tables change; what comes out changes with them.

mod bounded;
mod changelog;
mod config;
mod operator;
mod sides;
#[cfg(test)]
mod tests;

pub use config::{JoinConfig, Mode};
pub use operator::ENTRY;
