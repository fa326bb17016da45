//! Foreign keys whose effects on captured tables are not in the log.

use aqueduct_model::{RelationName, Result};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::Check;
use crate::mysql::cdc::{Cascade, MysqlSettings};
use crate::mysql::connection::Explain;
use crate::mysql::ddl::{Dialect, cascade_of};
use crate::mysql::rows::{quoted, table_name};
use crate::mysql::server::Server;
use crate::mysql::table;

/// Foreign keys named in one finding at most.
const NAMED_MAX: usize = 20;

/// A foreign key by which the server changes rows of `child`.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    child: RelationName,
    name: String,
    /// `ON DELETE CASCADE`
    actions: String,
}

/// Looks for foreign keys that change rows of captured tables.
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
    let mut keys = of_schema(connection, captured).await?;
    if server.is_mariadb() {
        // It hides foreign keys in information_schema from accounts that may only SELECT.
        for child in captured {
            for key in of_definition(connection, server, child).await? {
                if !keys.iter().any(|known| known.child == key.child && known.name == key.name) {
                    keys.push(key);
                }
            }
        }
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    keys.truncate(NAMED_MAX);
    let shown: Vec<String> =
        keys.iter().map(|key| format!("{} of {} ({})", key.name, key.child, key.actions)).collect();
    let fixes: Vec<String> = keys
        .iter()
        .map(|key| format!("ALTER TABLE {} DROP FOREIGN KEY {};", table_name(&key.child), quoted(&key.name)))
        .collect();
    let what = format!("the log does not hold what these foreign keys do to their tables: {}", shown.join(", "));
    let fix = format!("{} or set `cascade: warn` to miss those changes", fixes.join(" "));
    Ok(vec![match settings.cascade {
        Cascade::Refuse => Check::setting(what, fix),
        Cascade::Warn => Check::warning(what, fix),
    }])
}

async fn of_schema(connection: &mut Conn, captured: &[RelationName]) -> Result<Vec<Key>> {
    let sql = "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE \
               FROM information_schema.REFERENTIAL_CONSTRAINTS \
               WHERE DELETE_RULE IN ('CASCADE','SET NULL','SET DEFAULT') \
               OR UPDATE_RULE IN ('CASCADE','SET NULL','SET DEFAULT')";
    let found: Vec<(String, String, String, String, String)> =
        connection.query(sql).await.doing(|| "looking for foreign keys".to_owned())?;
    let key = |(database, child, name, on_delete, on_update): (String, String, String, String, String)| Key {
        child: table::name(database, child),
        name,
        actions: format!("ON DELETE {on_delete}, ON UPDATE {on_update}"),
    };
    Ok(found.into_iter().map(key).filter(|key| captured.contains(&key.child)).collect())
}

/// The foreign keys in the table's definition; none when it may not be read, which is another finding.
async fn of_definition(connection: &mut Conn, server: &Server, child: &RelationName) -> Result<Vec<Key>> {
    let sql = format!("SHOW CREATE TABLE {}", table_name(child));
    let Ok(Some((_, definition))) = connection.query_first::<(String, String), _>(sql).await else {
        return Ok(Vec::new());
    };
    let dialect = Dialect::of_server(&server.version_text);
    Ok(definition.lines().filter_map(|line| key_of_line(line, child, dialect)).collect())
}

/// The servers write every constraint on a line of its own, and its actions at the end.
fn key_of_line(line: &str, child: &RelationName, dialect: Dialect) -> Option<Key> {
    let line = line.trim().trim_end_matches(',');
    let name = line.starts_with("CONSTRAINT ").then(|| cascade_of(line, dialect)).flatten()?;
    let actions = line.rsplit_once(") ").map_or("", |(_, actions)| actions).to_owned();
    Some(Key { child: child.clone(), name, actions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_of_a_definition() {
        let child = table::name("d", "c");
        let dialect = Dialect::of_server("10.11.19-MariaDB");
        for (line, expected) in [
            (
                "  CONSTRAINT `f``k` FOREIGN KEY (`p`) REFERENCES `p` (`id`) ON DELETE CASCADE ON UPDATE SET NULL,",
                Some(("f`k", "ON DELETE CASCADE ON UPDATE SET NULL")),
            ),
            ("  CONSTRAINT `fk` FOREIGN KEY (`p`) REFERENCES `e`.`p` (`id`) ON DELETE NO ACTION", None),
            ("  CONSTRAINT `fk` FOREIGN KEY (`p`) REFERENCES `p` (`id`)", None),
            ("  CONSTRAINT `ck` CHECK (`a` > 0)", None),
            ("  `CONSTRAINT` int(11) DEFAULT NULL COMMENT 'ON DELETE CASCADE',", None),
        ] {
            let key = key_of_line(line, &child, dialect);
            let found = key.as_ref().map(|key| (key.name.as_str(), key.actions.as_str()));
            assert_eq!(found, expected, "{line}");
        }
    }
}
