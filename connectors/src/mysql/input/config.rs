//! The settings of `MySQLInput`, and its entry in the catalogue.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use aqueduct_model::{HumanDuration, PluginEntry, Properties, Result, Secret, Source, SourcePlugin};
use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::MySqlReader;
use crate::mysql::address::Address;
use crate::mysql::rows::ZeroDates;
use crate::mysql::tls::{Tls, TlsMode};
use crate::sql_input::{Incremental, Settings, SqlInput, Wanted, default_fetch_rows};

/// The catalogue entry.
pub(crate) const INPUT: PluginEntry = aqueduct_model::source::<MySqlInputPlugin>();

/// The settings of `MySQLInput`: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MySqlInputConfig {
    /// Where the server is and who is asking: `mysql://user:password@host:3306/database`.
    pub url: Secret,
    /// The table or view to read: `orders` in the URL's database, or `shop.orders`.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement to read instead of a table. With `key` it runs once per chunk, as a derived table.
    #[serde(default)]
    pub query: Option<String>,
    /// The name of the rows in the stream. Default: the table's, or `query`.
    #[serde(default)]
    pub name: Option<String>,
    /// Columns that tell the rows apart and never hold NULL. They order the reading and should have an index. Default:
    /// the table's primary key, or its shortest unique index without NULLs.
    #[serde(default)]
    pub key: Vec<String>,
    /// Reads without a key: one statement over everything, in no order. A restart reads everything again.
    #[serde(default)]
    pub unordered: bool,
    /// Reads in the order of a column that grows, and goes on behind its largest value.
    #[serde(default)]
    pub incremental: Option<Incremental>,
    /// Looks again for new rows after this long, for ever; it needs `incremental`. Default: reading ends at the last row.
    #[serde(default)]
    pub poll_interval: Option<HumanDuration>,
    /// At most this many rows are read by one statement.
    #[serde(default = "default_fetch_rows")]
    pub fetch_rows: NonZeroUsize,
    /// What becomes of dates that do not exist, such as `0000-00-00`.
    #[serde(default)]
    pub zero_dates: ZeroDates,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: TlsMode,
    /// Certificates of the authorities to trust, a PEM file. Default: the public ones.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// Our certificate, a PEM file, for accounts that require one.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// The private key of `tls_cert`, a PEM file.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
}

impl MySqlInputConfig {
    /// Where to connect to.
    pub(in crate::mysql) fn address(&self) -> Result<Address> {
        let tls =
            Tls { mode: self.tls, ca: self.tls_ca.clone(), cert: self.tls_cert.clone(), key: self.tls_key.clone() };
        tls.validate()?;
        Address::parse(&self.url, tls)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            table: self.table.as_deref(),
            query: self.query.as_deref(),
            has_key: !self.key.is_empty(),
            unordered: self.unordered,
            incremental: self.incremental.as_ref(),
            polls: self.poll_interval.is_some(),
        }
    }
}

struct MySqlInputPlugin;

impl SourcePlugin for MySqlInputPlugin {
    const NAME: &'static str = "MySQLInput";
    const ALIASES: &'static [&'static str] = &["MariaDBInput"];
    const SUMMARY: &'static str = "Reads a table or a query of a MySQL or MariaDB server, once or again and again.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = MySqlInputConfig;

    fn properties(config: &MySqlInputConfig) -> Properties {
        config.wanted().properties()
    }

    fn validate(config: &MySqlInputConfig) -> Result<()> {
        config.wanted().validate()?;
        config.address().map(drop)
    }

    fn build(config: MySqlInputConfig) -> Result<Box<dyn Source>> {
        let settings = Settings {
            fetch_rows: config.fetch_rows,
            incremental: config.incremental.clone(),
            poll_interval: config.poll_interval.map(|interval| interval.0),
        };
        Ok(Box::new(SqlInput::new(MySqlReader::new(config), settings)))
    }
}
