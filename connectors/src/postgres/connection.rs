//! One session for queries: TLS, password, session settings, and errors that say what to do.
//!
//! The replication stream has a connection of its own (`wire`).

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Connection};

use super::address::Address;
use super::copy::quoted;
use super::error::failed;

/// How long a server may take to end a session.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What makes values come as the decoders expect them, whatever the server's, database's or role's defaults are.
const SESSION: &str = "
SET TIME ZONE 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET xmloption = 'content';
SET lc_monetary = 'C';
SET client_encoding = 'UTF8';
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;";

/// What a session is for: the end of its `application_name`, and settings of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Catalogs, positions, slots, publications: with an empty search path, so that names of types are whole.
    Control,
    /// Rows of captured tables: as `Read`, with an empty search path, as on the replication connection.
    Capture,
    /// Rows of tables and queries. A row-level policy that would hide rows is an error instead.
    Read,
    /// Transactions of a target.
    Write,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Capture => "capture",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    fn settings(self) -> &'static str {
        match self {
            Self::Control => "SET search_path = '';",
            Self::Capture => "SET search_path = ''; SET row_security = off; SET default_transaction_read_only = on;",
            Self::Read => "SET row_security = off; SET default_transaction_read_only = on;",
            Self::Write => "",
        }
    }
}

/// A session. It is the client's [`Client`]; [`Session::close`] ends it, and dropping it cuts it.
pub(crate) struct Session {
    client: Client,
    /// Moves the bytes; ends when the client is dropped.
    driver: JoinHandle<()>,
}

/// Connects, and sets the session up.
///
/// # Errors
/// `Unavailable`, `Timeout`, `Throttled`; `Auth` for the role, password and pg_hba.conf; `Config` for address and TLS.
pub(crate) async fn connect(address: &Address, purpose: Purpose) -> Result<Session> {
    let doing = format!("cannot connect to PostgreSQL at {address}");
    let mut config = address.client_config();
    config.application_name(format!("{} {}", address.application_name, purpose.name()));
    let connector = address.tls.load()?.for_client();
    let attempt = async {
        let (client, connection) = config.connect(connector).await.map_err(|error| refused(&doing, address, error))?;
        let session = Session { client, driver: drive(connection) };
        let settings = format!("{SESSION}{}", purpose.settings());
        session.batch_execute(&settings).await.map_err(|error| failed("cannot set the session up", error))?;
        Ok(session)
    };
    match tokio::time::timeout(address.connect_timeout, attempt).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("{doing}: no answer within {} seconds", address.connect_timeout.as_secs()),
        )),
    }
}

/// The connection's own errors reach the client's next call as "connection closed"; the log keeps the cause.
fn drive<T>(connection: Connection<tokio_postgres::Socket, T>) -> JoinHandle<()>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            let error = failed("a PostgreSQL session ended", error);
            tracing::debug!(error = error.chain(), "session ended");
        }
    })
}

/// As [`failed`], with what a refused login means: which line of pg_hba.conf is missing, whose password is wrong.
pub(crate) fn refused(doing: &str, address: &Address, error: tokio_postgres::Error) -> Error {
    if let Some(hint) = error.as_db_error().and_then(|db| login_fix(address, db.code().code(), db.message())) {
        return failed(doing, error).with_hint(hint);
    }
    let text = error.to_string();
    if text.starts_with("authentication error") || text.starts_with("invalid configuration") {
        return Error::new(ErrorKind::Auth, doing).with_source(error).with_setting("url");
    }
    let of_ours = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Error>());
    if let Some(cause) = of_ours {
        let (kind, hint) = (cause.kind(), cause.hint().map(str::to_owned));
        let refused = Error::new(kind, doing).with_source(error).with_setting("url");
        return match hint {
            Some(hint) => refused.with_hint(hint),
            None => refused,
        };
    }
    if text.starts_with("error performing TLS handshake") {
        return Error::config(doing)
            .with_source(error)
            .with_setting("url")
            .with_hint("set `ssl = on` at the server, or sslmode=prefer in the address");
    }
    failed(doing, error)
}

/// What lets a role in that the server knows and refuses.
fn login_fix(address: &Address, code: &str, message: &str) -> Option<String> {
    let (role, database) = (quoted(&address.user), quoted(&address.database));
    match code {
        "28000" if message.contains("pg_hba") => Some(hba_line(address)),
        "28000" if message.contains("not permitted to log in") => Some(format!("ALTER ROLE {role} LOGIN;")),
        "28000" if message.contains("does not exist") => {
            Some(format!("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '<password>';"))
        }
        "42501" => Some(format!("GRANT CONNECT ON DATABASE {database} TO {role};")),
        "53300" if message.contains("role") => Some(format!("ALTER ROLE {role} CONNECTION LIMIT -1;")),
        "53300" if message.contains("database") => Some(format!("ALTER DATABASE {database} CONNECTION LIMIT -1;")),
        _ => None,
    }
}

/// The line that lets a role in; logical replication uses the database's name, not the word `replication`.
pub(crate) fn hba_line(address: &Address) -> String {
    let kind = if address.is_local() { "local" } else { "host" };
    let from = if address.is_local() { "" } else { " <address of this machine>/32" };
    format!(
        "add the line `{kind} {} {}{from} scram-sha-256` to pg_hba.conf and run SELECT pg_reload_conf();",
        address.database, address.user
    )
}

impl Session {
    /// Ends the session in order.
    ///
    /// # Errors
    /// None: a server that does not end it in time is left.
    pub(crate) async fn close(self) {
        let Self { client, driver } = self;
        drop(client);
        let stop = driver.abort_handle();
        if tokio::time::timeout(CLOSE_TIMEOUT, driver).await.is_err() {
            stop.abort();
        }
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}
