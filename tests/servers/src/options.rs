//! What a server is to be like.

/// The servers that tests run against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// MariaDB 10.11, Debian's.
    MariaDb,
    /// MySQL 8.0, from a Maven artifact.
    MySql8,
    /// PostgreSQL 15, Debian's.
    Postgres15,
    /// PostgreSQL 18, from a Python wheel.
    Postgres18,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::MariaDb, Self::MySql8, Self::Postgres15, Self::Postgres18];

    /// True for MariaDB and MySQL.
    #[must_use]
    pub const fn is_mysql(self) -> bool {
        matches!(self, Self::MariaDb | Self::MySql8)
    }

    /// Its name in folders and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql8 => "mysql8",
            Self::Postgres15 => "postgres15",
            Self::Postgres18 => "postgres18",
        }
    }

    /// The word for it in a flow's `engine` setting.
    #[must_use]
    pub const fn engine(self) -> &'static str {
        match self {
            Self::MariaDb => "mariadb",
            Self::MySql8 => "mysql",
            Self::Postgres15 | Self::Postgres18 => "postgres",
        }
    }
}

/// A version of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 15.
    V15,
    /// 18.
    V18,
}

impl Version {
    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::V15 => Kind::Postgres15,
            Self::V18 => Kind::Postgres18,
        }
    }
}

/// How a server is started, beyond the defaults.
///
/// The defaults make it a good source: binary log in ROW format with full images and metadata and GTIDs, or
/// `wal_level=logical`; durability is off, so that a killed *machine* would lose data but a killed server does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Options {
    pub(crate) config: Vec<String>,
    pub(crate) hba: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) tls: Option<&'static str>,
}

impl Options {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more line of the server's configuration file: `name=value`. The last one counts.
    #[must_use]
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.config.push(line.into());
        self
    }

    /// PostgreSQL: a line of `pg_hba.conf` before all others, such as `hostssl all secure 127.0.0.1/32 scram-sha-256`.
    #[must_use]
    pub fn hba(mut self, line: impl Into<String>) -> Self {
        self.hba.push(line.into());
        self
    }

    /// An environment variable of the server, such as `TZ`.
    #[must_use]
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Offers TLS with [`crate::certificates`]; not for PostgreSQL 18, whose build has none.
    #[must_use]
    pub fn tls(self) -> Self {
        self.tls_with("server")
    }

    /// Offers TLS with another certificate of the same authority: `expired` or `wrong-name`.
    #[must_use]
    pub fn tls_with(mut self, certificate: &'static str) -> Self {
        self.tls = Some(certificate);
        self
    }
}
