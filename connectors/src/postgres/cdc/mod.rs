//! The changes of a PostgreSQL database, by logical replication with the plugin `pgoutput`.
//!
//! * A slot keeps the log back from the last durable position on; a publication says which tables are sent. Both are made
//!   when they are missing, kept in step with the settings, and dropped by [`remove_capture`]; what the user made is used
//!   and never altered.
//! * A position is the end of a commit record, in the log of one server (system identifier, timeline), as one slot sees
//!   it. Whether the log still begins there is checked before every start: nothing is skipped silently.
//! * Chunks of tables are exact: each is read in one snapshot, and a snapshot names the transactions that it shows, so
//!   that it is known of every transaction of the log whether a chunk shows it. No lock is taken.
//! * Large transactions are sent while they run and spooled until they commit, where the server can (14 and later).
//!
//! Not done: tables are not locked, sequences and large objects are not captured, and columns that the log does not carry
//! (generated ones) are left out.

mod catalog;
mod chunk;
#[cfg(test)]
mod decode_tests;
mod feed;
mod group;
mod log;
mod login;
mod mark;
mod numbering;
mod pgoutput;
mod preflight;
mod publication;
mod retention;
mod settings;
mod shape;
mod sight;
mod slot;
mod socket;
mod spool;
mod system;
mod table_rows;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use preflight::look;
pub(crate) use settings::Settings;
pub(crate) use system::{PostgresSystem, remove_capture};
