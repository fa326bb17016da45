//! The settings of `ParquetOutput`.

use std::path::PathBuf;

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::staged_files::{Mode, check_template};

/// Settings of `ParquetOutput`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParquetOutputConfig {
    /// The output folder: made when it is missing, owned by this task alone.
    pub(super) path: PathBuf,
    /// How each table's folder below `path` is named; may hold `{catalog}`, `{schema}` and `{table}`. Default: the full name of the table.
    #[serde(default)]
    pub(super) table: Option<String>,
    /// `append` takes inserts only; `changelog` writes every change as a row with the columns `_op` (`I`, `U`, `D`, `T` for a truncation) and `_epoch` in front.
    #[serde(default)]
    pub(super) mode: Mode,
    /// How pages are compressed.
    #[serde(default)]
    pub(super) compression: ParquetCompression,
    /// Rows per row group at most; a row group also ends at 64 MiB.
    #[serde(default = "default_row_group_rows")]
    pub(super) row_group_rows: usize,
    /// Rows per file at most; every epoch starts new files anyway.
    #[serde(default = "default_max_file_rows")]
    pub(super) max_file_rows: u64,
}

/// How pages are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ParquetCompression {
    /// Zstandard, level 1.
    #[default]
    Zstd,
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

fn default_row_group_rows() -> usize {
    1 << 20
}

fn default_max_file_rows() -> u64 {
    50_000_000
}

impl ParquetOutputConfig {
    pub(super) fn validate(&self) -> Result<()> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::config("the output folder has no name").with_setting("path"));
        }
        if self.row_group_rows == 0 {
            return Err(Error::config("a row group has at least one row").with_setting("row_group_rows"));
        }
        if self.max_file_rows == 0 {
            return Err(Error::config("a file has at least one row").with_setting("max_file_rows"));
        }
        check_template(self.table.as_deref())
    }
}
