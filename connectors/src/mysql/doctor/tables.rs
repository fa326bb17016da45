//! The tables that are to be captured.

use aqueduct_model::{RelationName, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::Check;
use crate::mysql::cdc::{Cascade, MysqlSettings};
use crate::mysql::connection::Explain;
use crate::mysql::error::server_code;
use crate::mysql::rows::{quoted, table_name};
use crate::mysql::server::Server;
use crate::mysql::table;

/// Foreign keys named in one finding at most.
const NAMED_MAX: usize = 20;
/// "SELECT command denied": to the table, to a column.
const SELECT_DENIED: [u16; 2] = [1142, 1143];

/// Looks at rights on the tables, at keys, engines and cascades.
pub(super) async fn check(
    connection: &mut Conn,
    server: &Server,
    settings: &MysqlSettings,
    captured: &[RelationName],
    checks: &mut Vec<Check>,
) -> Result<()> {
    for pattern in &settings.tables {
        if !captured.iter().any(|name| name.matches(pattern)) {
            checks.push(unmatched(pattern, server));
        }
    }
    for name in captured {
        let sql = format!("SELECT * FROM {} LIMIT 0", table_name(name));
        if let Err(error) = connection.query_drop(sql).await {
            match server_code(&error) {
                Some(code) if SELECT_DENIED.contains(&code) => checks.push(Check::rights(
                    format!("{} may not read {name}", server.account),
                    format!("GRANT SELECT ON {} TO {};", table_name(name), server.account),
                )),
                Some(1146) => {}
                _ => return Err(crate::mysql::error::failed(error, format!("looking at {name}"))),
            }
        }
    }
    checks.push(Check::good(format!("{} tables to capture", captured.len())));
    for table in table::describe(connection, captured, settings.zero_dates).await? {
        let name = table.relation.name();
        if table.relation.key().is_empty() {
            checks.push(Check::warning(
                format!("{name} has no primary key: it is read in one piece, and rows are matched as a whole"),
                format!(
                    "ALTER TABLE {} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY;",
                    table_name(name)
                ),
            ));
        }
        if !table.is_transactional() {
            checks.push(Check::warning(
                format!("{name} uses {}: what changes while it is first read may come twice", table.engine),
                format!("ALTER TABLE {} ENGINE=InnoDB;", table_name(name)),
            ));
        }
    }
    checks.extend(cascades(connection, server, settings, captured).await?);
    Ok(())
}

fn unmatched(pattern: &str, server: &Server) -> Check {
    let target = match pattern.split_once('.') {
        Some((database, table)) if !pattern.contains('*') => format!("{}.{}", quoted(database), quoted(table)),
        Some((database, _)) if !database.contains('*') => format!("{}.*", quoted(database)),
        _ => "*.*".to_owned(),
    };
    let what = format!("no table matches {pattern}, or {} may not see it", server.account);
    let fix = format!("GRANT SELECT ON {target} TO {};", server.account);
    if pattern.contains('*') { Check::warning(what, fix) } else { Check::rights(what, fix) }
}

/// Foreign keys whose effects on captured tables are not in the log.
///
/// # Errors
/// As [`Explain::doing`].
pub(crate) async fn cascades(
    connection: &mut Conn,
    server: &Server,
    settings: &MysqlSettings,
    captured: &[RelationName],
) -> Result<Vec<Check>> {
    if server.logs_cascades() {
        return Ok(Vec::new());
    }
    let sql = "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE \
               FROM information_schema.REFERENTIAL_CONSTRAINTS \
               WHERE DELETE_RULE IN ('CASCADE','SET NULL','SET DEFAULT') \
               OR UPDATE_RULE IN ('CASCADE','SET NULL','SET DEFAULT')";
    let found: Vec<(String, String, String, String, String)> =
        connection.query(sql).await.doing(|| "looking for foreign keys".to_owned())?;
    let mut keys = Vec::new();
    let mut fixes = Vec::new();
    for (database, child, constraint, on_delete, on_update) in found {
        let child = table::name(database, child);
        if captured.contains(&child) && keys.len() < NAMED_MAX {
            keys.push(format!("{constraint} of {child} (ON DELETE {on_delete}, ON UPDATE {on_update})"));
            fixes.push(format!("ALTER TABLE {} DROP FOREIGN KEY {};", table_name(&child), quoted(&constraint)));
        }
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let what = format!("the log does not hold what these foreign keys do to their tables: {}", keys.join(", "));
    let fix = format!("{} or set `cascade: warn` to miss those changes", fixes.join(" "));
    Ok(vec![match settings.cascade {
        Cascade::Refuse => Check::setting(what, fix),
        Cascade::Warn => Check::warning(what, fix),
    }])
}
