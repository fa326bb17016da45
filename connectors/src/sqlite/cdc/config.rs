//! What the capture of an SQLite database has to know.

use std::path::PathBuf;
use std::time::Duration;

use aqueduct_model::RelationName;

use crate::cdc::{LostPosition, SnapshotMode};
use crate::sqlite::Dates;

/// The settings of one capture, checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The database file.
    pub(crate) path: PathBuf,
    /// Names and patterns of tables; without case, as SQLite compares names.
    pub(crate) tables: Vec<String>,
    /// Whether existing rows are read first.
    pub(crate) snapshot: SnapshotMode,
    /// At most this many rows of a snapshot are read in one read transaction.
    pub(crate) chunk_rows: usize,
    /// The name of the change log inside the database.
    pub(crate) log: String,
    /// What becomes of dates.
    pub(crate) dates: Dates,
    /// What happens when the log no longer reaches back to the position.
    pub(crate) on_lost_position: LostPosition,
    /// How long a lock of someone else is waited for.
    pub(crate) busy_timeout: Duration,
}

impl Settings {
    /// True when the settings name this table.
    pub(crate) fn names(&self, table: &str) -> bool {
        let name = RelationName::table(table.to_lowercase());
        self.tables.iter().any(|pattern| name.matches(&pattern.to_lowercase()))
    }
}

/// True while a planted bug is switched on; the suite must catch every one of them.
#[cfg(feature = "failpoints")]
pub(super) fn planted(name: &str) -> bool {
    fail::eval(name, |_| ()).is_some()
}

/// Planted bugs exist in test builds only.
#[cfg(not(feature = "failpoints"))]
pub(super) const fn planted(_name: &str) -> bool {
    false
}
