//! The plugin SQLiteOutput and its settings.

use std::path::PathBuf;
use std::time::Duration;

use aqueduct_model::{
    ByteSize, ChangeSupport, Delivery, HumanDuration, Inspect, PluginEntry, Properties, Result, Sink, SinkPlugin,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::sink::{Open, SqliteTarget};
use super::sink_inspect::SqliteInspect;
use crate::sql_target::{Mode, SchemaPolicy, SqlSink, TableTemplate, TargetOptions, default_staging_bytes};

/// The plugin SQLiteOutput.
pub const OUTPUT: PluginEntry = aqueduct_model::sink::<SqliteOutput>();

/// Settings of SQLiteOutput.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqliteOutputConfig {
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
    /// How long to wait for the lock of another writer before the flow is restarted.
    #[serde(default = "default_busy_timeout")]
    busy_timeout: HumanDuration,
}

fn default_busy_timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(10))
}

impl SqliteOutputConfig {
    fn options(&self) -> TargetOptions {
        TargetOptions {
            table: self.table.clone(),
            mode: self.mode,
            schema_change: self.schema_change,
            replace_existing: self.replace_existing,
            staging_bytes: self.staging_bytes.0,
        }
    }
}

struct SqliteOutput;

impl SinkPlugin for SqliteOutput {
    const NAME: &'static str = "SQLiteOutput";
    const ALIASES: &'static [&'static str] = &["SQLLiteOutput"];
    const SUMMARY: &'static str = "Writes tables of a SQLite database, exactly once, by key.";
    const NOTES: &'static str = include_str!("sink_notes.md");
    const EXAMPLE: &'static str = include_str!("sink_example.yaml");
    type Config = SqliteOutputConfig;

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
        config.options().validate()
    }

    fn build(config: Self::Config) -> Result<Box<dyn Sink>> {
        let options = config.options();
        let (path, busy_timeout) = (config.path, config.busy_timeout.0);
        let connect = move |create| {
            let how = if create { Open::Create } else { Open::Existing };
            let target = SqliteTarget::open(&path, how, busy_timeout)?;
            Ok(target.map(|target| Box::new(target) as _))
        };
        Ok(Box::new(SqlSink::new(options, Box::new(connect))))
    }

    fn inspect(config: Self::Config) -> Option<Result<Box<dyn Inspect>>> {
        Some(Ok(Box::new(SqliteInspect::new(config.path, config.busy_timeout.0, config.mode))))
    }
}
