//! The settings of `CdcInput`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use aqueduct_model::{Error, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sqlite::Dates;
use crate::sqlite::cdc::Settings;

/// The change log's name where the settings give none.
pub(crate) const DEFAULT_LOG: &str = "aqueduct";
/// Longest name of a change log.
const LOG_NAME_MAX: usize = 32;

/// The settings of `CdcInput`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CdcConfig {
    /// The database system.
    pub engine: Engine,
    /// The database file.
    pub path: PathBuf,
    /// The tables to capture: names, or patterns with `*`. Tables that are created later and match are captured too.
    pub tables: Vec<String>,
    /// Whether the rows that are already there are read before the changes.
    #[serde(default)]
    pub snapshot: SnapshotMode,
    /// At most this many rows of the snapshot are read in one read transaction.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: NonZeroUsize,
    /// The name of the change log inside the database: lower-case letters and digits. Flows that use the same log share
    /// it; a change is kept until all of them have it.
    #[serde(default = "default_log")]
    pub log: String,
    /// What becomes of columns declared DATE, DATETIME or TIMESTAMP.
    #[serde(default)]
    pub dates: Dates,
    /// What happens when the source no longer has what comes next.
    #[serde(default)]
    pub on_lost_position: LostPosition,
    /// How long a lock held by another process is waited for.
    #[serde(default = "default_busy_timeout")]
    pub busy_timeout: HumanDuration,
}

/// The database systems that this build can capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// SQLite 3.15 or later, by triggers.
    Sqlite,
}

/// Whether the rows that are already there are read before the changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotMode {
    /// At the first start.
    #[default]
    Initial,
    /// Not at all: changes from the first start on. Tables that are created later are still read whole.
    Never,
    /// At the first start, and then the task ends.
    InitialOnly,
    /// At every start: existing rows come again, as updates.
    Always,
}

/// What happens when the source no longer has what comes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostPosition {
    /// The flow stops with an error that says why.
    #[default]
    Fail,
    /// The target tables are emptied and everything is read again.
    Resnapshot,
}

fn default_chunk_rows() -> NonZeroUsize {
    NonZeroUsize::new(10_000).expect("ten thousand is not zero")
}

fn default_log() -> String {
    DEFAULT_LOG.to_owned()
}

const fn default_busy_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}

impl CdcConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(super) fn validate(&self) -> Result<()> {
        if self.tables.is_empty() || self.tables.iter().any(String::is_empty) {
            return Err(Error::config("`tables` must name at least one table")
                .with_setting("tables")
                .with_hint("write for example `tables: [\"orders\", \"item_*\"]`, or `[\"*\"]` for all"));
        }
        if self.path.as_os_str().is_empty() {
            return Err(Error::config("`path` is empty").with_setting("path"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if self.log.is_empty() || self.log.len() > LOG_NAME_MAX || !self.log.chars().all(plain) {
            return Err(Error::config(format!("{:?} is not a name for a change log", self.log))
                .with_setting("log")
                .with_hint(format!("use up to {LOG_NAME_MAX} lower-case letters and digits")));
        }
        Ok(())
    }

    /// What the SQLite engine has to know.
    pub(super) fn sqlite(self) -> Settings {
        Settings {
            path: self.path,
            tables: self.tables,
            snapshot: self.snapshot,
            chunk_rows: self.chunk_rows.get(),
            log: self.log,
            dates: self.dates,
            on_lost_position: self.on_lost_position,
            busy_timeout: self.busy_timeout.0,
        }
    }
}
