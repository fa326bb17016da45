//! What a server is and how it is set.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::connection::Explain;

/// Which system it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MySQL, Percona Server and their like.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A server's kind, version, global settings and the account that looks at it.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub kind: Kind,
    /// Major, minor, patch.
    pub version: (u32, u32, u32),
    /// The version as the server says it.
    pub version_text: String,
    /// The account in the form that GRANT takes: `'cdc'@'%'`.
    pub account: String,
    settings: BTreeMap<String, String>,
}

impl Server {
    /// Asks the server.
    ///
    /// # Errors
    /// As [`Explain::doing`].
    pub(crate) async fn read(connection: &mut Conn) -> Result<Self> {
        let doing = || "reading the server's settings".to_owned();
        let first: Option<(String, String)> =
            connection.query_first("SELECT VERSION(), CURRENT_USER()").await.doing(doing)?;
        let (version_text, account) = first.ok_or_else(|| Error::bug("SELECT VERSION() gave nothing"))?;
        let pairs: Vec<(String, Option<String>)> = connection.query("SHOW GLOBAL VARIABLES").await.doing(doing)?;
        let settings =
            pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.unwrap_or_default())).collect();
        let kind = if version_text.contains("MariaDB") { Kind::MariaDb } else { Kind::MySql };
        let version = version_numbers(&version_text).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("the server's version {version_text} cannot be read"))
        })?;
        Ok(Self { kind, version, version_text, account: quoted_account(&account), settings })
    }

    /// A global setting, in the server's own spelling; `None` where this server has none of that name.
    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// True when a setting is `ON` or `1`.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1")
    }

    /// A setting that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.setting(name)?.parse().ok()
    }

    /// True for MariaDB.
    pub(crate) fn is_mariadb(&self) -> bool {
        self.kind == Kind::MariaDb
    }

    /// True when the log holds what foreign keys do to rows of other tables (MySQL 9.6, WL#11249).
    pub(crate) fn logs_cascades(&self) -> bool {
        self.kind == Kind::MySql && self.version >= (9, 6, 0)
    }

    /// True when transactions have global identifiers: always in MariaDB, with `gtid_mode=ON` in MySQL.
    pub(crate) fn has_gtids(&self) -> bool {
        match self.kind {
            Kind::MariaDb => true,
            Kind::MySql => self.setting("gtid_mode").is_some_and(|mode| mode.eq_ignore_ascii_case("on")),
        }
    }

    /// What tells this server from others, for as long as its data folder lives.
    pub(crate) fn identity(&self) -> String {
        match self.kind {
            Kind::MySql => self.setting("server_uuid").unwrap_or_default().to_owned(),
            // MariaDB has no uuid of its data; positions are checked against its GTIDs in addition.
            Kind::MariaDb => format!("mariadb-{}", self.setting("server_id").unwrap_or_default()),
        }
    }

    /// The statement that says where the log ends.
    pub(crate) fn log_status_statement(&self) -> &'static str {
        match self.kind {
            Kind::MySql if self.version >= (8, 2, 0) => "SHOW BINARY LOG STATUS",
            _ => "SHOW MASTER STATUS",
        }
    }

    /// The name of the privilege that lets an account see the log's state.
    pub(crate) fn monitor_privilege(&self) -> &'static str {
        match self.kind {
            Kind::MariaDb if self.version >= (10, 5, 2) => "BINLOG MONITOR",
            _ => "REPLICATION CLIENT",
        }
    }
}

fn version_numbers(text: &str) -> Option<(u32, u32, u32)> {
    // Old MariaDB puts 5.5.5- before its own version, for old replicas.
    let text = text.strip_prefix("5.5.5-").unwrap_or(text);
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let major = parts.next()?.ok()?;
    let minor = parts.next()?.ok()?;
    Some((major, minor, parts.next().and_then(std::result::Result::ok).unwrap_or(0)))
}

/// `cdc@%` as `'cdc'@'%'`.
fn quoted_account(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, version) in [
            ("8.0.31", (8, 0, 31)),
            ("8.4.0-commercial", (8, 4, 0)),
            ("10.11.19-MariaDB-0+deb12u1-log", (10, 11, 19)),
            ("5.5.5-10.4.2-MariaDB", (10, 4, 2)),
        ] {
            assert_eq!(version_numbers(text), Some(version));
        }
    }

    #[test]
    fn accounts() {
        assert_eq!(quoted_account("a@b@%"), "'a@b'@'%'");
        assert_eq!(quoted_account("o'neil@localhost"), "'o''neil'@'localhost'");
    }
}
