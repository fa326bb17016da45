//! Rights and settings that a capture needs, all looked at before anything is read.
//!
//! Every finding that prevents the capture, or limits it, carries the literal statement that mends it.

mod grants;
mod settings;
mod tables;

pub(crate) use settings::log_kept_s;
pub(crate) use tables::cascades;

use aqueduct_model::{Error, ErrorKind, Finding, RelationName, Result};
use mysql_async::Conn;

use super::address::Address;
use super::cdc::MysqlSettings;
use super::connection::{Purpose, connect, disconnect};
use super::server::Server;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// As it should be.
    Good,
    /// The capture works, with a limit or a risk.
    Warning,
    /// The capture cannot work, because of the account.
    Rights,
    /// The capture cannot work, because of the server's settings or the tables.
    Setting,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    weight: Weight,
    what: String,
    fix: Option<String>,
}

impl Check {
    fn good(what: impl Into<String>) -> Self {
        Self { weight: Weight::Good, what: what.into(), fix: None }
    }

    fn warning(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { weight: Weight::Warning, what: what.into(), fix: Some(fix.into()) }
    }

    fn rights(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { weight: Weight::Rights, what: what.into(), fix: Some(fix.into()) }
    }

    fn setting(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { weight: Weight::Setting, what: what.into(), fix: Some(fix.into()) }
    }

    fn prevents(&self) -> bool {
        matches!(self.weight, Weight::Rights | Weight::Setting)
    }
}

/// Looks at everything that the settings concern.
///
/// # Errors
/// Only when the server cannot be asked at all.
pub(crate) async fn examine(
    connection: &mut Conn,
    server: &Server,
    settings: &MysqlSettings,
    all_tables: &[RelationName],
) -> Result<Vec<Check>> {
    let mut checks = vec![Check::good(format!("{} {}", server_name(server), server.version_text))];
    let captured: Vec<RelationName> =
        all_tables.iter().filter(|name| crate::cdc::capture::is_wanted(&settings.tables, name)).cloned().collect();
    let status = grants::check(connection, server, &mut checks).await?;
    settings::check(server, status.as_ref(), &captured, &mut checks);
    settings::check_replica(connection, server, &mut checks).await;
    tables::check(connection, server, settings, &captured, &mut checks).await?;
    Ok(checks)
}

/// Everything that prevents the capture, as one error; warnings go to the log.
///
/// # Errors
/// `Auth` when the account lacks rights, else `Config`; the hint holds one statement per line.
pub(crate) fn verdict(checks: &[Check]) -> Result<()> {
    for check in checks.iter().filter(|check| check.weight == Weight::Warning) {
        tracing::warn!(finding = %check.what, fix = check.fix.as_deref().unwrap_or_default(), "the capture is limited");
    }
    let problems: Vec<&Check> = checks.iter().filter(|check| check.prevents()).collect();
    if problems.is_empty() {
        return Ok(());
    }
    let kind =
        if problems.iter().any(|check| check.weight == Weight::Rights) { ErrorKind::Auth } else { ErrorKind::Config };
    let what: Vec<&str> = problems.iter().map(|check| check.what.as_str()).collect();
    let fixes: Vec<&str> = problems.iter().filter_map(|check| check.fix.as_deref()).collect();
    Err(Error::new(kind, format!("changes cannot be captured: {}", what.join("; "))).with_hint(fixes.join("\n")))
}

/// What `aqueduct doctor` shows. Changes nothing.
pub(crate) async fn findings(settings: &MysqlSettings) -> Vec<Finding> {
    let looked = async {
        let address = Address { database: None, ..settings.address.clone() };
        let mut connection = connect(&address, Purpose::Read).await?;
        let server = Server::read(&mut connection).await?;
        let all = super::table::names(&mut connection).await?;
        let checks = examine(&mut connection, &server, settings, &all).await;
        disconnect(connection).await;
        checks
    };
    match looked.await {
        Ok(checks) => checks
            .into_iter()
            .map(|check| Finding { ok: check.weight == Weight::Good, what: check.what, fix: check.fix })
            .collect(),
        Err(error) => {
            let fix = error.hint().unwrap_or("correct `url`").to_owned();
            vec![Finding { ok: false, what: error.chain(), fix: Some(fix) }]
        }
    }
}

fn server_name(server: &Server) -> &'static str {
    if server.is_mariadb() { "MariaDB" } else { "MySQL" }
}
