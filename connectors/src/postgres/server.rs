//! Which server a connection speaks to: version, identity, role, settings that matter.

use aqueduct_model::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::error::failed;

/// Oldest server that is supported: the first with row comparisons over `pg_current_snapshot`.
const OLDEST_VERSION: u32 = 130_000;

/// Which write-ahead log a position belongs to.
///
/// The system identifier is made by `initdb` and shared by a server, its standbys and its backups; the timeline changes
/// when one of them is promoted or restored to a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIdentity {
    /// As text: JSON numbers do not hold 64 bits everywhere.
    pub system: String,
    /// The timeline that is being written (or replayed, on a standby).
    pub timeline: u32,
}

/// What was found at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// `server_version_num`: 150004 is 15.4.
    pub version: u32,
    /// Which log it writes.
    pub log: LogIdentity,
    /// The database.
    pub database: String,
    /// The role that is used.
    pub role: String,
    /// The role is a superuser, or a member of a managed service's replacement for it.
    pub superuser: bool,
    /// The role may replicate.
    pub replication: bool,
    /// The server is a standby.
    pub standby: bool,
    /// `wal_level`.
    pub wal_level: String,
}

impl Server {
    /// Asks the server.
    ///
    /// # Errors
    /// `Config` when it is older than 13; those of the connection.
    pub(crate) async fn ask(client: &Client) -> Result<Self> {
        let row = client.query_one(QUERY, &[]).await.map_err(|error| failed("cannot identify the server", error))?;
        let server = Self {
            version: row.get::<_, i32>("version").unsigned_abs(),
            log: LogIdentity {
                system: row.get("system"),
                timeline: u32::from_str_radix(row.get("timeline"), 16)
                    .map_err(|error| Error::bug("the server's timeline is not a number").with_source(error))?,
            },
            database: row.get("database"),
            role: row.get("role"),
            superuser: row.get("superuser"),
            replication: row.get("replication"),
            standby: row.get("standby"),
            wal_level: row.get("wal_level"),
        };
        if server.version < OLDEST_VERSION {
            return Err(Error::config(format!(
                "PostgreSQL {} is older than {}",
                server.version / 10_000,
                OLDEST_VERSION / 10_000
            ))
            .with_setting("url")
            .with_hint("upgrade the server to PostgreSQL 13 or later"));
        }
        Ok(server)
    }

    /// The major version: 15 for 15.4.
    pub(crate) fn major(&self) -> u32 {
        self.version / 10_000
    }
}

/// On a primary the current log file names the timeline; on a standby only the last restart point does.
const QUERY: &str = "
SELECT current_setting('server_version_num')::int4 AS version,
       (SELECT system_identifier::text FROM pg_control_system()) AS system,
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT to_hex(timeline_id) FROM pg_control_checkpoint())
            ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
       END AS timeline,
       current_database()::text AS database,
       current_user::text AS role,
       r.rolsuper AS superuser,
       (r.rolsuper OR r.rolreplication OR EXISTS (
            SELECT FROM pg_roles g WHERE g.rolname IN ('rds_replication', 'rds_superuser', 'cloudsqlsuperuser')
               AND pg_has_role(current_user, g.oid, 'MEMBER'))) AS replication,
       pg_is_in_recovery() AS standby,
       current_setting('wal_level') AS wal_level
  FROM pg_roles r WHERE r.rolname = current_user";
