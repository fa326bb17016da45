//! What a capture is told, whatever the system.

use std::time::Duration;

use crate::cdc::{LostPosition, OnTableError, SchemaChanges, SnapshotMode, Truncates};

/// The settings of one capture, checked.
#[derive(Debug, Clone)]
pub(crate) struct CaptureSettings {
    /// Names and patterns of tables.
    pub(crate) tables: Vec<String>,
    /// Whether existing rows are read first.
    pub(crate) snapshot: SnapshotMode,
    /// At most this many rows in one chunk.
    pub(crate) chunk_rows: usize,
    /// How many chunks are read at the same time.
    pub(crate) parallel_chunks: usize,
    /// The share of the time, above 0 and up to 1, for which each reader may keep the source busy.
    pub(crate) max_source_load: f64,
    /// How often a stream without rows of its tables moves its position, and tables are looked for.
    pub(crate) heartbeat: Duration,
    /// What becomes of DDL.
    pub(crate) schema_change: SchemaChanges,
    /// What happens when the log no longer reaches back to the position.
    pub(crate) on_lost_position: LostPosition,
    /// What happens when one table cannot be read.
    pub(crate) on_table_error: OnTableError,
    /// What becomes of TRUNCATE.
    pub(crate) truncate: Truncates,
    /// How long a reader waits before it tries a chunk again; doubled each time.
    pub(crate) retry_delay: Duration,
}

impl CaptureSettings {
    /// True when a position that is lost leads to a new snapshot.
    pub(super) fn resnapshots(&self) -> bool {
        self.on_lost_position == LostPosition::Resnapshot || self.snapshot == SnapshotMode::WhenNeeded
    }
}
