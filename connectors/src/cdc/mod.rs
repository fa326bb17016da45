//! `CdcInput`: the changes of a database as a stream, whatever the database.
//!
//! This folder holds what all engines share: the plugin, its settings and their meaning. Each engine lives with its
//! system (`sqlite/cdc`). What every engine promises: existing rows first, then every change, in order and by whole
//! transactions; a position that a restart goes on from; an error and never a gap when the source no longer has what
//! comes next. What it does not do: write to the source, except for what an engine needs to see changes at all.

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) mod capture;
mod config;
mod engines;
mod plugin;
mod policy;
#[cfg(test)]
mod tests;
mod validate;

#[cfg(feature = "sqlite")]
pub use crate::sqlite::cdc::remove_capture;
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub use capture::{WaitingTable, approve, parked};
#[cfg(feature = "sqlite")]
pub(crate) use config::DEFAULT_LOG;
pub use config::{CdcConfig, Engine};
pub(crate) use plugin::ENTRY;
pub use plugin::{check, execute};
pub use policy::{LostPosition, OnTableError, SchemaChanges, SnapshotMode, Truncates};
