//! What a server lacks for a capture: all of it at once, each with the statement that mends it.

use std::collections::BTreeSet;

use aqueduct_model::{Error, ErrorKind, Finding, RelationName, Result};
use tokio_postgres::{Client, Row};

use super::publication::{self, Publication};
use super::settings::Settings;
use super::slot::{self, Slot};
use crate::cdc::capture::is_wanted;
use crate::postgres::copy::{quoted, table_name};
use crate::postgres::error::failed;
use crate::postgres::server::Server;
use crate::postgres::table::{Identity, Table, TableName, describe, list};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Fine,
    /// The capture works, with what the finding says.
    Warns,
    /// The capture cannot begin.
    Stops(ErrorKind),
}

/// Findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<(Weight, Finding)>);

impl Findings {
    fn fine(&mut self, what: impl Into<String>) {
        self.0.push((Weight::Fine, Finding { ok: true, what: what.into(), fix: None }));
    }

    fn warns(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push((Weight::Warns, Finding { ok: true, what: what.into(), fix: Some(fix.into()) }));
    }

    fn stops(&mut self, kind: ErrorKind, what: impl Into<String>, fix: impl Into<String>) {
        self.0.push((Weight::Stops(kind), Finding { ok: false, what: what.into(), fix: Some(fix.into()) }));
    }

    /// For `doctor`.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.0.into_iter().map(|(_, finding)| finding).collect()
    }

    /// What is only worth a warning goes to the log; what stops the capture becomes one error with all statements.
    ///
    /// # Errors
    /// `Auth` when rights are all that is missing, else `Config`.
    pub(crate) fn check(self) -> Result<()> {
        let mut kinds = Vec::new();
        let (mut texts, mut fixes) = (Vec::new(), Vec::new());
        for (weight, finding) in self.0 {
            match weight {
                Weight::Fine => {}
                Weight::Warns => tracing::warn!(fix = finding.fix, "{}", finding.what),
                Weight::Stops(kind) => {
                    kinds.push(kind);
                    texts.push(finding.what);
                    fixes.extend(finding.fix);
                }
            }
        }
        let Some(first) = kinds.first() else { return Ok(()) };
        let kind = if kinds.iter().all(|kind| kind == first) { *first } else { ErrorKind::Config };
        Err(Error::new(kind, format!("the server is not ready for a capture: {}", texts.join("; ")))
            .with_hint(fixes.join("\n")))
    }
}

/// What was looked at for the findings, for use in what follows.
#[derive(Debug)]
pub(crate) struct Looked {
    /// The captured tables, by name; those whose identity is refused are not in it.
    pub tables: Vec<Table>,
    pub publication: Option<Publication>,
    pub slot: Option<Slot>,
    pub findings: Findings,
}

/// The tables that the settings ask for and the publication sends.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn wanted(
    client: &Client,
    settings: &Settings,
    publication: Option<&Publication>,
) -> Result<Vec<Table>> {
    let users = publication.filter(|publication| !publication.ours);
    let via_root = users.map_or(settings.via_root, |publication| publication.via_root);
    let listed = list(client, !via_root).await?;
    let wanted = |table: &&TableName| is_wanted(&settings.tables, &table.name);
    let oids: Vec<u32> = listed.iter().filter(wanted).map(|table| table.oid).collect();
    describe(client, &oids, false).await
}

/// Looks at everything that a capture needs. Changes nothing.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn look(client: &Client, server: &Server, settings: &Settings) -> Result<Looked> {
    let mut findings = Findings::default();
    let publication = publication::find(client, &settings.publication()).await?;
    let slot = slot::find(client, &settings.slot()).await?;
    let tables = wanted(client, settings, publication.as_ref()).await?;
    look_at_server(client, server, slot.as_ref(), &mut findings).await?;
    if let Some(fault) = slot.as_ref().and_then(|slot| slot.fault(server)) {
        findings.stops(ErrorKind::Config, fault.to_string(), fault.hint().unwrap_or_default());
    }
    if let Some(in_use) = slot.as_ref().and_then(Slot::in_use) {
        findings.warns(in_use.to_string(), in_use.hint().unwrap_or_default());
    }
    if tables.is_empty() {
        findings
            .warns("no table matches `tables` yet", "correct `tables`, or create the tables: they are captured then");
    }
    for table in &tables {
        look_at_table(table, server, &mut findings);
    }
    match publication.as_ref().filter(|publication| !publication.ours) {
        Some(users) => look_at_publication(users, &tables, &mut findings),
        None => look_at_own(client, server, settings, publication.as_ref(), &tables, &mut findings).await?,
    }
    Ok(Looked { tables, publication, slot, findings })
}

