//! How the server is set.

use aqueduct_model::RelationName;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::Check;
use super::grants::LogStatus;
use crate::mysql::server::{Kind, Server};

/// The log should be kept for at least a day, so that a flow may stand still over a night.
const KEEP_LOG_MIN_S: f64 = 86_400.0;

const TURN_GTIDS_ON: &str = "SET GLOBAL enforce_gtid_consistency=ON; SET GLOBAL gtid_mode=OFF_PERMISSIVE; SET GLOBAL \
                             gtid_mode=ON_PERMISSIVE; SET GLOBAL gtid_mode=ON;";

/// Looks at global settings, and at the log's filters for the databases of the captured tables.
pub(super) fn check(server: &Server, status: Option<&LogStatus>, captured: &[RelationName], checks: &mut Vec<Check>) {
    if server.is_on("log_bin") {
        checks.push(Check::good("the server writes a binary log"));
    } else {
        checks.push(Check::setting(
            "the server writes no binary log (log_bin=OFF)",
            "put log_bin=binlog into the [mysqld] section of my.cnf, and restart the server",
        ));
    }
    must_be(server, checks, "binlog_format", "ROW", "SET GLOBAL binlog_format='ROW';");
    row_image(server, checks);
    if server.setting("server_id") == Some("0") {
        checks.push(Check::setting(
            "the server has no number (server_id=0), so it sends its log to nobody",
            "SET GLOBAL server_id=1;",
        ));
    }
    if server.setting("sql_log_bin").is_some_and(|value| value.eq_ignore_ascii_case("off")) {
        checks.push(Check::setting("new connections are not logged (sql_log_bin=OFF)", "SET GLOBAL sql_log_bin=1;"));
    }
    if server
        .setting("binlog_row_value_options")
        .is_some_and(|options| options.to_ascii_uppercase().contains("PARTIAL_JSON"))
    {
        checks.push(Check::setting(
            "the log holds parts of JSON documents (binlog_row_value_options=PARTIAL_JSON)",
            "SET GLOBAL binlog_row_value_options='';",
        ));
    }
    if server.kind == Kind::MySql {
        if server.has_gtids() {
            checks.push(Check::good("transactions have GTIDs"));
        } else {
            checks.push(Check::warning(
                "transactions have no GTIDs: after a failover the capture cannot go on, and under constant writes a \
                 snapshot may not find a moment",
                TURN_GTIDS_ON,
            ));
        }
    }
    if server.setting("sync_binlog").is_some_and(|value| value != "1") {
        checks.push(Check::warning(
            "a crash of the server's machine can lose the end of the log (sync_binlog is not 1)",
            "SET GLOBAL sync_binlog=1;",
        ));
    }
    checks.push(retention(server));
    if let Some(status) = status {
        filters(status, captured, checks);
    }
}

/// What the log holds of a row.
fn row_image(server: &Server, checks: &mut Vec<Check>) {
    match server.setting("binlog_row_image") {
        None | Some("FULL" | "full" | "FULL_NODUP") => {
            checks.push(Check::good("the log holds whole rows (binlog_row_image=FULL)"))
        }
        Some(image) => checks.push(Check::warning(
            format!(
                "the log holds parts of rows (binlog_row_image={image}): updates and deletes come without old values"
            ),
            "SET GLOBAL binlog_row_image='FULL';",
        )),
    }
    let is_whole = server.setting("binlog_row_image").is_none_or(|image| image.eq_ignore_ascii_case("full"));
    if server.is_mariadb() && !is_whole && !server.is_on("binlog_annotate_row_events") {
        checks.push(Check::setting(
            "the log holds parts of rows and no statements (binlog_annotate_row_events=OFF): what a REPLACE changes could \
             not be told from an UPDATE",
            "SET GLOBAL binlog_annotate_row_events=ON;",
        ));
    }
}

fn must_be(server: &Server, checks: &mut Vec<Check>, name: &str, wanted: &str, fix: &str) {
    match server.setting(name) {
        None => {}
        Some(value) if value.eq_ignore_ascii_case(wanted) => checks.push(Check::good(format!("{name}={wanted}"))),
        Some(value) => checks.push(Check::setting(format!("{name} is {value}, not {wanted}"), fix)),
    }
}

/// Seconds after which a file of the log may be deleted; `None` for never.
pub(crate) fn log_kept_s(server: &Server) -> Option<f64> {
    let seconds = server.number("binlog_expire_logs_seconds").unwrap_or(0.0);
    let days = server.number("expire_logs_days").unwrap_or(0.0);
    if server.setting("binlog_expire_logs_auto_purge").is_some_and(|value| value.eq_ignore_ascii_case("off")) {
        return None;
    }
    // Either setting counts where both exist; MariaDB keeps them equal.
    let kept = if seconds > 0.0 { seconds } else { days * 86_400.0 };
    (kept > 0.0).then_some(kept)
}

fn retention(server: &Server) -> Check {
    let fix = if server.setting("binlog_expire_logs_seconds").is_some() {
        "SET GLOBAL binlog_expire_logs_seconds=604800;"
    } else {
        "SET GLOBAL expire_logs_days=7;"
    };
    match log_kept_s(server) {
        None => Check::good("the log is never deleted by itself"),
        Some(seconds) if seconds >= KEEP_LOG_MIN_S => {
            Check::good(format!("the log is kept for {:.1} days", seconds / 86_400.0))
        }
        Some(seconds) => Check::warning(
            format!(
                "the log is kept for {:.1} hours only: a flow that stands still for longer loses its place",
                seconds / 3_600.0
            ),
            fix,
        ),
    }
}

fn filters(status: &LogStatus, captured: &[RelationName], checks: &mut Vec<Check>) {
    let mut databases: Vec<&str> = captured.iter().filter_map(|name| name.schema.as_deref()).collect();
    databases.dedup();
    for database in databases {
        let is_left_out = !status.only.is_empty() && !status.only.iter().any(|name| name == database);
        if is_left_out {
            checks.push(Check::setting(
                format!("the database {database} is not logged: binlog_do_db names others only"),
                format!("put binlog_do_db={database} into the [mysqld] section of my.cnf, and restart the server"),
            ));
        }
        if status.ignored.iter().any(|name| name == database) {
            checks.push(Check::setting(
                format!("the database {database} is not logged: binlog_ignore_db names it"),
                format!("remove binlog_ignore_db={database} from my.cnf, and restart the server"),
            ));
        }
    }
}

/// A replica writes what it replicates to its own log only when told to.
pub(super) async fn check_replica(connection: &mut Conn, server: &Server, checks: &mut Vec<Check>) {
    let statement = match server.kind {
        Kind::MySql if server.version >= (8, 0, 22) => "SHOW REPLICA STATUS",
        Kind::MariaDb if server.version >= (10, 5, 1) => "SHOW ALL REPLICAS STATUS",
        _ => "SHOW SLAVE STATUS",
    };
    let rows: std::result::Result<Vec<Row>, _> = connection.query(statement).await;
    // An account that may not see it (MariaDB: REPLICA MONITOR) needs no right for this alone.
    let is_replica = rows.is_ok_and(|rows| !rows.is_empty());
    let logs_updates = server.is_on("log_slave_updates") || server.is_on("log_replica_updates");
    if is_replica && !logs_updates {
        let name =
            if server.setting("log_replica_updates").is_some() { "log_replica_updates" } else { "log_slave_updates" };
        checks.push(Check::setting(
            "the server is a replica that does not log what it replicates",
            format!("put {name}=ON into the [mysqld] section of my.cnf, and restart the server"),
        ));
    }
}
