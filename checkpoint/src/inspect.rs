//! Looking at a checkpoint folder without disturbing the daemon that writes it, and beginning anew.
//!
//! `inspect` and `export` read the journal only, take no lock and write nothing: each of its files is complete at any
//! moment, and it is never behind the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use aqueduct_model::{Epoch, Error, ErrorKind, Positions, Result, Token};
use serde::Serialize;
use serde_json::{Value, json};

use crate::frame::{FORMAT, Unreadable, newer_version};
use crate::journal::{epochs, file_name, read_epoch, read_token};
use crate::lock::Mark;
use crate::record::Record;
use crate::recover::{Purpose, recover};
use crate::store::{CheckpointStore, StoreKind};
use crate::sync::disk_error;

/// What a checkpoint folder holds, for people.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The token of the last start; 0 before the first.
    pub token: Token,
    /// The process that opened the folder last; it may be gone.
    pub last_writer_pid: Option<u32>,
    /// The epochs that are kept, newest first.
    pub epochs: Vec<EpochSummary>,
    /// Journal files that cannot be read.
    pub damaged: Vec<String>,
}

/// One epoch that is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpochSummary {
    /// The epoch.
    pub epoch: Epoch,
    /// The token of the start that logged it.
    pub token: Token,
    /// When it was logged, in milliseconds since 1970 UTC.
    pub logged_at_ms: u64,
    /// Its size on the disk, in bytes.
    pub bytes: u64,
    /// For each source, by task id, what it reads next.
    pub positions: Positions,
    /// Sources that had come to their end.
    pub ended: BTreeSet<String>,
    /// For each operator with state, by task id, the size of its state in bytes.
    pub state_bytes: BTreeMap<String, u64>,
    /// The staged sinks that had something to commit.
    pub prepared: Vec<String>,
    /// Whether the flow had read everything there is.
    pub finished: bool,
    /// Whether a person asked to begin anew here.
    pub reset: bool,
}

/// Reads what a folder holds; works while a daemon writes it.
///
/// # Errors
/// `State` when it is not a checkpoint folder, or a newer version wrote it.
pub fn inspect(folder: &Path) -> Result<Summary> {
    let journal = require_journal(folder)?;
    let mark = Mark::read(folder);
    let mut summary = Summary {
        token: read_token(&journal)?.unwrap_or_default().max(mark.token),
        last_writer_pid: mark.pid,
        ..Summary::default()
    };
    for epoch in epochs(&journal)?.into_iter().rev() {
        let name = file_name(epoch);
        match read_epoch(&journal, epoch) {
            Ok(record) => summary.epochs.push(summarise(record, &journal.join(name))),
            // Between listing and reading a newer epoch may have pushed it out.
            Err(Unreadable::Missing) => {}
            Err(Unreadable::Damaged(_)) => summary.damaged.push(name),
            Err(Unreadable::Newer(format)) => return Err(newer_version(format)),
            Err(Unreadable::Io(error)) => return Err(disk_error("read", &journal.join(name), error)),
        }
    }
    if let Some(newest) = summary.epochs.first() {
        summary.token = summary.token.max(newest.token);
    }
    Ok(summary)
}

/// The newest record as JSON, states in hexadecimal; `null` before the first. Works while a daemon writes.
///
/// # Errors
/// As [`inspect`]; `State` also when the newest file cannot be read.
pub fn export(folder: &Path) -> Result<Value> {
    let journal = require_journal(folder)?;
    let Some(newest) = epochs(&journal)?.pop_last() else { return Ok(Value::Null) };
    let record = match read_epoch(&journal, newest) {
        Ok(record) => record,
        Err(Unreadable::Newer(format)) => return Err(newer_version(format)),
        Err(_) => {
            return Err(Error::new(ErrorKind::State, format!("epoch {newest} cannot be read from the journal"))
                .with_hint("start the flow once: it repairs the journal from its store where that is possible"));
        }
    };
    let states: BTreeMap<_, _> = record.states.iter().map(|(task, state)| (task, hexadecimal(&state.0))).collect();
    Ok(json!({
        "format": FORMAT,
        "epoch": record.epoch,
        "token": record.token,
        "positions": record.positions,
        "ended": record.ended,
        "states": states,
        "prepared": record.prepared,
        "finished": record.finished,
        "reset": record.reset,
    }))
}

/// Makes the next start begin anew: logs an epoch without positions and states, above everything that was ever
/// acknowledged, so that epochs and tokens go on rising. Returns its token. Also the way out of a damaged folder.
///
/// # Errors
/// `State` when it is not a checkpoint folder, or a process has it open.
pub fn reset(folder: &Path) -> Result<Token> {
    require_journal(folder)?;
    let kind = if folder.join("store.redb").exists() { StoreKind::Redb } else { StoreKind::Sled };
    let (mut store, _) = recover(folder, &kind.into(), Purpose::Reset)?;
    // What the flow's tasks ran is run again: forgotten first, for after a crash in between a person asks again.
    match std::fs::remove_dir_all(folder.join("runs")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk_error("clear", folder, error)),
        _ => {}
    }
    let token = store.next_token()?;
    store.log(&Record { epoch: store.newest.next(), token, reset: true, ..Record::default() })?;
    Ok(token)
}

fn require_journal(folder: &Path) -> Result<std::path::PathBuf> {
    let journal = folder.join("journal");
    if journal.is_dir() || folder.join("lock").is_file() {
        return Ok(journal);
    }
    Err(Error::new(ErrorKind::State, format!("{} is not a checkpoint folder", folder.display()))
        .with_hint("name the folder that the flow's checkpoints are kept in"))
}

fn summarise(record: Record, file: &Path) -> EpochSummary {
    let metadata = std::fs::metadata(file).ok();
    let logged_at = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let since_1970 = logged_at.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    EpochSummary {
        epoch: record.epoch,
        token: record.token,
        logged_at_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        bytes: metadata.map_or(0, |metadata| metadata.len()),
        positions: record.positions,
        ended: record.ended,
        state_bytes: record.states.iter().map(|(task, state)| (task.clone(), state.0.len() as u64)).collect(),
        prepared: record.prepared.into_keys().collect(),
        finished: record.finished,
        reset: record.reset,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
