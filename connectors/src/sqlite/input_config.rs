//! The settings of `SQLiteInput`, and its entry in the catalogue.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use aqueduct_model::{Error, HumanDuration, PluginEntry, Properties, Replay, Result, Source, SourcePlugin};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Dates;
use super::input::SqliteInput;

/// The catalogue entry.
pub(crate) const INPUT: PluginEntry = aqueduct_model::source::<SqliteInputPlugin>();

/// The settings of `SQLiteInput`: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteInputConfig {
    /// The database file.
    pub path: PathBuf,
    /// The table (or view, with `key`) to read.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement to read instead of a table; it needs `key`.
    #[serde(default)]
    pub query: Option<String>,
    /// The name of the rows in the stream. Default: the table's, or `query`.
    #[serde(default)]
    pub name: Option<String>,
    /// Columns that tell the rows apart and never hold null. They order the reading. Default: the table's own order.
    #[serde(default)]
    pub key: Vec<String>,
    /// At most this many rows are read in one read transaction.
    #[serde(default = "default_chunk_rows")]
    pub chunk_rows: NonZeroUsize,
    /// Goes on reading new rows for ever instead of ending at the last one.
    #[serde(default)]
    pub incremental: Option<Incremental>,
    /// What becomes of columns declared DATE, DATETIME or TIMESTAMP.
    #[serde(default)]
    pub dates: Dates,
    /// How long a lock held by another process is waited for.
    #[serde(default = "default_busy_timeout")]
    pub busy_timeout: HumanDuration,
}

/// How new rows are told.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incremental {
    /// A column that grows: a number, or a time in ISO 8601. Rows where it is null are not read.
    pub column: String,
    /// Every look reads again what lies this far behind the largest value seen: in the column's unit for numbers, in
    /// seconds for times. Catches rows that were committed late; rows come again.
    #[serde(default)]
    pub lookback: u64,
    /// How long to wait between two looks.
    #[serde(default = "default_poll_interval")]
    pub poll_interval: HumanDuration,
}

fn default_chunk_rows() -> NonZeroUsize {
    NonZeroUsize::new(10_000).expect("ten thousand is not zero")
}

const fn default_busy_timeout() -> HumanDuration {
    HumanDuration::from_secs(5)
}

const fn default_poll_interval() -> HumanDuration {
    HumanDuration::from_secs(1)
}

struct SqliteInputPlugin;

impl SourcePlugin for SqliteInputPlugin {
    const NAME: &'static str = "SQLiteInput";
    const ALIASES: &'static [&'static str] = &["SQLLiteInput"];
    const SUMMARY: &'static str = "Reads a table or a query of an SQLite database, once or again and again.";
    const NOTES: &'static str = include_str!("input_notes.md");
    const EXAMPLE: &'static str = include_str!("input_example.yaml");
    type Config = SqliteInputConfig;

    fn properties(config: &SqliteInputConfig) -> Properties {
        let overlaps = config.incremental.as_ref().is_some_and(|incremental| incremental.lookback > 0);
        Properties {
            blocking: true,
            unbounded: config.incremental.is_some(),
            replay: if overlaps { Replay::Overlap } else { Replay::Exact },
            ..Properties::source()
        }
    }

    fn validate(config: &SqliteInputConfig) -> Result<()> {
        match (&config.table, &config.query) {
            (Some(_), Some(_)) => Err(Error::config("`table` and `query` exclude each other").with_setting("query")),
            (None, None) => Err(Error::config("nothing to read: set `table` or `query`").with_setting("table")),
            (None, Some(_)) if config.key.is_empty() => {
                Err(Error::config("`query` needs `key`").with_setting("key").with_hint(
                    "name the columns that tell its rows apart: reading goes on behind the last key after a restart",
                ))
            }
            _ => Ok(()),
        }
    }

    fn build(config: SqliteInputConfig) -> Result<Box<dyn Source>> {
        Ok(Box::new(SqliteInput::new(config)))
    }
}
