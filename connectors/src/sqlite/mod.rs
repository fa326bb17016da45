//! SQLite: capture of changes, reading of tables and queries, and a transactional target.
//!
//! * [`connection`], [`table`], [`types`], [`value`]: what all of them share: opening files, what a table looks like,
//!   declared types, cells.
//! * [`cdc`]: the capture behind `CdcInput` with `engine: sqlite`.
//! * [`input`]: `SQLiteInput`. [`sink`]: `SQLiteOutput`.
//!
//! It promises that a source never writes to a database, except for the change log and the triggers of a capture. It
//! does not load extensions, attach other files, or follow `file:` URIs.

pub(crate) mod cdc;
mod connection;
mod input;
mod input_config;
mod input_plan;
#[cfg(test)]
mod input_tests;
mod lookup;
mod row_text;
mod sink;
mod sink_config;
mod sink_inspect;
mod sink_reader;
#[cfg(test)]
mod sink_tests;
mod sink_values;
mod table;
mod types;
mod value;

pub(crate) use input_config::INPUT;
pub use lookup::SqliteLookupConfig;
pub(crate) use sink_config::OUTPUT;
pub use types::Dates;
