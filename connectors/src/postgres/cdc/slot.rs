//! The replication slot: made, looked at, compared with the position that is to be resumed from, dropped.

use std::fmt;

use aqueduct_model::{Error, ErrorKind, Result};
use tokio_postgres::Client;

use super::mark::{Lsn, PostgresMark};
use crate::postgres::error::failed;
use crate::postgres::server::Server;

/// The plugin that the log is decoded with.
const PLUGIN: &str = "pgoutput";

/// A slot as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub name: String,
    pub plugin: Option<String>,
    pub database: Option<String>,
    /// The session that uses it, and what it calls itself.
    pub active_pid: Option<i32>,
    pub application: Option<String>,
    /// From where on the server keeps log files.
    pub restart: Option<Lsn>,
    /// Transactions that end before are not sent any more.
    pub confirmed: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: String,
    /// How many more bytes of log can be written before it is lost, where there is a limit.
    pub safe_bytes: Option<i64>,
    /// Why it can no longer be used (PostgreSQL 17 and later).
    pub invalidation: Option<String>,
}

/// Looks a slot up.
///
/// # Errors
/// Those of the connection.
pub(crate) async fn find(client: &Client, name: &str) -> Result<Option<Slot>> {
    let rows =
        client.query(FIND, &[&name]).await.map_err(|error| failed("cannot look at the replication slots", error))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let lsn = |column: &str| row.get::<_, Option<String>>(column).map(|text| text.parse()).transpose();
    Ok(Some(Slot {
        name: name.to_owned(),
        plugin: row.get("plugin"),
        database: row.get("database"),
        active_pid: row.get("active_pid"),
        application: row.get("application"),
        restart: lsn("restart_lsn")?,
        confirmed: lsn("confirmed_flush_lsn")?,
        wal_status: row.get::<_, Option<String>>("wal_status").unwrap_or_else(|| "lost".to_owned()),
        safe_bytes: row.get("safe_wal_size"),
        invalidation: row.get("invalidation"),
    }))
}

/// Makes a slot. Waits until all transactions that are writing now have ended.
///
/// # Errors
/// `Throttled` when the server has no slot left; `Auth`; those of the connection.
pub(crate) async fn create(client: &Client, name: &str) -> Result<Lsn> {
    let doing = format!("cannot make the replication slot {name}");
    let row = client.query_one(CREATE, &[&name, &PLUGIN]).await.map_err(|error| failed(&doing, error))?;
    row.get::<_, String>(0).parse()
}

/// Drops a slot; nothing happens when it does not exist.
///
/// # Errors
/// `Throttled` while a session uses it; those of the connection.
pub(crate) async fn drop(client: &Client, name: &str) -> Result<()> {
    let doing = format!("cannot drop the replication slot {name}");
    client.execute(DROP, &[&name]).await.map(|_| ()).map_err(|error| failed(&doing, error))
}

impl Slot {
    /// What makes the slot useless for this database, whatever the position.
    pub(crate) fn fault(&self, server: &Server) -> Option<Error> {
        if self.plugin.as_deref() != Some(PLUGIN) || self.database.as_deref() != Some(&server.database) {
            let plugin = self.plugin.as_deref().unwrap_or("no (a physical slot)");
            let database = self.database.as_deref().unwrap_or("no database");
            let what = format!("the slot {} is for {plugin} plugin and {database}", self.name);
            return Some(Error::config(what).with_setting("slot").with_hint(format!(
                "name a slot of database {} with the plugin {PLUGIN}, or leave `slot` out",
                server.database
            )));
        }
        None
    }

    /// True when the server has given the slot up.
    pub(crate) fn is_lost(&self) -> bool {
        self.wal_status == "lost" || self.invalidation.is_some() || self.restart.is_none()
    }

    /// Who uses it, as an error: a slot can have one reader. One that is gone is noticed by the server after
    /// `wal_sender_timeout`.
    pub(crate) fn in_use(&self) -> Option<Error> {
        let (name, pid) = (&self.name, self.active_pid?);
        let application = self.application.as_deref().filter(|application| !application.is_empty());
        let by = application.map(|application| format!(" of {application}")).unwrap_or_default();
        let what = format!("the replication slot {name} is active for the session{by} with pid {pid}");
        Some(Error::new(ErrorKind::Throttled, what).with_setting("slot").with_hint(format!(
            "stop the other reader (SELECT pg_terminate_backend({pid})), or give this task a `slot` of its own; a reader that \
             has died is forgotten after wal_sender_timeout"
        )))
    }
}

