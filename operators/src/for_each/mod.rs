//! `For`: a row per item.

mod config;
mod source;
#[cfg(test)]
mod tests;

pub use config::{Dates, ForConfig, Range};
pub use source::ENTRY;