async fn look_at_server(client: &Client, server: &Server, slot: Option<&Slot>, findings: &mut Findings) -> Result<()> {
    if server.wal_level == "logical" {
        findings.fine("wal_level is logical");
    } else {
        findings.stops(
            ErrorKind::Config,
            format!("wal_level is {}", server.wal_level),
            "ALTER SYSTEM SET wal_level = 'logical'; -- and restart the server",
        );
    }
    if server.standby && server.major() < 16 {
        findings.stops(
            ErrorKind::Config,
            "the server is a standby, which can decode its log only since PostgreSQL 16",
            "let `url` name the primary",
        );
    }
    if server.replication {
        findings.fine("the role may replicate");
    } else {
        let role = quoted(&server.role);
        findings.stops(
            ErrorKind::Auth,
            format!("the role {role} may not replicate"),
            format!("ALTER ROLE {role} REPLICATION;"),
        );
    }
    let row = client.query_one(LIMITS, &[]).await.map_err(|error| failed("cannot read the server's limits", error))?;
    let needs = [
        ("max_replication_slots", "slots", if slot.is_some() { 0 } else { 1 }),
        ("max_wal_senders", "senders", if slot.is_some_and(|slot| slot.active_pid.is_some()) { 0 } else { 1 }),
    ];
    for (setting, used, needed) in needs {
        let (limit, used): (i64, i64) = (row.get(setting), row.get(used));
        if used + needed <= limit {
            findings.fine(format!("{used} of {limit} {setting} are in use"));
        } else {
            findings.stops(
                ErrorKind::Config,
                format!("all {limit} {setting} are in use"),
                format!("ALTER SYSTEM SET {setting} = {}; -- and restart the server", used + 4),
            );
        }
    }
    look_at_retention(&row, server, findings);
    Ok(())
}

/// What may make the server give a slot up.
fn look_at_retention(limits: &Row, server: &Server, findings: &mut Findings) {
    let keeps: String = limits.get("keeps");
    if keeps != "-1" {
        findings.warns(
            format!("the server gives slots up that keep more than {keeps} of log back (max_slot_wal_keep_size)"),
            "ALTER SYSTEM SET max_slot_wal_keep_size = '<more than is written while the flow may stand still>'; \
             SELECT pg_reload_conf();",
        );
    }
    let idle: Option<String> = limits.get("idle");
    if let Some(idle) = idle.filter(|idle| idle != "0") {
        findings.warns(
            format!("the server gives slots up that were not read for {idle} (idle_replication_slot_timeout)"),
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();",
        );
    }
    let feedback: String = limits.get("feedback");
    if server.standby && feedback == "off" {
        findings.warns(
            "the standby does not tell its primary which rows are still needed, so that its slots may be given up",
            "ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf();",
        );
    }
}

/// What one table lacks, whoever made the publication.
fn look_at_table(table: &Table, server: &Server, findings: &mut Findings) {
    let (name, role) = (table_name(table.relation.name()), quoted(&server.role));
    if !table.readable {
        let schema = table.relation.name().schema.as_deref().map(quoted).unwrap_or_default();
        findings.stops(
            ErrorKind::Auth,
            format!("the role may not read {name}"),
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON {name} TO {role};"),
        );
    } else if table.hides_rows {
        findings.stops(
            ErrorKind::Auth,
            format!("row-level security hides rows of {name} from the role, and the log shows them"),
            format!("ALTER ROLE {role} BYPASSRLS;"),
        );
    }
    if table.unlogged {
        findings.stops(
            ErrorKind::Config,
            format!("{name} is unlogged: its changes are not in the log"),
            format!("ALTER TABLE {name} SET LOGGED;"),
        );
    }
    if let Some(error) = identity_fault(table) {
        findings.stops(error.kind(), error.to_string(), error.hint().unwrap_or_default());
    }
    if !table.left_out.is_empty() {
        findings.warns(
            format!("generated columns of {name} are not in the log and are left out: {}", table.left_out.join(", ")),
            "compute them at the target, where they are needed",
        );
    }
}

