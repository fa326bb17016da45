//! DuckDB: a sink.
//!
//! Promises what every transactional sink promises (see `sql_target`): an epoch's rows, DDL and progress are one
//! transaction. Rows are loaded by the Arrow appender into a temporary table and merged from there.
//!
//! It does not do: sharing the file with another process (DuckDB allows one), nested types.

mod alter;
mod config;
mod constraints;
mod error;
mod inspect;
mod load;
mod lookup;
mod merge;
mod row_text;
mod shared;
mod sink;
#[cfg(test)]
mod tests;

pub(crate) use config::ENTRY;
pub use lookup::DuckDbLookupConfig;
