//! Looks at a database before anything is read or written.

use aqueduct_model::Result;
use rusqlite::Connection;

use crate::sqlite::connection::{Access, open};
use crate::sqlite::table::{self, Identity, Table};

use super::config::Settings;
use super::log::{Head, Names};
use super::sync::is_settled;

/// Log rows above which the log is called large.
const LARGE_LOG: i64 = 1_000_000;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// False when it prevents or limits the capture.
    pub ok: bool,
    /// What was found.
    pub what: String,
    /// The statement or setting that mends it, where there is one.
    pub fix: Option<String>,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self { ok: true, what: what.into(), fix: None }
    }

    fn bad(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { ok: false, what: what.into(), fix: Some(fix.into()) }
    }
}

/// Looks at file, journal mode, tables and log. Changes nothing.
pub(crate) fn check(settings: &Settings) -> Vec<Finding> {
    let connection = match open(&settings.path, Access::ReadWrite, settings.busy_timeout) {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::bad(error.chain(), error.hint().unwrap_or("correct `path`"))],
    };
    let mut findings = vec![Finding::good(format!("{} is an SQLite database", settings.path.display()))];
    findings.push(match connection.is_readonly("main") {
        Ok(false) => Finding::good("it can be written"),
        _ => Finding::bad(
            "it cannot be written, so triggers cannot be installed",
            "give this user write access to the file and to its folder",
        ),
    });
    findings.push(match journal_mode(&connection).as_deref() {
        Some("wal") => Finding::good("its journal mode is WAL: reading never holds up the application"),
        mode => Finding::bad(
            format!("its journal mode is {}: reading and writing hold each other up", mode.unwrap_or("unknown")),
            "PRAGMA journal_mode=WAL",
        ),
    });
    if let Err(error) = look_inside(&connection, settings, &mut findings) {
        findings
            .push(Finding::bad(error.chain(), error.hint().unwrap_or("look at the database with the sqlite3 program")));
    }
    findings
}

/// The journal mode in lower case; `None` when it cannot be read.
pub(super) fn journal_mode(connection: &Connection) -> Option<String> {
    connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).ok()
}

fn look_inside(connection: &Connection, settings: &Settings, findings: &mut Vec<Finding>) -> Result<()> {
    let (tables, unreadable) = table::list(connection)?;
    let matched: Vec<&Table> = tables.iter().filter(|table| settings.names(&table.name)).collect();
    let names: Vec<&str> = matched.iter().map(|table| table.name.as_str()).collect();
    findings.push(if matched.is_empty() {
        let all: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        Finding::bad("`tables` names no table", format!("tables are: {}", all.join(", ")))
    } else {
        Finding::good(format!("{} tables to capture: {}", names.len(), names.join(", ")))
    });
    for table in unreadable.iter().filter(|table| settings.names(&table.name)) {
        findings.push(Finding::bad(
            format!("{} cannot be captured: {}", table.name, table.reason),
            "leave it out of `tables`",
        ));
    }
    for table in matched {
        look_at(table, findings);
    }
    let log = Names::new(&settings.log);
    match Head::read(connection, &log)? {
        None => findings.push(Finding::good("no change log yet: it is made at the first start")),
        Some(head) => {
            let rows = head.last_seq - head.pruned_to;
            findings.push(if is_settled(connection, &log, settings)? {
                Finding::good("all triggers are in place")
            } else {
                Finding::bad("the schema changed since the triggers were made", "start the flow: it makes them anew")
            });
            findings.push(if rows <= LARGE_LOG {
                Finding::good(format!("the change log holds {rows} changes"))
            } else {
                let fix = format!(
                    "SELECT * FROM {}: a flow that is gone holds the log back; delete its row",
                    log.consumers()
                );
                Finding::bad(format!("the change log holds {rows} changes"), fix)
            });
        }
    }
    Ok(())
}

fn look_at(table: &Table, findings: &mut Vec<Finding>) {
    let name = &table.name;
    if table.key.is_empty() {
        findings.push(Finding::bad(
            format!("{name} has no primary key: updates and deletes are matched by whole rows"),
            format!("make {name} anew with a primary key"),
        ));
    }
    if matches!(table.identity, Identity::Key(_)) {
        findings.push(Finding::good(format!("{name} is WITHOUT ROWID: it is read in the order of its key")));
    }
    if table.partial_unique {
        findings.push(Finding::bad(
            format!("{name} has a partial or expression unique index: rows that REPLACE removes through it go unseen"),
            "PRAGMA recursive_triggers=ON in the application's connections that use REPLACE",
        ));
    }
}
