//! `Mapping`: renames, reorders, computes, converts and drops columns, row by row.

mod config;
mod operator;
mod ordered;
#[cfg(test)]
mod tests;

pub use config::{Column, MappingConfig, NamePart, OriginColumn, Typed};
pub use operator::ENTRY;
pub use ordered::Ordered;
