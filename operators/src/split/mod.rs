//! `Split`: makes many rows of one, a row for each part of a text or element of an array.

mod config;
mod layout;
mod operator;
mod parts;
#[cfg(test)]
mod tests;

pub use config::{By, Empty, SplitConfig};
pub use operator::ENTRY;
