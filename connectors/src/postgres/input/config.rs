//! The settings of `PostgresInput`, and its entry in the catalogue.

use std::num::NonZeroUsize;

use aqueduct_model::{HumanDuration, PluginEntry, Properties, Result, Secret, Source, SourcePlugin};
use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::PostgresReader;
use crate::postgres::address::Address;
use crate::postgres::copy::Unrepresentable;
use crate::sql_input::{Incremental, Settings, SqlInput, Wanted, default_fetch_rows};

/// The catalogue entry.
pub(crate) const INPUT: PluginEntry = aqueduct_model::source::<PostgresInputPlugin>();

/// The settings of `PostgresInput`: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostgresInputConfig {
    /// Where the server is and who is asking: `postgres://role:password@host:5432/database?sslmode=verify-full`. The
    /// parameters are libpq's: `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `channel_binding`, `connect_timeout`,
    /// `application_name`, `options`.
    pub url: Secret,
    /// The role's password, instead of one in `url`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The table or view to read: `orders` by the role's search path, or `shop.orders`.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement to read instead of a table. With `key` it runs once per chunk, as a derived table.
    #[serde(default)]
    pub query: Option<String>,
    /// The name of the rows in the stream. Default: the table's, or `query`.
    #[serde(default)]
    pub name: Option<String>,
    /// Columns that tell the rows apart and never hold NULL. They order the reading and should have an index. Default:
    /// the table's primary key.
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
    /// What becomes of dates and times that Arrow cannot hold, such as `infinity`.
    #[serde(default)]
    pub unrepresentable: Unrepresentable,
}

impl PostgresInputConfig {
    /// Where to connect to.
    pub(in crate::postgres) fn address(&self) -> Result<Address> {
        Ok(Address::parse(self.url.expose())?.with_password(self.password.clone()))
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

struct PostgresInputPlugin;

impl SourcePlugin for PostgresInputPlugin {
    const NAME: &'static str = "PostgresInput";
    const ALIASES: &'static [&'static str] = &["PostgreSQLInput"];
    const SUMMARY: &'static str = "Reads a table or a query of a PostgreSQL server, once or again and again.";
    const NOTES: &'static str = include_str!("notes.md");
    const EXAMPLE: &'static str = include_str!("example.yaml");
    type Config = PostgresInputConfig;

    fn properties(config: &PostgresInputConfig) -> Properties {
        config.wanted().properties()
    }

    fn validate(config: &PostgresInputConfig) -> Result<()> {
        config.wanted().validate()?;
        config.address().map(drop)
    }

    fn build(config: PostgresInputConfig) -> Result<Box<dyn Source>> {
        let settings = Settings {
            fetch_rows: config.fetch_rows,
            incremental: config.incremental.clone(),
            poll_interval: config.poll_interval.map(|interval| interval.0),
        };
        Ok(Box::new(SqlInput::new(PostgresReader::new(config), settings)))
    }
}
