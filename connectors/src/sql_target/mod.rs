//! What all transactional SQL sinks share: one protocol, written once.
//!
//! A sink is a [`SqlSink`] over a [`Database`]. The sink buffers an epoch, compacts it to the last image per key, and
//! commits rows, DDL and its own progress in **one** transaction of the target; a database knows how to run SQL and how
//! to load rows fast, and nothing of epochs.
//!
//! Promises: exactly-once, whatever is killed when; nothing of an epoch is visible before all of it is; a writer with
//! an old token changes nothing; memory is bounded by `staging_bytes`, however large an epoch is.
//!
//! It does not do: two writers of one table whose rows overlap, foreign keys between tables of one epoch.

mod catalog;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) mod cells;
mod checksum;
mod column_type;
mod compaction;
mod database;
mod dialect;
mod early;
mod evolution;
mod fault;
mod images;
mod iso_time;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod isolation;
mod key_index;
mod ledger;
mod mode;
mod multiset;
mod mysql_type;
mod native;
mod origins;
mod postgres_type;
mod preparation;
mod queries;
mod resolve;
mod sink;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod versions;

pub(crate) use catalog::{WrittenTable, written_tables};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use checksum::SummedColumn;
pub(crate) use checksum::summed_columns;
#[cfg(feature = "duckdb")]
pub(crate) use column_type::storage_type;
pub(crate) use compaction::Changes;
pub(crate) use database::{Database, Refused, Value};
pub(crate) use dialect::{Dialect, quote_ident};
pub(crate) use iso_time::{format_date, format_time, format_timestamp, parse_date, parse_time, parse_timestamp};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use isolation::{one_batch, runs, write_isolated};
pub(crate) use ledger::recorded;
pub(crate) use mode::{Mode, SchemaPolicy, TableTemplate, TargetOptions, default_staging_bytes};
pub(crate) use sink::SqlSink;
pub(crate) use table::{CURRENT_COLUMN, Table, live_rows, read_columns};
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use table::{TargetColumn, same_names};
