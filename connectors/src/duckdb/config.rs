//! The plugin DuckDBOutput and its settings.

use std::path::PathBuf;

use aqueduct_model::{
    ByteSize, ChangeSupport, Delivery, Error, Inspect, PluginEntry, Properties, Result, Sink, SinkPlugin,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::inspect::DuckDbInspect;
use super::sink::{DuckDbTarget, Settings};
use crate::sql_target::{Mode, SchemaPolicy, SqlSink, TableTemplate, TargetOptions, default_staging_bytes};

/// The plugin DuckDBOutput.
pub(crate) const ENTRY: PluginEntry = aqueduct_model::sink::<DuckDbOutput>();

/// Settings of DuckDBOutput.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DuckDbOutputConfig {
    /// The database file; it is created if it does not exist, its folder is not.
    path: PathBuf,
    /// The name of each table in the target; `{catalog}`, `{schema}` and `{table}` are the parts of the source's name.
    #[serde(default)]
    table: TableTemplate,
    /// How changes become rows.
    #[serde(default)]
    mode: Mode,
    /// What to do when a table changes its columns.
    #[serde(default)]
    schema_change: SchemaPolicy,
    /// With `mode: mirror`: a fresh flow empties tables that hold rows of someone else instead of refusing them.
    #[serde(default)]
    replace_existing: bool,
    /// An epoch is buffered up to about this size; what is beyond goes into the open transaction.
    #[serde(default = "default_staging_bytes")]
    staging_bytes: ByteSize,
    /// How much memory DuckDB may use; it spills to disk beyond that.
    #[serde(default = "default_memory_limit")]
    memory_limit: ByteSize,
    /// How many threads DuckDB may use, the calling one included.
    #[serde(default = "default_threads")]
    threads: u16,
}

const fn default_memory_limit() -> ByteSize {
    ByteSize(512 << 20)
}

const fn default_threads() -> u16 {
    2
}

/// Below this DuckDB cannot even open a database.
const MEMORY_LIMIT_MIN: ByteSize = ByteSize(32 << 20);
const THREADS_MAX: u16 = 256;

impl DuckDbOutputConfig {
    fn options(&self) -> TargetOptions {
        TargetOptions {
            table: self.table.clone(),
            mode: self.mode,
            schema_change: self.schema_change,
            replace_existing: self.replace_existing,
            staging_bytes: self.staging_bytes.0,
        }
    }

    fn settings(&self) -> Settings {
        Settings { path: self.path.clone(), memory_limit: self.memory_limit, threads: self.threads }
    }
}

struct DuckDbOutput;

impl SinkPlugin for DuckDbOutput {
    const NAME: &'static str = "DuckDBOutput";
    const SUMMARY: &'static str = "Writes tables of a DuckDB database, exactly once, by key.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = DuckDbOutputConfig;

    fn properties(config: &Self::Config) -> Properties {
        Properties {
            transactional: true,
            blocking: true,
            delivery: Delivery::ExactlyOnce,
            changes: if config.mode == Mode::Append { ChangeSupport::AppendOnly } else { ChangeSupport::Changes },
            ..Properties::sink()
        }
    }

    fn validate(config: &Self::Config) -> Result<()> {
        if config.memory_limit < MEMORY_LIMIT_MIN {
            return Err(
                Error::config(format!("memory_limit must be at least {MEMORY_LIMIT_MIN}")).with_setting("memory_limit")
            );
        }
        if !(1..=THREADS_MAX).contains(&config.threads) {
            return Err(Error::config(format!("threads must be 1 to {THREADS_MAX}")).with_setting("threads"));
        }
        config.options().validate()
    }

    fn build(config: Self::Config) -> Result<Box<dyn Sink>> {
        let (options, settings) = (config.options(), config.settings());
        let connect = move |create: bool| {
            if !create && !settings.path.exists() {
                return Ok(None);
            }
            Ok(Some(Box::new(DuckDbTarget::open(&settings)?) as _))
        };
        Ok(Box::new(SqlSink::new(options, Box::new(connect))))
    }

    fn inspect(config: Self::Config) -> Option<Result<Box<dyn Inspect>>> {
        Some(Ok(Box::new(DuckDbInspect::new(config.settings(), config.mode))))
    }
}