/// Checks that everything from `from` on is still there.
///
/// # Errors
/// `LostPosition` with what was wanted and what there is.
/// `here` is the log's end, with what a position of now would say.
pub(crate) fn check(from: &PostgresMark, slot: Option<&Slot>, server: &Server, here: &PostgresMark) -> Result<()> {
    let (end, name) = (here.lsn, &here.slot);
    let lost = |why: String| Err(lost_position(from, &why));
    if from.log.system != server.log.system {
        return lost(format!(
            "this server's system identifier is {}, the position is of {}: it is another server",
            server.log.system, from.log.system
        ));
    }
    if from.log.timeline != server.log.timeline {
        return lost(format!(
            "the server writes timeline {}, the position is of timeline {}: it was promoted or restored from a backup",
            server.log.timeline, from.log.timeline
        ));
    }
    if from.slot != *name {
        return lost(format!("the position is of slot {}, the settings name {name}", from.slot));
    }
    if from.publication != here.publication {
        return lost("the publication was dropped and made anew: what was written in between is not sent".to_owned());
    }
    let Some(slot) = slot else {
        return lost(format!("the replication slot {name} no longer exists"));
    };
    if let Some(fault) = slot.fault(server) {
        return Err(fault);
    }
    if slot.is_lost() {
        let why = slot.invalidation.as_deref().unwrap_or("max_slot_wal_keep_size");
        return lost(format!("the server gave the replication slot {name} up ({why})"));
    }
    match slot.confirmed {
        Some(confirmed) if confirmed > from.lsn => {
            return lost(format!(
                "the replication slot {name} begins at {confirmed}: it was made anew, or another reader moved it on"
            ));
        }
        None => return lost(format!("the replication slot {name} has no position")),
        Some(_) => {}
    }
    if end < from.lsn {
        return lost(format!("the server's log ends at {end}: it was restored from an older backup"));
    }
    Ok(())
}

/// The error; the policy in its hint is the capture's.
pub(crate) fn lost_position(from: &PostgresMark, why: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::LostPosition, format!("cannot go on from {}: {why}", from.lsn))
        .with_setting("on_lost_position")
        .with_hint("set `on_lost_position: resnapshot` to read the tables again, or restore what the position needs")
}

const FIND: &str = "
SELECT s.plugin::text AS plugin, s.database::text AS database, s.active_pid, a.application_name AS application,
       s.restart_lsn::text AS restart_lsn,
       s.confirmed_flush_lsn::text AS confirmed_flush_lsn, s.wal_status, s.safe_wal_size,
       coalesce(to_jsonb(s) ->> 'invalidation_reason',
                CASE WHEN (to_jsonb(s) ->> 'conflicting')::bool THEN 'conflict with recovery' END) AS invalidation
  FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
 WHERE s.slot_name = $1";

const CREATE: &str = "SELECT lsn::text FROM pg_create_logical_replication_slot($1, $2)";

const DROP: &str = "
SELECT pg_drop_replication_slot(s.slot_name) FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::LogIdentity;

    fn server() -> Server {
        Server {
            version: 150_000,
            log: LogIdentity { system: "1".into(), timeline: 1 },
            database: "shop".into(),
            role: "cdc".into(),
            superuser: false,
            replication: true,
            standby: false,
            wal_level: "logical".into(),
        }
    }

    fn slot() -> Slot {
        Slot {
            name: "s".into(),
            plugin: Some(PLUGIN.into()),
            database: Some("shop".into()),
            active_pid: None,
            application: None,
            restart: Some(Lsn(50)),
            confirmed: Some(Lsn(100)),
            wal_status: "reserved".into(),
            safe_bytes: None,
            invalidation: None,
        }
    }

    fn from(lsn: u64) -> PostgresMark {
        PostgresMark { lsn: Lsn(lsn), log: server().log, slot: "s".into(), publication: 5 }
    }

    #[test]
    fn a_position_that_is_there_is_gone_on_from() {
        for lsn in [100, 150, 200] {
            check(&from(lsn), Some(&slot()), &server(), &from(200)).unwrap();
        }
    }

    #[test]
    fn each_way_to_lose_a_position_is_told() {
        let other = |change: fn(&mut PostgresMark)| {
            let mut mark = from(150);
            change(&mut mark);
            mark
        };
        let broken = |change: fn(&mut Slot)| {
            let mut slot = slot();
            change(&mut slot);
            Some(slot)
        };
        let cases = [
            (other(|mark| mark.log.system = "2".into()), Some(slot()), "another server"),
            (other(|mark| mark.log.timeline = 2), Some(slot()), "timeline"),
            (other(|mark| mark.slot = "t".into()), Some(slot()), "settings name"),
            (other(|mark| mark.publication = 6), Some(slot()), "publication was dropped"),
            (from(150), None, "no longer exists"),
            (from(99), Some(slot()), "begins at 0/64"),
            (from(201), Some(slot()), "older backup"),
            (from(150), broken(|slot| slot.wal_status = "lost".into()), "max_slot_wal_keep_size"),
            (from(150), broken(|slot| slot.invalidation = Some("idle_timeout".into())), "idle_timeout"),
            (from(150), broken(|slot| slot.restart = None), "gave the replication slot"),
            (from(150), broken(|slot| slot.confirmed = None), "no position"),
        ];
        for (mark, slot, text) in cases {
            let error = check(&mark, slot.as_ref(), &server(), &from(200)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LostPosition, "{error}");
            assert!(error.to_string().contains(text) && error.to_string().contains("cannot go on from 0/"), "{error}");
            assert_eq!(error.setting(), Some("on_lost_position"));
        }
    }
}
