//! What the account may do.

use aqueduct_model::Result;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::Check;
use crate::mysql::connection::Explain;
use crate::mysql::error::server_code;
use crate::mysql::server::Server;

/// "Access denied; you need (at least one of) the … privilege(s)".
const NEEDS_PRIVILEGE: u16 = 1227;

/// What `SHOW MASTER STATUS` says of filters.
#[derive(Debug, Default)]
pub(super) struct LogStatus {
    /// Databases that alone are logged; empty for all.
    pub only: Vec<String>,
    /// Databases that are not logged.
    pub ignored: Vec<String>,
}

/// Looks at the rights on the whole server; the log's filters when they may be seen.
pub(super) async fn check(
    connection: &mut Conn,
    server: &Server,
    checks: &mut Vec<Check>,
) -> Result<Option<LogStatus>> {
    let account = &server.account;
    let monitor = server.monitor_privilege();
    let status: std::result::Result<Option<Row>, _> = connection.query_first(server.log_status_statement()).await;
    let status = match status {
        Ok(row) => {
            checks.push(Check::good(format!("{account} has {monitor}")));
            let list = |column: usize| -> Vec<String> {
                let text: String = row.as_ref().and_then(|row| row.get(column)).unwrap_or_default();
                text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
            };
            Some(LogStatus { only: list(2), ignored: list(3) })
        }
        Err(error) if server_code(&error) == Some(NEEDS_PRIVILEGE) => {
            let what = format!("{account} may not see where the binary log ends");
            checks.push(Check::rights(what, format!("GRANT {monitor} ON *.* TO {account};")));
            None
        }
        Err(error) => return Err(crate::mysql::error::failed(error, "looking at the binary log")),
    };
    let grants: Vec<String> =
        connection.query("SHOW GRANTS").await.doing(|| "looking at the account's rights".to_owned())?;
    if has_global(&grants, &["REPLICATION SLAVE", "REPLICATION REPLICA"]) {
        checks.push(Check::good(format!("{account} has REPLICATION SLAVE")));
    } else {
        let what = format!("{account} may not read the binary log");
        checks.push(Check::rights(what, format!("GRANT REPLICATION SLAVE ON *.* TO {account};")));
    }
    Ok(status)
}

/// True when one of the grants gives one of these privileges on everything.
fn has_global(grants: &[String], privileges: &[&str]) -> bool {
    grants.iter().any(|grant| {
        let Some((given, target)) = grant.strip_prefix("GRANT ").and_then(|rest| rest.split_once(" ON ")) else {
            return false;
        };
        let is_global = target.starts_with("*.* ");
        let mut given = given.split(',').map(str::trim);
        is_global && given.any(|name| name == "ALL PRIVILEGES" || name == "ALL" || privileges.contains(&name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read() {
        let grants = |text: &str| vec![text.to_owned()];
        let slave = ["REPLICATION SLAVE"];
        assert!(has_global(&grants("GRANT SELECT, REPLICATION SLAVE ON *.* TO `a`@`%`"), &slave));
        assert!(has_global(&grants("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION"), &slave));
        assert!(!has_global(&grants("GRANT ALL PRIVILEGES ON `shop`.* TO `a`@`%`"), &slave));
        assert!(!has_global(&grants("GRANT REPLICATION SLAVE ADMIN ON *.* TO `a`@`%`"), &slave));
        assert!(!has_global(&grants("GRANT `role`@`%` TO `a`@`%`"), &slave));
    }
}
