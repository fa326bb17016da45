//! The settings as each engine takes them.

use super::config::{self, CdcConfig};

#[cfg(any(feature = "mysql", feature = "postgres"))]
use super::capture::CaptureSettings;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use aqueduct_model::{Result, Secret};
#[cfg(any(feature = "mysql", feature = "postgres"))]
use std::time::Duration;

/// How long a reader waits before it tries a chunk again.
#[cfg(any(feature = "mysql", feature = "postgres"))]
const RETRY_DELAY: Duration = Duration::from_millis(500);

impl CdcConfig {
    /// What the SQLite engine has to know.
    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite(self) -> crate::sqlite::cdc::Settings {
        crate::sqlite::cdc::Settings {
            path: self.path.unwrap_or_default(),
            tables: self.tables,
            snapshot: self.snapshot,
            chunk_rows: self.chunk_rows.map_or(config::SQLITE_CHUNK_ROWS, |rows| rows.get()),
            log: self.log.unwrap_or_else(|| config::DEFAULT_LOG.to_owned()),
            dates: self.dates.unwrap_or_default(),
            on_lost_position: self.on_lost_position,
            busy_timeout: self.busy_timeout.map_or(std::time::Duration::from_secs(5), |time| time.0),
        }
    }

    /// What the capture itself has to know.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(super) fn capture(&self) -> CaptureSettings {
        CaptureSettings {
            tables: self.tables.clone(),
            snapshot: self.snapshot,
            chunk_rows: self.chunk_rows.map_or(config::SERVER_CHUNK_ROWS, |rows| rows.get()),
            parallel_chunks: self.parallel_chunks.map_or(config::PARALLEL_CHUNKS, |chunks| chunks.get()),
            max_source_load: self.max_source_load.unwrap_or(config::MAX_SOURCE_LOAD),
            heartbeat: self.heartbeat(),
            schema_change: self.schema_change.unwrap_or_default(),
            on_lost_position: self.on_lost_position,
            on_table_error: self.on_table_error.unwrap_or_default(),
            truncate: self.truncate.unwrap_or_default(),
            retry_delay: RETRY_DELAY,
        }
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn heartbeat(&self) -> Duration {
        self.heartbeat.map_or(config::HEARTBEAT, |heartbeat| heartbeat.0)
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn url(&self) -> Secret {
        self.url.clone().unwrap_or_else(|| Secret::new(""))
    }

    /// What the engine of MySQL and MariaDB has to know.
    ///
    /// # Errors
    /// `Config` for an address that is none.
    #[cfg(feature = "mysql")]
    pub(super) fn mysql(&self) -> Result<crate::mysql::cdc::MysqlSettings> {
        let tls = crate::mysql::Tls {
            mode: self.tls.unwrap_or_default(),
            ca: self.tls_ca.clone(),
            cert: self.tls_cert.clone(),
            key: self.tls_key.clone(),
        };
        tls.validate()?;
        Ok(crate::mysql::cdc::MysqlSettings {
            address: crate::mysql::Address::parse(&self.url(), tls)?,
            tables: self.tables.clone(),
            zero_dates: self.zero_dates.unwrap_or_default(),
            cascade: self.cascade.unwrap_or_default(),
            server_id: self.server_id,
            heartbeat: self.heartbeat(),
        })
    }

    /// What the engine of PostgreSQL has to know, for one task.
    ///
    /// # Errors
    /// `Config` for an address that is none.
    #[cfg(feature = "postgres")]
    pub(super) fn postgres(&self, context: &aqueduct_model::SourceContext) -> Result<crate::postgres::cdc::Settings> {
        let address = crate::postgres::Address::parse(self.url().expose())?.with_password(self.password.clone());
        Ok(crate::postgres::cdc::Settings {
            address,
            tables: self.tables.clone(),
            flow: context.flow.clone(),
            task: context.task.clone(),
            slot: self.slot.clone(),
            publication: self.publication.clone(),
            via_root: self.publish_via_partition_root.unwrap_or(true),
            unrepresentable: self.unrepresentable.unwrap_or_default(),
            heartbeat: Some(self.heartbeat()),
            retained_bytes_warn: self.retained_warn.map_or(config::RETAINED_WARN_BYTES, |size| size.0),
            spool: context.state_dir.as_ref().map(|folder| folder.join("transactions")),
        })
    }
}
