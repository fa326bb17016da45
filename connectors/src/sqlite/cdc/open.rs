//! Opens a capture: finds the position, makes sure that log and triggers are there.

use aqueduct_model::{Error, ErrorKind, Result, SourceContext};
use rusqlite::Connection;

use crate::cdc::{LostPosition, SnapshotMode};
use crate::sqlite::connection::{Access, failed, open};
use crate::sqlite::table;

use super::adoption::Adoption;
use super::config::{Settings, planted};
use super::doctor::journal_mode;
use super::history::History;
use super::log::{Head, Names, lost};
use super::position::State;
use super::source::{Capture, Parts};
use super::sync::{Asker, is_settled, sync};

impl Capture {
    /// Opens the database and goes to `resume`. Writes nothing when everything is in place, so that a restart does not
    /// wait for a writer that never stops.
    pub(super) fn open(settings: Settings, reader_context: SourceContext, resume: Option<State>) -> Result<Self> {
        let names = Names::new(&settings.log);
        let reader = open(&settings.path, Access::ReadWrite, settings.busy_timeout)?;
        let mut writer = open(&settings.path, Access::ReadWrite, settings.busy_timeout)?;
        if reader.is_readonly("main").unwrap_or(false) {
            return Err(Error::new(ErrorKind::Auth, format!("{} cannot be written", settings.path.display()))
                .with_setting("path")
                .with_hint("capture works by triggers: give this user write access to the file and to its folder"));
        }
        reader
            .pragma_update(None, "query_only", true)
            .map_err(|e| failed("cannot make the connection read-only", e))?;
        if journal_mode(&reader).as_deref() != Some("wal") {
            tracing::warn!(
                path = %settings.path.display(),
                hint = "PRAGMA journal_mode=WAL",
                "the journal mode is not WAL: reading and writing hold each other up"
            );
        }
        let mut adoption = Adoption { is_first: resume.is_none(), empties_targets: false };
        let resume = match resume {
            Some(state) => match reaches(&reader, &names, &state) {
                Ok(()) => Some(state),
                Err(error) if error.kind() == ErrorKind::LostPosition && resnapshots(&settings) => {
                    tracing::warn!(reason = %error, "position lost: target tables are emptied and read again");
                    adoption.empties_targets = true;
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let asker = Asker { reader: &reader_context, seen: resume.as_ref().map(|state| (state.cookie, state.seq - 1)) };
        if !is_settled(&reader, &names, &settings)? || !asker.is_registered(&reader, &names)? {
            check_names(&reader, &settings, resume.as_ref())?;
            sync(&mut writer, &names, &settings, &asker)?;
        }
        let head = Head::read(&reader, &names)?.ok_or_else(|| lost("the change log was removed"))?;
        let starts_over = resume.is_some() && settings.snapshot == SnapshotMode::Always;
        let mut state = resume.unwrap_or_else(|| State {
            log: head.log.clone(),
            seq: head.last_seq + 1,
            cookie: head.cookie,
            tables: Default::default(),
        });
        if planted("mutant.resume_off_by_one") && !adoption.is_first {
            state.seq += 1;
        }
        let history = History::load(&reader, &names, settings.dates)?;
        let parts = Parts { settings, names, reader_context, reader, writer, state, history, adoption, starts_over };
        Ok(Self::new(parts, head.synced_cookie))
    }
}

/// True when a lost position is mended by reading everything again.
pub(super) fn resnapshots(settings: &Settings) -> bool {
    settings.on_lost_position == LostPosition::Resnapshot
}

fn reaches(connection: &Connection, names: &Names, state: &State) -> Result<()> {
    Head::read(connection, names)?.ok_or_else(|| lost("the change log was removed"))?.reaches(&state.log, state.seq)
}

/// A name without a wildcard must be a table when it is captured for the first time.
fn check_names(connection: &Connection, settings: &Settings, resume: Option<&State>) -> Result<()> {
    if resume.is_some() {
        return Ok(());
    }
    let (tables, unreadable) = table::list(connection)?;
    let known: Vec<&str> = tables
        .iter()
        .map(|table| table.name.as_str())
        .chain(unreadable.iter().map(|table| table.name.as_str()))
        .collect();
    let missing = |name: &&String| !name.contains('*') && !known.iter().any(|known| known.eq_ignore_ascii_case(name));
    match settings.tables.iter().find(missing) {
        None => Ok(()),
        Some(name) => Err(Error::config(format!("{} has no table {name}", settings.path.display()))
            .with_setting("tables")
            .with_hint(format!("tables are: {}", known.join(", ")))),
    }
}
