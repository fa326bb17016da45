//! The end of the log, such that nothing before it is still on its way into the tables.
//!
//! A transaction is written to the log first and becomes visible to readers a moment later. A place that is merely the
//! log's end would miss one that is in between. What is done about it:
//!
//! * MariaDB: `START TRANSACTION WITH CONSISTENT SNAPSHOT` fixes snapshot and log position together.
//! * MySQL with GTIDs: the log's end is read, then the GTIDs that connections own, which a transaction has from before
//!   it is written until it is visible; once those are released, everything before the end is in `gtid_executed`.
//! * MySQL without GTIDs: the same with `Ongoing_anonymous_transaction_count`, which has to be seen at 0 once.
//!
//! Nothing is locked.

use std::collections::BTreeSet;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::time::Instant;

use super::mark::LogPlace;
use crate::mysql::connection::Explain;
use crate::mysql::server::{Kind, Server};

/// How long commits may take that are under way.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two looks at what is under way.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A place with every transaction before it visible, and in `gtids`, which may hold later ones.
#[derive(Debug, Clone)]
pub(crate) struct SettledEnd {
    pub place: LogPlace,
    /// Empty without GTIDs.
    pub gtids: String,
}

fn doing() -> String {
    "looking for the end of the binary log".to_owned()
}

/// The end of the log as the server says it; transactions before it may not be visible yet.
///
/// # Errors
/// `Auth` without the privilege; `Config` when there is no log.
pub(crate) async fn log_end(connection: &mut Conn, server: &Server) -> Result<LogPlace> {
    let row: Option<Row> = connection.query_first(server.log_status_statement()).await.map_err(|error| {
        let error = crate::mysql::error::failed(error, doing());
        if error.kind() != ErrorKind::Auth {
            return error;
        }
        error.with_hint(format!("GRANT {} ON *.* TO {}", server.monitor_privilege(), server.account))
    })?;
    let found = row.and_then(|row| Some(LogPlace::new(row.get::<String, _>(0)?, row.get::<u64, _>(1)?)));
    found.ok_or_else(|| {
        Error::config("the server writes no binary log")
            .with_hint("put log_bin=binlog and binlog_format=ROW into the [mysqld] section of my.cnf, and restart it")
    })
}

/// The end of the log, settled.
///
/// # Errors
/// As [`log_end`]; `Timeout` when commits do not end.
pub(crate) async fn settled_end(connection: &mut Conn, server: &Server) -> Result<SettledEnd> {
    match server.kind {
        Kind::MariaDb => {
            let place = snapshot_place(connection).await?;
            connection.query_drop("ROLLBACK").await.doing(doing)?;
            let gtids: Option<Option<String>> = connection
                .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (&place.file, place.position))
                .await
                .doing(doing)?;
            Ok(SettledEnd { gtids: gtids.flatten().unwrap_or_default(), place })
        }
        Kind::MySql if server.has_gtids() => {
            let place = log_end(connection, server).await?;
            wait_for_owned(connection).await?;
            let gtids: Option<String> = connection.query_first("SELECT @@GLOBAL.gtid_executed").await.doing(doing)?;
            let gtids = gtids.unwrap_or_default().replace(['\n', ' '], "");
            Ok(SettledEnd { place, gtids })
        }
        Kind::MySql => Ok(SettledEnd { place: anonymous_end(connection, server).await?, gtids: String::new() }),
    }
}

/// Begins a snapshot on a MariaDB server; the place in the log that it shows.
pub(crate) async fn snapshot_place(connection: &mut Conn) -> Result<LogPlace> {
    connection.query_drop("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.doing(doing)?;
    connection.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT").await.doing(doing)?;
    let pairs: Vec<(String, String)> = connection.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await.doing(doing)?;
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let file = value("binlog_snapshot_file").filter(|file| !file.is_empty());
    let position = value("binlog_snapshot_position").and_then(|position| position.parse().ok());
    match (file, position) {
        (Some(file), Some(position)) => Ok(LogPlace::new(file, position)),
        _ => Err(Error::config("the server writes no binary log")
            .with_hint("put log_bin=binlog and binlog_format=ROW into the [mysqld] section of my.cnf, and restart it")),
    }
}

/// Waits until every GTID that is owned now was released.
async fn wait_for_owned(connection: &mut Conn) -> Result<()> {
    let mut pending: Option<BTreeSet<String>> = None;
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let owned: Option<String> = connection.query_first("SELECT @@GLOBAL.gtid_owned").await.doing(doing)?;
        let owned = owned_gtids(&owned.unwrap_or_default());
        let left: BTreeSet<String> = match pending {
            None => owned,
            Some(pending) => pending.intersection(&owned).cloned().collect(),
        };
        if left.is_empty() {
            return Ok(());
        }
        pending = Some(left);
        pause(deadline).await?;
    }
}

/// `uuid:5#12:6#13,\nuuid2:tag:1#14` as single GTIDs, without the connections that own them.
fn owned_gtids(text: &str) -> BTreeSet<String> {
    let mut owned = BTreeSet::new();
    for part in text.split(',') {
        let mut pieces = part.trim().split(':');
        let mut source = pieces.next().unwrap_or_default().to_owned();
        let server = source.clone();
        for piece in pieces {
            match piece.split_once('#') {
                Some((number, _)) => drop(owned.insert(format!("{source}:{number}"))),
                None => source = format!("{server}:{piece}"),
            }
        }
    }
    owned
}

/// Retries until the log did not move on while nothing was being committed.
async fn anonymous_end(connection: &mut Conn, server: &Server) -> Result<LogPlace> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let place = log_end(connection, server).await?;
        let count: Option<(String, String)> = connection
            .query_first("SHOW GLOBAL STATUS LIKE 'Ongoing_anonymous_transaction_count'")
            .await
            .doing(doing)?;
        match count.map(|(_, count)| count) {
            Some(count) if count == "0" => return Ok(place),
            Some(_) => pause(deadline).await?,
            None => return Err(without_gtids("the server does not say which commits are under way")),
        }
    }
}

async fn pause(deadline: Instant) -> Result<()> {
    if Instant::now() >= deadline {
        return Err(without_gtids("commits are always under way"));
    }
    tokio::time::sleep(LOOK_AGAIN).await;
    Ok(())
}

fn without_gtids(why: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{}: {why}", doing())).with_hint(
        "turn GTIDs on: SET GLOBAL enforce_gtid_consistency=ON; SET GLOBAL gtid_mode=OFF_PERMISSIVE; \
         SET GLOBAL gtid_mode=ON_PERMISSIVE; SET GLOBAL gtid_mode=ON",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_gtids_are_told_apart() {
        let owned = owned_gtids("aa:5#12:6#13#14,\nbb:tag:1#15");
        assert_eq!(owned.into_iter().collect::<Vec<_>>(), ["aa:5", "aa:6", "bb:tag:1"]);
        assert!(owned_gtids("").is_empty());
    }
}
