//! From whatever a crash, a disk or a person left to a store that can be trusted, or to an error that says why not.

use std::path::{Path, PathBuf};

use aqueduct_model::{Epoch, Error, ErrorKind, Result, Token};

use crate::backend::{self, Backend, Fault, Key};
use crate::frame::{Unreadable, newer_version};
use crate::guarded::Guarded;
use crate::journal::{Journal, Survey};
use crate::lock::{Lock, Mark};
use crate::record::{Record, decode_token};
use crate::store::StoreOptions;
use crate::sync::{Disk, disk_error, move_aside, require_space};

/// What opening took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing was there; the store is new.
    Fresh,
    /// The store was in good order.
    Clean,
    /// The store was damaged or gone; what it held came back from the journal.
    RebuiltFromJournal {
        /// Where the damaged store was moved; `None` if there was none.
        moved_to: Option<PathBuf>,
    },
}

/// Why a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To go on where it stands: refused when that cannot be known.
    Run,
    /// To begin anew above everything that was ever acknowledged.
    Reset,
}

/// What a database held when it was opened.
struct Stored {
    backend: Box<dyn Backend>,
    record: Option<Record>,
    token: Option<Token>,
}

/// Opens a folder: lock, journal, database, then the newest record of both is written anew to both.
///
/// Writing it anew is not only for the copy that lacked it. A process may have died after naming a journal file and
/// before fsyncing the name, or on a failed fsync: then the record can be read today and be gone after a power cut.
/// Whoever acts on it has to know it on the disk.
pub(crate) fn recover(folder: &Path, options: &StoreOptions, purpose: Purpose) -> Result<(Guarded, Recovery)> {
    let disk = Disk::default();
    disk.make_folder(folder).map_err(|error| disk_error("create", folder, error))?;
    let (lock, left) = Lock::take(folder)?;
    require_space(folder, options.free_bytes_min)?;
    let mut journal = Journal::open(folder.join("journal"), disk.clone())?;
    let found = journal.survey()?;

    let mut moved_to = None;
    let stored = match attempt(folder, options, &disk, &found) {
        Err(Fault::Damaged(reason)) => {
            moved_to = Some(set_aside(folder, options, &disk, &reason)?);
            attempt(folder, options, &disk, &found)?
        }
        first => first?,
    };
    let was_empty = stored.record.is_none() && stored.token.is_none();
    let recovery = match (&moved_to, found.token.is_some() || found.newest.is_some()) {
        (None, false) if was_empty => Recovery::Fresh,
        (None, true) if was_empty => Recovery::RebuiltFromJournal { moved_to },
        (None, _) => Recovery::Clean,
        (Some(_), _) => Recovery::RebuiltFromJournal { moved_to },
    };

    let record = newer(stored.record, found.newest);
    let mut token = stored.token.max(found.token).unwrap_or_default().max(left.token);
    token = record.as_ref().map_or(token, |record| token.max(record.token));
    let mut newest = record.as_ref().map_or(Epoch(0), |record| record.epoch);
    let lost = found.damaged.unwrap_or_default().max(left.epoch);
    match purpose {
        Purpose::Run => refuse_going_back(folder, newest, lost, stored.token.or(found.token), &left)?,
        Purpose::Reset => newest = newest.max(lost),
    }
    if let Some(record) = &record {
        journal.append(record.epoch, &record.encode()?)?;
    }
    let folder = folder.to_owned();
    let (options, backend) = (*options, stored.backend);
    Ok((Guarded { folder, options, disk, journal, backend, newest, token, failed: false, lock }, recovery))
}

/// Opens the database, reads it, and writes the newest record to it, which also proves that it can be written.
fn attempt(folder: &Path, options: &StoreOptions, disk: &Disk, found: &Survey) -> Result<Stored, Fault> {
    let mut backend = backend::open(folder, options.kind, disk)?;
    let record = readable(backend.read(Key::Record)?.map(|frame| Record::decode(&frame)))?;
    let token = readable(backend.read(Key::Token)?.map(|frame| decode_token(&frame)))?;
    if let Some(newest) = newer(record.clone(), found.newest.clone()) {
        backend.write(Key::Record, &newest.encode().map_err(Fault::Failed)?)?;
    }
    Ok(Stored { backend, record, token })
}

fn readable<T>(found: Option<Result<T, Unreadable>>) -> Result<Option<T>, Fault> {
    match found.transpose() {
        Ok(found) => Ok(found),
        Err(Unreadable::Newer(format)) => Err(Fault::Failed(newer_version(format))),
        Err(Unreadable::Damaged(reason)) => Err(Fault::Damaged(reason)),
        Err(Unreadable::Missing | Unreadable::Io(_)) => {
            Err(Fault::Failed(Error::bug("a frame in memory is not a file")))
        }
    }
}

/// The record with the higher epoch. At the same epoch both copies are equal; the store's is taken.
fn newer(store: Option<Record>, journal: Option<Record>) -> Option<Record> {
    match (store, journal) {
        (Some(store), Some(journal)) => Some(if journal.epoch > store.epoch { journal } else { store }),
        (store, journal) => store.or(journal),
    }
}

fn set_aside(folder: &Path, options: &StoreOptions, disk: &Disk, reason: &str) -> Result<PathBuf> {
    let path = folder.join(backend::file_name(options.kind));
    let moved_to = move_aside(disk, &path).map_err(|error| disk_error("move aside", &path, error))?;
    tracing::warn!(reason, moved_to = %moved_to.display(), "the checkpoint store was damaged; rebuilding it from its journal");
    Ok(moved_to)
}

/// Everything that is readable may be older than what was acknowledged. Then a person decides.
fn refuse_going_back(folder: &Path, newest: Epoch, lost: Epoch, token: Option<Token>, left: &Mark) -> Result<()> {
    let hint =
        format!("put the missing files back into {}, or begin anew with `aqueduct checkpoint reset`", folder.display());
    if lost > newest {
        let found = if newest == Epoch(0) { "none".to_owned() } else { format!("epoch {newest}") };
        let text = format!("the checkpoint of epoch {lost} is damaged or gone, the newest readable one is {found}");
        return Err(Error::new(ErrorKind::State, text).with_hint(hint));
    }
    if token.is_none() && left.token > Token(0) && newest == Epoch(0) {
        let text = format!("the checkpoint folder was started {} times, but its files are gone", left.token);
        return Err(Error::new(ErrorKind::State, text).with_hint(hint));
    }
    Ok(())
}
