//! The settings of `CdcInput`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use std::time::Duration;

use aqueduct_model::{ByteSize, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::{LostPosition, OnTableError, SchemaChanges, SnapshotMode, Truncates};

/// The change log's name where the settings give none.
#[cfg(feature = "sqlite")]
pub(crate) const DEFAULT_LOG: &str = "aqueduct";
/// Rows of a chunk that is read in one transaction of SQLite.
#[cfg(feature = "sqlite")]
pub(super) const SQLITE_CHUNK_ROWS: usize = 10_000;
/// Rows of a chunk at most, of a server; smaller when it takes long.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) const SERVER_CHUNK_ROWS: usize = 65_536;
/// Chunks that are read at the same time.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) const PARALLEL_CHUNKS: usize = 2;
/// A server of other people is not kept busier than this by each reader.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) const MAX_SOURCE_LOAD: f64 = 0.8;
/// How often a capture says that it is there.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// How much of the log a slot may keep back before it is warned about.
#[cfg(feature = "postgres")]
pub(super) const RETAINED_WARN_BYTES: u64 = 8 << 30;

/// The settings of `CdcInput`. Those behind `log` belong to some engines only.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CdcConfig {
    /// The database system.
    pub engine: Engine,
    /// sqlite: the database file.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Other engines: the server and the account: `mysql://user:password@host:3306/database` or
    /// `postgres://user:password@host:5432/database?sslmode=verify-full`.
    #[serde(default)]
    pub url: Option<Secret>,
    /// The tables to capture: names, or patterns with `*`, such as `shop.orders` or `shop.item_*`. Tables that are created
    /// later and match are captured too.
    pub tables: Vec<String>,
    /// Whether the rows that are already there are read before the changes.
    #[serde(default)]
    pub snapshot: SnapshotMode,
    /// At most this many rows of the snapshot are read at a time. Default: 10,000 of SQLite, else 65,536.
    #[serde(default)]
    pub chunk_rows: Option<NonZeroUsize>,
    /// What happens when the source no longer has what comes next.
    #[serde(default)]
    pub on_lost_position: LostPosition,
    /// Servers: what becomes of DDL. Default: `evolve`.
    #[serde(default)]
    pub schema_change: Option<SchemaChanges>,
    /// Servers: what happens when one table cannot be read. Default: `fail`.
    #[serde(default)]
    pub on_table_error: Option<OnTableError>,
    /// Servers: what becomes of TRUNCATE. Default: `apply`.
    #[serde(default)]
    pub truncate: Option<Truncates>,
    /// Servers: how many chunks of the snapshot are read at the same time, each over a connection of its own. Default: 2.
    #[serde(default)]
    pub parallel_chunks: Option<NonZeroUsize>,
    /// Servers: the share of the time, above 0 and up to 1, for which each reader of the snapshot keeps the server busy.
    /// Default: 0.8.
    #[serde(default)]
    pub max_source_load: Option<f64>,
    /// Servers: how often the position moves on, and tables and approvals are looked for, while no captured table changes.
    /// Default: 10s.
    #[serde(default)]
    pub heartbeat: Option<HumanDuration>,
    /// sqlite: the name of the change log inside the database: lower-case letters and digits. Flows that use the same log
    /// share it; a change is kept until all of them have it. Default: `aqueduct`.
    #[serde(default)]
    pub log: Option<String>,
    /// sqlite: what becomes of columns declared DATE, DATETIME or TIMESTAMP. Default: `text`.
    #[cfg(feature = "sqlite")]
    #[serde(default)]
    pub dates: Option<crate::sqlite::Dates>,
    /// sqlite: how long a lock held by another process is waited for. Default: 5s.
    #[serde(default)]
    pub busy_timeout: Option<HumanDuration>,
    /// mysql, mariadb: what becomes of dates that do not exist, such as `0000-00-00`. Default: `null`.
    #[cfg(feature = "mysql")]
    #[serde(default)]
    pub zero_dates: Option<crate::mysql::ZeroDates>,
    /// mysql, mariadb: what becomes of foreign keys whose cascades the server does not log. Default: `refuse`.
    #[cfg(feature = "mysql")]
    #[serde(default)]
    pub cascade: Option<crate::mysql::cdc::Cascade>,
    /// mysql, mariadb: our number among the server's replicas, which no other has. Default: drawn at random.
    #[serde(default)]
    pub server_id: Option<u32>,
    /// mysql, mariadb: how the connection is encrypted. PostgreSQL has `sslmode` in its URL.
    #[cfg(feature = "mysql")]
    #[serde(default)]
    pub tls: Option<crate::mysql::TlsMode>,
    /// mysql, mariadb: certificates of the authorities to trust, a PEM file. Default: the public ones.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// mysql, mariadb: our certificate, a PEM file, for accounts that require one.
    #[serde(default)]
    pub tls_cert: Option<PathBuf>,
    /// mysql, mariadb: the private key of `tls_cert`, a PEM file.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
    /// postgres: the role's password, instead of one in `url`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// postgres: the replication slot; made when it is not there. Default: one of our own, named after flow and task.
    #[serde(default)]
    pub slot: Option<String>,
    /// postgres: the publication; one that is there is used as it is. Default: one of our own, kept in step with `tables`.
    #[serde(default)]
    pub publication: Option<String>,
    /// postgres: rows of partitions come as rows of the partitioned table. Default: true.
    #[serde(default)]
    pub publish_via_partition_root: Option<bool>,
    /// postgres: what becomes of dates and times that Arrow cannot hold, such as `infinity`. Default: `error`.
    #[cfg(feature = "postgres")]
    #[serde(default)]
    pub unrepresentable: Option<crate::postgres::Unrepresentable>,
    /// postgres: warn when the slot keeps back more of the log than this. Default: 8GiB.
    #[serde(default)]
    pub retained_warn: Option<ByteSize>,
}

/// The database systems that this build can capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// SQLite 3.15 or later, by triggers.
    #[cfg(feature = "sqlite")]
    Sqlite,
    /// MySQL 5.7 or later, by its binary log.
    #[cfg(feature = "mysql")]
    Mysql,
    /// MariaDB 10.5 or later, by its binary log.
    #[cfg(feature = "mysql")]
    Mariadb,
    /// PostgreSQL 13 or later, by logical replication.
    #[cfg(feature = "postgres")]
    Postgres,
}
