//! `Union`: several inputs in one stream, or several tables in one.
//!
//! Without `table` the relations pass through side by side. With it they become one relation: columns are matched by
//! name or by position, types widened where nothing is lost, missing columns NULL.

mod config;
mod merged;
mod operator;
#[cfg(test)]
mod tests;
mod widening;

pub use config::{By, UnionConfig};
pub use operator::ENTRY;
pub use widening::widen;
