//! Tables that wait for a person: said by files beside the checkpoint, so that the command line can answer.

use std::path::Path;

use aqueduct_model::{Error, ErrorKind, RelationName, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::disk::Disk;

const WAITING: &str = "waiting-";
const APPROVED: &str = "approved-";
/// A note is short.
const NOTE_BYTES_MAX: usize = 1 << 20;

/// A table whose changes are withheld.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingTable {
    /// Which.
    pub table: RelationName,
    /// `parked`: a schema change needs approval. `failed`: it could not be read; approval reads it anew.
    pub state: String,
    /// The statement, or the error.
    pub reason: String,
}

fn file(prefix: &str, name: &RelationName) -> String {
    format!("{prefix}{:016x}", xxh3_64(name.to_string().as_bytes()))
}

/// Says that a table waits.
pub(super) async fn note(disk: &dyn Disk, name: &RelationName, state: &str, reason: &str) -> Result<()> {
    let waiting = WaitingTable { table: name.clone(), state: state.to_owned(), reason: reason.to_owned() };
    let text =
        serde_json::to_vec(&waiting).map_err(|error| Error::bug("a note cannot be written").with_source(error))?;
    let draft = file("draft-waiting-", name);
    disk.remove(&draft).await?;
    disk.append(&draft, text).await?;
    disk.publish(&draft, &file(WAITING, name)).await
}

/// Says so unless it is said already.
pub(super) async fn note_again(disk: &dyn Disk, name: &RelationName, state: &str, reason: &str) -> Result<()> {
    match disk.length(&file(WAITING, name)).await? {
        Some(_) => Ok(()),
        None => note(disk, name, state, reason).await,
    }
}

/// The tables that were approved since.
pub(super) async fn approved<'a>(
    disk: &dyn Disk,
    names: impl Iterator<Item = &'a RelationName>,
) -> Result<Vec<RelationName>> {
    let files = disk.list().await?;
    if !files.iter().any(|file| file.starts_with(APPROVED)) {
        return Ok(Vec::new());
    }
    Ok(names.filter(|name| files.contains(&file(APPROVED, name))).cloned().collect())
}

/// An approval is taken: the table no longer waits.
pub(super) async fn settled(disk: &dyn Disk, name: &RelationName) -> Result<()> {
    disk.remove(&file(WAITING, name)).await?;
    disk.remove(&file(APPROVED, name)).await
}

/// The tables of a capture that wait for a person. `state_dir` is the task's own folder (`SourceContext::state_dir`).
///
/// # Errors
/// `State` when the folder cannot be read.
pub fn parked(state_dir: &Path) -> Result<Vec<WaitingTable>> {
    let failed = |error: std::io::Error| unreadable(state_dir).with_source(error);
    let mut tables: Vec<WaitingTable> = Vec::new();
    let files = match std::fs::read_dir(state_dir) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(tables),
        Err(error) => return Err(failed(error)),
    };
    for entry in files {
        let entry = entry.map_err(failed)?;
        let is_note = entry.file_name().to_string_lossy().starts_with(WAITING);
        if is_note && entry.metadata().map_err(failed)?.len() <= NOTE_BYTES_MAX as u64 {
            let text = std::fs::read(entry.path()).map_err(failed)?;
            tables.extend(serde_json::from_slice::<WaitingTable>(&text).ok());
        }
    }
    tables.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(tables)
}

/// Lets a table go on: a parked one with its schema change, a failed one by being read anew. Taken note of by the running
/// capture within its `heartbeat`, or at its next start.
///
/// # Errors
/// `Config` when no table of that name waits; `State` when the folder cannot be written.
pub fn approve(state_dir: &Path, table: &str) -> Result<WaitingTable> {
    let waiting = parked(state_dir)?;
    let names = waiting.iter().map(|waiting| waiting.table.to_string()).collect::<Vec<_>>().join(", ");
    let found = waiting.into_iter().find(|waiting| waiting.table.matches(table)).ok_or_else(|| {
        let hint = if names.is_empty() { "no table waits".to_owned() } else { format!("these wait: {names}") };
        Error::config(format!("no table {table} waits for approval")).with_hint(hint)
    })?;
    let path = state_dir.join(file(APPROVED, &found.table));
    let write = || std::fs::File::create(&path)?.sync_all();
    write().map_err(|error| unreadable(state_dir).with_source(error))?;
    Ok(found)
}

fn unreadable(state_dir: &Path) -> Error {
    Error::new(ErrorKind::State, format!("cannot use {}", state_dir.display()))
}
