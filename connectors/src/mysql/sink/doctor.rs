//! What MySQLOutput needs of its account and of the server, all of it at once, with the statement that mends it.

use aqueduct_model::{Finding, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::mysql::address::Address;
use crate::mysql::connection::{Explain, Purpose, connect, disconnect};
use crate::sql_target::{Dialect, quote_ident};
use crate::wait::run_apart;

/// What is needed on the database; DROP to rename a table.
const PRIVILEGES: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX"];

/// Looks at the server; changes nothing.
pub(super) fn findings(address: Result<Address>) -> Vec<Finding> {
    let looked = address.and_then(|address| run_apart(async move { look(&address).await })?);
    looked
        .unwrap_or_else(|error| vec![Finding { ok: false, what: error.chain(), fix: error.hint().map(str::to_owned) }])
}

fn finding(ok: bool, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { ok, what: what.into(), fix: (!ok).then(|| fix.into()) }
}

async fn look(address: &Address) -> Result<Vec<Finding>> {
    let mut connection = connect(address, Purpose::Write).await?;
    let mut findings = vec![finding(true, format!("connected to {} as {}", address.place(), address.user), "")];
    let database = address.database.as_deref().unwrap_or_default();
    findings.push(privileges(&mut connection, database).await?);
    findings.extend(settings(&mut connection).await?);
    disconnect(connection).await;
    Ok(findings)
}

/// The missing ones of the needed privileges, in one statement.
async fn privileges(connection: &mut Conn, database: &str) -> Result<Finding> {
    let doing = || "looking at the account's privileges".to_owned();
    // Roles count only when they are active, as they are for the sink itself.
    let grants: Vec<String> = connection.query("SHOW GRANTS").await.doing(doing)?;
    let account: Option<String> = connection.query_first("SELECT CURRENT_USER()").await.doing(doing)?;
    let missing: Vec<&str> = PRIVILEGES
        .into_iter()
        .filter(|privilege| !grants.iter().any(|grant| gives(grant, privilege, database)))
        .collect();
    let account = account.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    let account = format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"));
    let on = quote_ident(Dialect::MySql, database)?;
    Ok(finding(
        missing.is_empty(),
        format!("the account may {} in {database}", PRIVILEGES.join(", ")),
        format!("GRANT {} ON {on}.* TO {account};", missing.join(", ")),
    ))
}

/// True when a line of SHOW GRANTS gives a privilege on a whole database.
fn gives(grant: &str, privilege: &str, database: &str) -> bool {
    let Some((privileges, rest)) = grant.strip_prefix("GRANT ").and_then(|grant| grant.split_once(" ON ")) else {
        return false;
    };
    let Some((on, _)) = rest.split_once(" TO ") else { return false };
    let object = on.replace('`', "");
    let on_database = object == "*.*"
        || object.strip_suffix(".*").is_some_and(|pattern| like(&pattern.replace("\\_", "_"), database));
    let listed = privileges.split(',').map(str::trim).any(|one| one == privilege || one.starts_with("ALL PRIVILEGES"));
    on_database && listed
}

/// Database names in grants may have `%` in them.
fn like(pattern: &str, name: &str) -> bool {
    match pattern.split_once('%') {
        None => pattern == name,
        Some((before, after)) => name
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|at| rest.is_char_boundary(at) && like(after, &rest[at..]))),
    }
}

async fn settings(connection: &mut Conn) -> Result<Vec<Finding>> {
    let doing = || "looking at the server's settings".to_owned();
    let row: Option<(i64, i64, u64, String, String)> = connection
        .query_first(
            "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_flush_log_at_trx_commit, @@max_allowed_packet, \
             CAST(@@GLOBAL.binlog_format AS CHAR), CAST(@@GLOBAL.log_bin AS CHAR)",
        )
        .await
        .doing(doing)?;
    let Some((read_only, flush, packet, binlog_format, log_bin)) = row else { return Ok(Vec::new()) };
    let statements_only = binlog_format == "STATEMENT" && log_bin == "1";
    Ok(vec![
        finding(
            read_only == 0,
            "the server takes writes",
            "SET GLOBAL read_only = OFF; -- or set `url` to the primary",
        ),
        finding(
            flush == 1,
            "a commit that is confirmed is on disk (innodb_flush_log_at_trx_commit = 1)",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1;",
        ),
        finding(
            packet >= 16 << 20,
            format!("rows of up to {packet} bytes are taken (max_allowed_packet)"),
            "SET GLOBAL max_allowed_packet = 1073741824;",
        ),
        finding(
            !statements_only,
            "the server's binary log takes transactions of READ COMMITTED",
            "SET GLOBAL binlog_format = 'ROW';",
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read() {
        for (grant, given) in [
            ("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION", true),
            ("GRANT SELECT, INSERT ON `shop`.* TO `a`@`%`", true),
            ("GRANT SELECT ON `shop`.* TO `a`@`%`", false),
            ("GRANT INSERT ON `shop`.`orders` TO `a`@`%`", false),
            ("GRANT INSERT ON `sh%`.* TO `a`@`%`", true),
            ("GRANT INSERT ON `other`.* TO `a`@`%`", false),
            ("GRANT USAGE ON *.* TO `a`@`%`", false),
        ] {
            assert_eq!(gives(grant, "INSERT", "shop"), given, "{grant}");
        }
        assert!(gives("GRANT INSERT ON `my\\_shop`.* TO `a`@`%`", "INSERT", "my_shop"));
    }
}
