//! `Sort`: the rows of a bounded input in order, all of them or the first ones.
//!
//! Each table of the input is kept by itself and sorted at the end, in files where memory does not suffice.

mod config;
mod operator;
#[cfg(test)]
mod tests;

pub use config::SortConfig;
pub use operator::ENTRY;
