//! The plugin PostgresOutput and its settings.

use aqueduct_model::{
    ByteSize, ChangeSupport, Delivery, Finding, Inspect, PluginEntry, Properties, Result, Secret, Sink, SinkPlugin,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::doctor;
use super::inspect::PostgresInspect;
use super::target::{PostgresTarget, Settings};
use crate::postgres::address::Address;
use crate::sql_target::{Mode, SchemaPolicy, SqlSink, TableTemplate, TargetOptions, default_staging_bytes};
use crate::wait::wait;

/// The plugin PostgresOutput.
pub(crate) const OUTPUT: PluginEntry = aqueduct_model::sink::<PostgresOutput>();

/// Settings of PostgresOutput.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostgresOutputConfig {
    /// The server, role and database: `postgres://user:password@host:port/database?sslmode=verify-full`, or libpq's
    /// keywords (`host=… dbname=…`).
    url: Secret,
    /// The role's password, if it is not in the URL.
    #[serde(default)]
    password: Option<Secret>,
    /// The schema that tables are written into; it is created if it does not exist.
    #[serde(default = "default_schema")]
    schema: String,
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
}

fn default_schema() -> String {
    "public".to_owned()
}

impl PostgresOutputConfig {
    fn options(&self) -> TargetOptions {
        TargetOptions {
            table: self.table.clone(),
            mode: self.mode,
            schema_change: self.schema_change,
            replace_existing: self.replace_existing,
            staging_bytes: self.staging_bytes.0,
        }
    }

    fn settings(&self) -> Result<Settings> {
        let address = Address::parse(self.url.expose())?.with_password(self.password.clone());
        Ok(Settings { address, schema: self.schema.clone() })
    }
}

struct PostgresOutput;

impl SinkPlugin for PostgresOutput {
    const NAME: &'static str = "PostgresOutput";
    const ALIASES: &'static [&'static str] = &["PostgreSQLOutput"];
    const SUMMARY: &'static str = "Writes tables of a PostgreSQL database, exactly once, by key.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = PostgresOutputConfig;

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
        config.settings()?;
        config.options().validate()
    }

    fn build(config: Self::Config) -> Result<Box<dyn Sink>> {
        let (options, settings) = (config.options(), config.settings()?);
        let connect = move |create| {
            let target = wait(PostgresTarget::open(&settings, create))?;
            Ok(Some(Box::new(target) as _))
        };
        Ok(Box::new(SqlSink::new(options, Box::new(connect))))
    }

    fn inspect(config: Self::Config) -> Option<Result<Box<dyn Inspect>>> {
        let inspect = config.settings().map(|settings| Box::new(PostgresInspect::new(settings, config.mode)) as _);
        Some(inspect)
    }

    fn doctor(config: Self::Config) -> Vec<Finding> {
        doctor::findings(config.settings())
    }
}
