//! Where a PostgreSQL server is, who we are there, and how the line is protected.
//!
//! Two notations are read, as by libpq: `postgres://user:password@host:port/database?sslmode=…` and
//! `host=… port=… user=… password=… dbname=… sslmode=…`. Characters such as `@ : / % #` in a password may be written as
//! `%40`-style escapes, or plainly where that leaves one reading only; the keyword notation and the separate setting take
//! any password as it is.
//!
//! Not done here: several hosts in one address, `.pgpass`, `pg_service.conf` and `PG…` environment variables. A flow
//! file says where it reads from.

mod keywords;
#[cfg(test)]
mod tests;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aqueduct_model::{Error, Result, Secret};

use super::tls::{TlsMode, TlsSettings};

/// The port where an address gives none.
const DEFAULT_PORT: u16 = 5432;
/// How long a connection may take to be made where the address does not say.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What `pg_stat_activity.application_name` shows where the address does not say.
const DEFAULT_APPLICATION_NAME: &str = "aqueduct";
/// The parameters that are understood, for messages.
const PARAMETERS: &str = "host, port, user, password, dbname, sslmode, sslrootcert, sslcert, sslkey, channel_binding, \
                          application_name, connect_timeout, options";

/// Whether the password exchange is tied to the TLS session (SCRAM-SHA-256-PLUS).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ChannelBinding {
    /// Never.
    Disable,
    /// Where both sides can.
    #[default]
    Prefer,
    /// Else the connection is refused: no one between us and the server can relay the login.
    Require,
}

/// One server, one database, one role. Its `Debug` and `Display` show no secret.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Address {
    /// A name, an IP address, or the folder of a Unix socket when it begins with `/`.
    pub host: String,
    /// The TCP port, and part of a Unix socket's name.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The role's password; `None` for trust, peer and certificate logins.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// How the line is protected.
    pub tls: TlsSettings,
    /// Whether the login is tied to the TLS session.
    pub channel_binding: ChannelBinding,
    /// The name the server shows for our sessions.
    pub application_name: String,
    /// Longest time for making a connection, login included.
    pub connect_timeout: Duration,
    /// Server settings for the session, as in libpq's `options` (`-c name=value`).
    pub options: Option<String>,
}

impl Address {
    /// Reads an address in either notation.
    ///
    /// # Errors
    /// `Config` for the setting `url`; the text never repeats what was given, for there may be a password in it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let mut parts = match text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://")) {
            Some(rest) => url::parse(rest)?,
            None if text.contains('=') => keywords::parse(text)?,
            None => return Err(not_an_address("it begins with neither postgres:// nor a keyword like host=")),
        };
        parts.address()
    }

    /// The same address with the password of a setting of its own, where that one is given.
    pub fn with_password(mut self, password: Option<Secret>) -> Self {
        if password.is_some() {
            self.password = password;
        }
        self
    }

    /// True when the server is reached through a Unix socket.
    pub fn is_local(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The same address for the `tokio-postgres` client.
    pub fn client_config(&self) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname(&self.database)
            .application_name(&self.application_name)
            .connect_timeout(self.connect_timeout)
            .keepalives_idle(Duration::from_secs(30))
            .ssl_mode(match self.tls.mode {
                TlsMode::Disable => tokio_postgres::config::SslMode::Disable,
                TlsMode::Prefer => tokio_postgres::config::SslMode::Prefer,
                TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => tokio_postgres::config::SslMode::Require,
            })
            .channel_binding(match self.channel_binding {
                ChannelBinding::Disable => tokio_postgres::config::ChannelBinding::Disable,
                ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
                ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
            });
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        if let Some(options) = &self.options {
            config.options(options);
        }
        config
    }
}

/// `host:port/database`: enough to find the server, without role and password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}/{}", self.host, self.port, self.database)
        } else {
            write!(f, "{}:{}/{}", self.host, self.port, self.database)
        }
    }
}

