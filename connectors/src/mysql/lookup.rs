//! Looking up rows in a table of MySQL or MariaDB.

use std::path::PathBuf;

use aqueduct_model::{Result, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::input::{MySqlInputConfig, MySqlReader};
use super::rows::ZeroDates;
use super::tls::TlsMode;
use crate::lookup::LookupTable;
use crate::sql_input::{LookedUp, default_fetch_rows};

/// A table of MySQL or MariaDB: either `table` or `query`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MySqlLookupConfig {
    /// Where the server is and who is asking: `mysql://user:password@host:3306/database`.
    pub url: Secret,
    /// The table or view: `customers` in the URL's database, or `shop.customers`.
    #[serde(default)]
    pub table: Option<String>,
    /// A SELECT statement in place of a table; it is asked as a derived table.
    #[serde(default)]
    pub query: Option<String>,
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

impl MySqlLookupConfig {
    /// The table; not connected.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(crate) fn table(&self) -> Result<Box<dyn LookupTable>> {
        crate::lookup::one_of(self.table.is_some(), self.query.is_some())?;
        let config = MySqlInputConfig {
            url: self.url.clone(),
            table: self.table.clone(),
            query: self.query.clone(),
            name: None,
            key: Vec::new(),
            unordered: true,
            incremental: None,
            poll_interval: None,
            fetch_rows: default_fetch_rows(),
            zero_dates: self.zero_dates,
            tls: self.tls,
            tls_ca: self.tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
        };
        config.address()?;
        Ok(Box::new(LookedUp(MySqlReader::new(config))))
    }
}
