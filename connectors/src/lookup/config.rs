//! The settings of `Lookup`.

use std::collections::BTreeMap;

use aqueduct_model::{ByteSize, Error, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::LookupTable;

/// Which table is asked, by which key, for which columns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupConfig {
    /// The table, by its system: `{ sqlite: { path: shop.db, table: customers } }`, `{ postgres: { url: …, table: … } }`.
    pub database: DatabaseConfig,
    /// The columns that are equal, those of the input first: `[id]` where both call it so, or `[{ customer_id: id }]`.
    /// They should have an index in the table, and tell its rows apart.
    pub on: Vec<Pair>,
    /// The columns of the table that come behind those of the row: `[city]`, or `[{ name: customer_name }]` to rename.
    pub columns: Vec<Pair>,
    /// What becomes of a row whose key the table does not have. `null` by default.
    #[serde(default)]
    pub on_missing: Option<OnMissing>,
    /// The memory for what was found, or not found, before; `0` asks for every batch. 64 MiB by default.
    #[serde(default = "cache")]
    pub cache: ByteSize,
    /// For how long what was found is taken for true. 10 minutes by default.
    #[serde(default = "ttl")]
    pub ttl: HumanDuration,
    /// How often a question is asked again when the server cannot be reached, before the flow starts over from its last
    /// checkpoint. 3 by default.
    #[serde(default = "retries")]
    pub retries: u32,
}

/// The table, by its system.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseConfig {
    /// A file of SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::SqliteLookupConfig),
    /// A file of DuckDB.
    #[cfg(feature = "duckdb")]
    #[serde(rename = "duckdb")]
    DuckDb(crate::duckdb::DuckDbLookupConfig),
    /// A server of MySQL or MariaDB.
    #[cfg(feature = "mysql")]
    #[serde(alias = "mariadb")]
    Mysql(crate::mysql::MySqlLookupConfig),
    /// A server of PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(crate::postgres::PostgresLookupConfig),
}

/// A column, and how it is called on the other side.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Pair {
    /// Called the same on both sides.
    Same(String),
    /// `{ left: right }`, one pair.
    Renamed(BTreeMap<String, String>),
}

impl Pair {
    /// The first name.
    pub(super) fn left(&self) -> &str {
        match self {
            Self::Same(name) => name,
            Self::Renamed(names) => names.keys().next().map_or("", String::as_str),
        }
    }

    /// The second name.
    pub(super) fn right(&self) -> &str {
        match self {
            Self::Same(name) => name,
            Self::Renamed(names) => names.values().next().map_or("", String::as_str),
        }
    }

    fn is_one(&self) -> bool {
        match self {
            Self::Same(_) => true,
            Self::Renamed(names) => names.len() == 1,
        }
    }
}

/// What becomes of a row whose key the table does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// The columns are NULL.
    #[default]
    Null,
    /// The row is left out.
    Drop,
    /// The row is a bad row.
    Reject,
}

const fn cache() -> ByteSize {
    ByteSize(64 << 20)
}

const fn ttl() -> HumanDuration {
    HumanDuration::from_secs(600)
}

const fn retries() -> u32 {
    3
}

/// More than this waits for minutes; the flow's own restarts are for that.
const RETRIES_MAX: u32 = 10;

impl LookupConfig {
    /// What becomes of a row whose key the table does not have.
    pub(super) fn on_missing(&self) -> OnMissing {
        self.on_missing.unwrap_or_default()
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        for (setting, pairs, example) in
            [("on", &self.on, "on: [{ customer_id: id }]"), ("columns", &self.columns, "columns: [name, city]")]
        {
            let mistake = if pairs.is_empty() {
                format!("`{setting}` names no column")
            } else if !pairs.iter().all(Pair::is_one) {
                format!("an entry of `{setting}` does not have one name on each side")
            } else if (1..pairs.len()).any(|i| pairs[..i].iter().any(|other| other.right() == pairs[i].right())) {
                format!("`{setting}` names a column twice")
            } else {
                continue;
            };
            return Err(Error::config(mistake)
                .with_setting(setting)
                .with_hint(format!("write for example `{example}`")));
        }
        if self.retries > RETRIES_MAX {
            return Err(Error::config(format!("`retries` is at most {RETRIES_MAX}")).with_setting("retries"));
        }
        self.table().map(drop)
    }

    /// The table that is asked; not connected.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn table(&self) -> Result<Box<dyn LookupTable>> {
        match &self.database {
            #[cfg(feature = "sqlite")]
            DatabaseConfig::Sqlite(config) => config.table().map_err(|error| within("sqlite", error)),
            #[cfg(feature = "duckdb")]
            DatabaseConfig::DuckDb(config) => config.table().map_err(|error| within("duckdb", error)),
            #[cfg(feature = "mysql")]
            DatabaseConfig::Mysql(config) => config.table().map_err(|error| within("mysql", error)),
            #[cfg(feature = "postgres")]
            DatabaseConfig::Postgres(config) => config.table().map_err(|error| within("postgres", error)),
        }
    }

    /// The name of the system in the settings.
    pub(super) fn system(&self) -> &'static str {
        match &self.database {
            #[cfg(feature = "sqlite")]
            DatabaseConfig::Sqlite(_) => "sqlite",
            #[cfg(feature = "duckdb")]
            DatabaseConfig::DuckDb(_) => "duckdb",
            #[cfg(feature = "mysql")]
            DatabaseConfig::Mysql(_) => "mysql",
            #[cfg(feature = "postgres")]
            DatabaseConfig::Postgres(_) => "postgres",
        }
    }
}

/// An error of a table, whose setting is one of its own.
pub(super) fn within(system: &str, error: Error) -> Error {
    let Some(setting) = error.setting().filter(|setting| !setting.starts_with("database") && *setting != "on") else {
        return error;
    };
    let (setting, hint) = (format!("database.{system}.{setting}"), error.hint().map(str::to_owned));
    let named = Error::new(error.kind(), error.chain()).with_setting(setting);
    match hint {
        Some(hint) => named.with_hint(hint),
        None => named,
    }
}
