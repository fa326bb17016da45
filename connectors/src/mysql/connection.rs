//! One connection: TLS, password, session settings, and errors that say what to do.

use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts};

use super::address::Address;
use super::error::failed;
use super::tls::{TlsMode, name_in_refusal};

/// How long a connection may take to be made, password included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an idle connection is left before the system asks whether the other side is there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// The largest packet that is read: the server's own limit for one row or one event of the log.
const PACKET_BYTES_MAX: usize = 1 << 30;
/// Prepared statements kept per connection.
const STATEMENTS_MAX: usize = 64;
/// Seconds the server waits for us to read or to send: a sink may hold a source up for that long.
const NET_TIMEOUT_S: u32 = 3_600;
/// Seconds that a query waits for DDL of others; a query of ours is never worth more.
const LOCK_WAIT_S: u32 = 60;
/// The server's word for a wrong password.
const ACCESS_DENIED: u16 = 1045;
/// Seconds a connection may be idle.
const WAIT_TIMEOUT_S: u32 = 28_800;

/// What a connection is for: decides its session settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Queries over tables and settings: every stored value can be read and compared, invalid dates too.
    Read,
    /// Transactions: a value that does not fit is an error, and an id of 0 is stored as 0.
    Write,
}

impl Purpose {
    fn sql_mode(self) -> &'static str {
        match self {
            Self::Read => "ALLOW_INVALID_DATES",
            Self::Write => {
                "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION,\
                 ERROR_FOR_DIVISION_BY_ZERO"
            }
        }
    }

    /// One statement. `/*M!` is read by MariaDB alone; `/*!5` by MySQL alone (MariaDB skips versions 5.7 to 5.99).
    fn session(self) -> String {
        format!(
            "SET NAMES utf8mb4, time_zone='+00:00', sql_mode='{}', autocommit=1, net_read_timeout={NET_TIMEOUT_S}, \
             net_write_timeout={NET_TIMEOUT_S}, wait_timeout={WAIT_TIMEOUT_S}, lock_wait_timeout={LOCK_WAIT_S} /*M!100101 , max_statement_time=0 */ \
             /*!50708 , max_execution_time=0 */",
            self.sql_mode()
        )
    }
}

/// Connects, and sets the session up.
///
/// # Errors
/// `Unavailable`, `Timeout`; `Auth` for the account; `Config` for TLS and address.
pub(crate) async fn connect(address: &Address, purpose: Purpose) -> Result<Conn> {
    let doing = format!("connecting to {}", address.place());
    let options = Options { address, purpose };
    let attempt = async {
        // A socket of this machine needs no encryption, and the client library offers none on it.
        let tls = if address.socket.is_some() { None } else { address.tls.options(None)? };
        match options.attempt(tls).await {
            Ok(connection) => Ok(connection),
            Err(error) => options.again(error, &doing).await,
        }
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(connected) => connected,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("{doing}: no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
        )),
    }
}

/// Says why a query failed.
pub(crate) trait Explain<T> {
    /// See [`failed`]; the text of `doing` names no cell value.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Explain<T> for std::result::Result<T, mysql_async::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| failed(error, doing()))
    }
}

struct Options<'a> {
    address: &'a Address,
    purpose: Purpose,
}

impl Options<'_> {
    fn build(&self, tls: Option<SslOpts>) -> Opts {
        let address = self.address;
        OptsBuilder::default()
            .ip_or_hostname(&address.host)
            .tcp_port(address.port)
            .socket(address.socket.clone())
            // Otherwise a connection to 127.0.0.1 is made anew over the server's socket, as another account perhaps.
            .prefer_socket(Some(false))
            .user(Some(&address.user))
            .pass(Some(address.password.expose()).filter(|password| !password.is_empty()))
            .db_name(address.database.clone())
            .ssl_opts(tls)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(TCP_KEEPALIVE))
            .max_allowed_packet(Some(PACKET_BYTES_MAX))
            .wait_timeout(Some(usize::try_from(WAIT_TIMEOUT_S).unwrap_or(usize::MAX)))
            .stmt_cache_size(STATEMENTS_MAX)
            .connect_attribute("program_name", "aqueduct")
            .init(vec![self.purpose.session()])
            .into()
    }

    /// A second attempt, where the mode allows what the first one was refused for.
    async fn again(&self, error: mysql_async::Error, doing: &str) -> Result<Conn> {
        let tls = &self.address.tls;
        let no_tls = matches!(&error, mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer));
        let options = match tls.mode {
            TlsMode::Preferred if no_tls => None,
            TlsMode::VerifyCa => match name_in_refusal(&error.to_string()) {
                Some(name) => tls.options(Some(&name))?,
                None => return Err(failed(error, doing)),
            },
            _ => return Err(failed(error, doing)),
        };
        self.attempt(options).await.map_err(|error| failed(error, doing))
    }

    /// Connects; with a password that is refused, twice: one in 256 challenges of `ed25519` and `parsec` ends in a zero
    /// byte, which the client library takes for their end.
    async fn attempt(&self, tls: Option<SslOpts>) -> mysql_async::Result<Conn> {
        match Conn::new(self.build(tls.clone())).await {
            Err(mysql_async::Error::Server(error)) if error.code == ACCESS_DENIED => Conn::new(self.build(tls)).await,
            attempted => attempted,
        }
    }
}

/// Ends a connection politely; a server that is gone is no error.
pub(crate) async fn disconnect(connection: Conn) {
    if let Err(error) = connection.disconnect().await {
        tracing::debug!(%error, "the connection was already gone");
    }
}