/// Why updates and deletes of a table would fail (at the source!) once it is published.
pub(crate) fn identity_fault(table: &Table) -> Option<Error> {
    let name = table_name(table.relation.name());
    let (what, fix) = match table.identity {
        Identity::Nothing => (
            format!("{name} has REPLICA IDENTITY NOTHING: its updates and deletes fail once it is captured"),
            if table.relation.key().is_empty() { "FULL" } else { "DEFAULT" },
        ),
        Identity::Default if table.relation.key().is_empty() => {
            (format!("{name} has no primary key: its updates and deletes fail once it is captured"), "FULL")
        }
        Identity::Index if table.relation.key().is_empty() => {
            (format!("the index of the REPLICA IDENTITY of {name} is gone"), "FULL")
        }
        _ => return None,
    };
    Some(Error::config(what).with_setting("tables").with_hint(format!("ALTER TABLE {name} REPLICA IDENTITY {fix};")))
}

/// A publication of the user's: what it leaves out is said, for it would be missing at the target.
fn look_at_publication(users: &Publication, tables: &[Table], findings: &mut Findings) {
    let name = quoted(&users.name);
    if !users.leaves_out.is_empty() {
        findings.stops(
            ErrorKind::Config,
            format!("the publication {name} leaves out every {}", users.leaves_out.join(" and ")),
            format!("ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');"),
        );
    }
    for table in tables.iter().filter(|table| !users.tables.contains_key(table.relation.name())) {
        let table = table_name(table.relation.name());
        findings.stops(
            ErrorKind::Config,
            format!("the publication {name} does not hold {table}"),
            format!("ALTER PUBLICATION {name} ADD TABLE {table};"),
        );
    }
}

/// What it takes to make or change a publication of our own.
async fn look_at_own(
    client: &Client,
    server: &Server,
    settings: &Settings,
    own: Option<&Publication>,
    tables: &[Table],
    findings: &mut Findings,
) -> Result<()> {
    if server.standby && own.is_none() {
        findings.stops(
            ErrorKind::Config,
            format!("the server is a standby without the publication {}", settings.publication()),
            format!(
                "on the primary: CREATE PUBLICATION {} FOR TABLE {};",
                quoted(&settings.publication()),
                all(tables)
            ),
        );
        return Ok(());
    }
    if own.is_none() {
        let sql = "SELECT has_database_privilege(current_database(), 'CREATE')";
        let row =
            client.query_one(sql, &[]).await.map_err(|error| failed("cannot look at the role's rights", error))?;
        if !row.get::<_, bool>(0) {
            let (database, role) = (quoted(&server.database), quoted(&server.role));
            findings.stops(
                ErrorKind::Auth,
                "the role may not make a publication in this database",
                format!("GRANT CREATE ON DATABASE {database} TO {role};"),
            );
        }
    }
    let published: BTreeSet<&RelationName> = own.iter().flat_map(|own| own.tables.keys()).collect();
    let needed = tables.iter().filter(|table| !published.contains(table.relation.name()));
    for table in needed.filter(|table| !table.owned && !server.superuser) {
        let (name, role) = (table_name(table.relation.name()), quoted(&server.role));
        findings.stops(
            ErrorKind::Auth,
            format!("the role does not own {name}, so that it may not publish it"),
            format!(
                "ALTER TABLE {name} OWNER TO {role}; -- or, as its owner or a superuser: CREATE PUBLICATION {} FOR TABLE \
                 {}; and `publication: {}`",
                quoted("shop_changes"),
                all(tables),
                "shop_changes"
            ),
        );
    }
    Ok(())
}

fn all(tables: &[Table]) -> String {
    tables.iter().map(|table| table_name(table.relation.name())).collect::<Vec<_>>().join(", ")
}

const LIMITS: &str = "
SELECT current_setting('max_replication_slots')::int8 AS max_replication_slots,
       (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS slots,
       current_setting('max_wal_senders')::int8 AS max_wal_senders,
       (SELECT count(*) FROM pg_catalog.pg_stat_replication) AS senders,
       current_setting('max_slot_wal_keep_size') AS keeps, current_setting('hot_standby_feedback') AS feedback,
       current_setting('idle_replication_slot_timeout', true) AS idle";
