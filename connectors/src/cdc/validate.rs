//! What the types of the settings cannot say.

use aqueduct_model::{Error, Result};

use super::config::{CdcConfig, Engine};
use super::policy::SnapshotMode;

/// Longest name of a change log.
const LOG_NAME_MAX: usize = 32;
/// Most chunks that are read at the same time.
#[cfg(any(feature = "mysql", feature = "postgres"))]
const PARALLEL_CHUNKS_MAX: usize = 64;

impl CdcConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(super) fn validate(&self) -> Result<()> {
        if self.tables.is_empty() || self.tables.iter().any(String::is_empty) {
            return Err(Error::config("`tables` must name at least one table")
                .with_setting("tables")
                .with_hint("write for example `tables: [\"orders\", \"item_*\"]`, or `[\"*\"]` for all"));
        }
        self.check_foreign()?;
        match self.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => self.check_sqlite(),
            #[cfg(feature = "mysql")]
            Engine::Mysql | Engine::Mariadb => self.check_server().and_then(|()| self.mysql().map(drop)),
            #[cfg(feature = "postgres")]
            Engine::Postgres => {
                self.check_server()?;
                self.postgres(&aqueduct_model::SourceContext::default()).map(drop)
            }
        }
    }

    /// Settings that belong to another engine are mistakes, not to be passed over.
    fn check_foreign(&self) -> Result<()> {
        let (sqlite, mysql, postgres) = match self.engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => (true, false, false),
            #[cfg(feature = "mysql")]
            Engine::Mysql | Engine::Mariadb => (false, true, false),
            #[cfg(feature = "postgres")]
            Engine::Postgres => (false, false, true),
        };
        let server = mysql || postgres;
        let mut given = vec![
            ("path", self.path.is_some(), sqlite),
            ("log", self.log.is_some(), sqlite),
            ("busy_timeout", self.busy_timeout.is_some(), sqlite),
            ("url", self.url.is_some(), server),
            ("schema_change", self.schema_change.is_some(), server),
            ("on_table_error", self.on_table_error.is_some(), server),
            ("truncate", self.truncate.is_some(), server),
            ("parallel_chunks", self.parallel_chunks.is_some(), server),
            ("max_source_load", self.max_source_load.is_some(), server),
            ("heartbeat", self.heartbeat.is_some(), server),
            ("server_id", self.server_id.is_some(), mysql),
            ("tls_ca", self.tls_ca.is_some(), mysql),
            ("tls_cert", self.tls_cert.is_some(), mysql),
            ("tls_key", self.tls_key.is_some(), mysql),
            ("password", self.password.is_some(), postgres),
            ("slot", self.slot.is_some(), postgres),
            ("publication", self.publication.is_some(), postgres),
            ("publish_via_partition_root", self.publish_via_partition_root.is_some(), postgres),
            ("retained_warn", self.retained_warn.is_some(), postgres),
        ];
        #[cfg(feature = "sqlite")]
        given.push(("dates", self.dates.is_some(), sqlite));
        #[cfg(feature = "mysql")]
        given.extend([
            ("zero_dates", self.zero_dates.is_some(), mysql),
            ("cascade", self.cascade.is_some(), mysql),
            ("tls", self.tls.is_some(), mysql),
        ]);
        #[cfg(feature = "postgres")]
        given.push(("unrepresentable", self.unrepresentable.is_some(), postgres));
        let Some((setting, ..)) = given.into_iter().find(|(_, is_given, belongs)| *is_given && !belongs) else {
            return Ok(());
        };
        Err(Error::config(format!("`{setting}` is not a setting of this engine"))
            .with_setting(setting)
            .with_hint(format!("remove `{setting}`, or correct `engine`")))
    }

    #[cfg(feature = "sqlite")]
    fn check_sqlite(&self) -> Result<()> {
        if self.path.as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
            return Err(Error::config("`path` must name the database file").with_setting("path"));
        }
        if self.snapshot == SnapshotMode::WhenNeeded {
            return Err(Error::config("`snapshot: when_needed` is not for sqlite")
                .with_setting("snapshot")
                .with_hint("set `snapshot: initial` and `on_lost_position: resnapshot`"));
        }
        let log = self.log.as_deref().unwrap_or(super::DEFAULT_LOG);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if log.is_empty() || log.len() > LOG_NAME_MAX || !log.chars().all(plain) {
            return Err(Error::config(format!("{log:?} is not a name for a change log"))
                .with_setting("log")
                .with_hint(format!("use up to {LOG_NAME_MAX} lower-case letters and digits")));
        }
        Ok(())
    }

    #[cfg(any(feature = "mysql", feature = "postgres"))]
    fn check_server(&self) -> Result<()> {
        if self.url.as_ref().is_none_or(|url| url.expose().is_empty()) {
            return Err(Error::config("`url` must say where the server is and who asks")
                .with_setting("url")
                .with_hint(
                    "write for example `url: \"${env:SHOP_URL}\"` with SHOP_URL=mysql://user:password@host:3306/shop",
                ));
        }
        if self.max_source_load.is_some_and(|load| !(load > 0.0 && load <= 1.0)) {
            return Err(Error::config("`max_source_load` is a share above 0 and up to 1")
                .with_setting("max_source_load")
                .with_hint("write for example `max_source_load: 0.5`"));
        }
        if self.parallel_chunks.is_some_and(|chunks| chunks.get() > PARALLEL_CHUNKS_MAX) {
            return Err(Error::config(format!("at most {PARALLEL_CHUNKS_MAX} chunks are read at the same time"))
                .with_setting("parallel_chunks"));
        }
        Ok(())
    }
}
