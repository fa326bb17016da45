//! Settings of `ConsoleOutput`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// How rows are printed, and how many.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsoleConfig {
    /// How rows are printed.
    #[serde(default)]
    pub(crate) format: Format,
    /// Print this many rows and count the rest silently. Absent: all.
    #[serde(default)]
    pub(crate) limit: Option<u64>,
    /// Print these columns only, in this order; columns that a table does not have are left out. Empty: all.
    #[serde(default)]
    pub(crate) columns: Vec<String>,
    /// Print when an epoch ends instead of as rows arrive, so that nothing is seen that may be replayed.
    #[serde(default)]
    pub(crate) epoch: bool,
    /// Cut cells of `table` and `changelog` behind this many characters.
    #[serde(default = "cell_chars")]
    pub(crate) cell_chars: usize,
}

fn cell_chars() -> usize {
    120
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// A framed table for each batch, with a column `op` when there are updates or deletes.
    #[default]
    Table,
    /// One JSON object per row and line; with updates or deletes each has a member `_op`.
    Json,
    /// One line per row: `+I` (insert), `-U` (old row), `+U` (new row), `-D` (delete), the table, the cells.
    Changelog,
}

impl ConsoleConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.cell_chars == 0 {
            return Err(Error::config("cells of 0 characters show nothing")
                .with_setting("cell_chars")
                .with_hint("leave it out, or give a number above 0"));
        }
        Ok(())
    }
}
