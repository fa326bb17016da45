//! The plugin MySQLOutput and its settings.

use std::path::PathBuf;

use aqueduct_model::{
    ByteSize, ChangeSupport, Delivery, Finding, Inspect, PluginEntry, Properties, Result, Secret, Sink, SinkPlugin,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::doctor;
use super::inspect::MySqlInspect;
use super::target::{MySqlTarget, no_database};
use crate::mysql::address::Address;
use crate::mysql::tls::{Tls, TlsMode};
use crate::sql_target::{Mode, SchemaPolicy, SqlSink, TableTemplate, TargetOptions, default_staging_bytes};
use crate::wait::wait;

/// The plugin MySQLOutput.
pub(crate) const OUTPUT: PluginEntry = aqueduct_model::sink::<MySqlOutput>();

/// Settings of MySQLOutput.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MySqlOutputConfig {
    /// The server, account and database: `mysql://user:password@host:3306/database`. `mariadb://` is the same.
    url: Secret,
    /// How the connection is encrypted.
    #[serde(default)]
    tls: TlsMode,
    /// A PEM file with the certificate authorities to trust; without it, the public ones.
    #[serde(default)]
    tls_ca: Option<PathBuf>,
    /// A PEM file with our certificate, for accounts that require one.
    #[serde(default)]
    tls_cert: Option<PathBuf>,
    /// A PEM file with the private key of `tls_cert`.
    #[serde(default)]
    tls_key: Option<PathBuf>,
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

impl MySqlOutputConfig {
    fn options(&self) -> TargetOptions {
        TargetOptions {
            table: self.table.clone(),
            mode: self.mode,
            schema_change: self.schema_change,
            replace_existing: self.replace_existing,
            staging_bytes: self.staging_bytes.0,
        }
    }

    fn address(&self) -> Result<Address> {
        let tls =
            Tls { mode: self.tls, ca: self.tls_ca.clone(), cert: self.tls_cert.clone(), key: self.tls_key.clone() };
        tls.validate()?;
        let address = Address::parse(&self.url, tls)?;
        if address.database.is_none() { Err(no_database()) } else { Ok(address) }
    }
}

struct MySqlOutput;

impl SinkPlugin for MySqlOutput {
    const NAME: &'static str = "MySQLOutput";
    const ALIASES: &'static [&'static str] = &["MariaDBOutput"];
    const SUMMARY: &'static str = "Writes tables of a MySQL or MariaDB database, exactly once, by key.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = MySqlOutputConfig;

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
        config.address()?;
        config.options().validate()
    }

    fn build(config: Self::Config) -> Result<Box<dyn Sink>> {
        let (options, address) = (config.options(), config.address()?);
        let connect = move |_create| {
            let target = wait(MySqlTarget::open(&address))?;
            Ok(Some(Box::new(target) as _))
        };
        Ok(Box::new(SqlSink::new(options, Box::new(connect))))
    }

    fn inspect(config: Self::Config) -> Option<Result<Box<dyn Inspect>>> {
        Some(config.address().map(|address| Box::new(MySqlInspect::new(address, config.mode)) as _))
    }

    fn doctor(config: Self::Config) -> Vec<Finding> {
        doctor::findings(config.address())
    }
}
