//! Captures the changes of an SQLite database: a snapshot of its tables, then everything that happens to them.
//!
//! SQLite has no log that outsiders can read, so triggers write one into the database itself: the same transaction that
//! changes a row also notes the change. The writer may be any process with any SQLite from 3.15 on.
//!
//! How it works, in reading order:
//! * [`log`]: the tables of the log. [`trigger`]: what writes it. [`sync`] (with [`diff`]): keeps both in agreement
//!   with the tables, and writes every DDL into the log as a row like any other. [`history`]: the versions.
//! * [`changes`] (with [`candidates`], for REPLACE): log rows become changes. [`page`]: changes become batches.
//! * [`chunk`]: rows of a snapshot. [`round`]: everything between two transaction boundaries. [`adoption`]: of which
//!   tables.
//! * [`as_of`]: a table as it was, for replays and for [`scan`].
//! * [`open`], [`source`]: opens, drives rounds, waits, and prunes ([`prune`]) what is durable.
//!
//! Why it is exact. One read transaction at state `s` is the end of a transaction of the source, because SQLite has one
//! writer at a time. A *round* gives all changes up to `s`, and then one chunk of a table read at `s` itself. Changes of
//! rows beyond the last chunk are left out, because the later chunk shows them done. So at the end of every round the
//! target holds exactly the rows of state `s` up to the last chunk: no row is ever older than another, and a snapshot
//! row never overwrites a newer one. Only there is a position given out.
//!
//! It does not: capture views, virtual tables, generated columns, or tables of attached databases; see `notes.md`.

mod adoption;
mod as_of;
mod candidates;
mod changes;
mod chunk;
mod config;
mod diff;
mod doctor;
mod execute;
mod history;
mod log;
mod open;
mod page;
mod position;
mod prune;
mod remove;
mod round;
mod scan;
mod source;
mod sync;
#[cfg(test)]
mod tests;
mod trigger;

pub(crate) use config::Settings;
pub(crate) use doctor::check;
pub(crate) use execute::execute;
pub(in crate::sqlite) use position::Cell;
pub use remove::remove_capture;
pub(crate) use scan::Scan;
pub(crate) use source::SqliteCapture;
