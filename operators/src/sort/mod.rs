//! `Sort`: rows in order, all of them or the first ones.
//!
//! Each table of a bounded input is kept by itself and sorted at the end, in files where memory does not suffice. With
//! `until` rows are kept by windows of event time, and given when the watermark has passed the end of theirs.

mod config;
mod operator;
#[cfg(test)]
mod tests;
mod windowed;

pub use config::SortConfig;
pub use operator::ENTRY;