/// What was found in a text, before defaults and checks.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    tls_mode: Option<TlsMode>,
    root_cert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    channel_binding: ChannelBinding,
    application_name: Option<String>,
    connect_timeout: Option<Duration>,
    options: Option<String>,
}

impl Parts {
    /// Takes one named parameter. Names and choices may be shown in errors, values may not.
    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "host" | "hostaddr" if value.contains(',') => return Err(one_host_only()),
            "host" | "hostaddr" => self.host = Some(value),
            "port" => self.port = Some(port(&value)?),
            "user" => self.user = Some(value),
            "password" => self.password = Some(Secret::new(value)),
            "dbname" => self.database = Some(value),
            "sslmode" => self.tls_mode = Some(tls_mode(&value)?),
            "sslrootcert" => self.root_cert = Some(value.into()),
            "sslcert" => self.cert = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            "channel_binding" => self.channel_binding = channel_binding(&value)?,
            "application_name" => self.application_name = Some(value),
            "connect_timeout" => self.connect_timeout = Some(seconds(&value)?),
            "options" => self.options = Some(value),
            _ => {
                return Err(fault("it has a parameter that is not known")
                    .with_hint(format!("leave out {name:.40}; these are understood: {PARAMETERS}")));
            }
        }
        Ok(())
    }

    fn address(&mut self) -> Result<Address> {
        let host = self.host.take().filter(|host| !host.is_empty()).unwrap_or_else(|| "localhost".to_owned());
        let user = self.user.take().filter(|user| !user.is_empty()).ok_or_else(|| {
            fault("it does not say which role to log in as")
                .with_hint("write postgres://ROLE:PASSWORD@HOST:5432/DATABASE")
        })?;
        // As libpq does: the database is named like the role where nothing else is said.
        let database = self.database.take().filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone());
        if self.cert.is_some() != self.key.is_some() {
            return Err(fault("sslcert and sslkey come together").with_hint("give both, or neither"));
        }
        Ok(Address {
            port: self.port.unwrap_or(DEFAULT_PORT),
            password: self.password.take(),
            tls: TlsSettings {
                mode: self.tls_mode.unwrap_or_default(),
                root_cert: self.root_cert.take(),
                cert: self.cert.take(),
                key: self.key.take(),
            },
            channel_binding: self.channel_binding,
            application_name: self.application_name.take().unwrap_or_else(|| DEFAULT_APPLICATION_NAME.to_owned()),
            connect_timeout: self.connect_timeout.unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            options: self.options.take(),
            host,
            user,
            database,
        })
    }
}

fn not_an_address(why: &str) -> Error {
    fault(why).with_hint(
        "write postgres://ROLE:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full&sslrootcert=ca.pem, with @ : / % # ? in \
         a password as %40 %3A %2F %25 %23 %3F",
    )
}

/// As [`not_an_address`], for those who know a better hint: the first one given stays.
fn fault(why: &str) -> Error {
    Error::config(format!("the PostgreSQL address cannot be read: {why}")).with_setting("url")
}

fn one_host_only() -> Error {
    Error::config("the PostgreSQL address names several hosts")
        .with_setting("url")
        .with_hint("give the one host to read from; put a proxy or a floating name in front of a cluster")
}

fn port(text: &str) -> Result<u16> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ if text.contains(',') => Err(one_host_only()),
        _ => Err(not_an_address("the port is not a number from 1 to 65535")),
    }
}

fn seconds(text: &str) -> Result<Duration> {
    match text.parse::<u32>() {
        Ok(0) | Err(_) => Err(not_an_address("connect_timeout is not a number of seconds above 0")),
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
    }
}

fn tls_mode(text: &str) -> Result<TlsMode> {
    TlsMode::parse(text).ok_or_else(|| {
        fault("sslmode is not known").with_hint("choose one of disable, prefer, require, verify-ca, verify-full")
    })
}

fn channel_binding(text: &str) -> Result<ChannelBinding> {
    match text {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err(fault("channel_binding is not known").with_hint("choose one of disable, prefer, require")),
    }
}
