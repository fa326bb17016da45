//! The settings of `Duplicate`.

use std::num::NonZeroU64;

use aqueduct_model::{ByteSize, Error, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The least memory for state that is worth having.
const STATE_MEMORY_MIN: u64 = 1 << 20;

/// Which rows are duplicates, and which of them stays.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DuplicateConfig {
    /// The columns that are equal in duplicates; NULL is equal to NULL.
    pub by: Vec<String>,
    /// Which of them stays.
    #[serde(default)]
    pub keep: Keep,
    /// A row is a duplicate of one that came less than so long before, by `time_column`. Without it and `rows`: however
    /// long before.
    #[serde(default)]
    pub within: Option<HumanDuration>,
    /// The column with the time of a row; goes with `within`. The clock is the greatest time that was seen so far in the
    /// table: a row that comes late counts as one of now.
    #[serde(default)]
    pub time_column: Option<String>,
    /// A row is a duplicate of one that came less than so many rows of its table before.
    #[serde(default)]
    pub rows: Option<NonZeroU64>,
    /// About how much of what was seen is held in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

/// Which of several rows with the same key stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The first; it goes on at once.
    #[default]
    First,
    /// The last; it goes on when no other can come within the horizon.
    Last,
}

/// The default of `state_memory`.
pub(crate) fn state_memory() -> ByteSize {
    ByteSize(64 << 20)
}

/// Checks `state_memory`.
///
/// # Errors
/// `Config` when it is too little.
pub(crate) fn check_memory(memory: ByteSize) -> Result<()> {
    if memory.0 < STATE_MEMORY_MIN {
        return Err(Error::config("less than 1 MiB for state")
            .with_setting("state_memory")
            .with_hint("write `state_memory: 64MiB`"));
    }
    Ok(())
}

impl DuplicateConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        check_memory(self.state_memory)?;
        if self.by.is_empty() {
            return Err(Error::config("nothing says which rows are duplicates")
                .with_setting("by")
                .with_hint("write `by: [order_id]`; for rows that are equal in all columns use a task `Unique`"));
        }
        if self.within.is_some() != self.time_column.is_some() {
            return Err(Error::config("`within` and `time_column` belong together").with_setting("within").with_hint(
                "write `within: 10m` and `time_column: created_at`, or `rows: 10000` for a number of rows",
            ));
        }
        if self.within.is_some() && self.rows.is_some() {
            return Err(Error::config("there is one horizon, of time or of rows")
                .with_setting("rows")
                .with_hint("remove `rows`, or `within` and `time_column`"));
        }
        Ok(())
    }

    /// The horizon in ticks of the clock: microseconds or rows. `None`: there is none.
    pub(super) fn horizon(&self) -> Option<i64> {
        let time = self.within.map(|within| i64::try_from(within.0.as_micros()).unwrap_or(i64::MAX).max(1));
        time.or(self.rows.map(|rows| i64::try_from(rows.get()).unwrap_or(i64::MAX)))
    }
}
