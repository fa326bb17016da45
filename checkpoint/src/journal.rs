//! The plain copy: one file per epoch and one for the token, each written as a whole or not at all.
//!
//! Together with what sinks recorded, everything can be rebuilt from it without sled or redb.
//!
//! Invariant: a file without the ending `.tmp` was complete on the disk before it got its name. So a crash can never
//! leave an unreadable one; an unreadable one is damage.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{Epoch, Result, Token};

use crate::frame::{Unreadable, newer_version};
use crate::record::{Record, decode_token};
use crate::sync::{Disk, create_private, disk_error};

/// How many epochs the journal keeps.
pub const EPOCHS_KEPT: usize = 16;

const TOKEN: &str = "token";

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The newest readable record.
    pub(crate) newest: Option<Record>,
    /// The highest epoch above it that has a file which cannot be read.
    pub(crate) damaged: Option<Epoch>,
    /// The token.
    pub(crate) token: Option<Token>,
}

/// The journal of one folder, for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
    disk: Disk,
    /// Epochs that have a file.
    epochs: BTreeSet<Epoch>,
}

impl Journal {
    /// Opens or makes the journal, and clears what an interrupted write left.
    pub(crate) fn open(folder: PathBuf, disk: Disk) -> Result<Self> {
        let failed = |error| disk_error("open", &folder, error);
        disk.make_folder(&folder).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|ending| ending == "tmp") {
                fs::remove_file(&path).map_err(|error| disk_error("remove", &path, error))?;
            }
        }
        let epochs = epochs(&folder)?;
        Ok(Self { folder, disk, epochs })
    }

    /// Looks for the newest record and the token.
    ///
    /// # Errors
    /// `State` when a newer version wrote them; a damaged file is not an error here.
    pub(crate) fn survey(&self) -> Result<Survey> {
        let mut survey = Survey { token: read_token(&self.folder)?, ..Survey::default() };
        for epoch in self.epochs.iter().rev() {
            if let Some(record) = intact(read_epoch(&self.folder, *epoch), &self.folder)? {
                survey.newest = Some(record);
                break;
            }
            survey.damaged = survey.damaged.or(Some(*epoch));
        }
        Ok(survey)
    }

    /// Reads the record of one epoch again.
    pub(crate) fn read(&self, epoch: Epoch) -> Result<Option<Record>> {
        intact(read_epoch(&self.folder, epoch), &self.folder)
    }

    /// Writes the record of an epoch; durable on return. Forgets the oldest beyond [`EPOCHS_KEPT`].
    pub(crate) fn append(&mut self, epoch: Epoch, frame: &[u8]) -> Result<()> {
        let name = file_name(epoch);
        self.disk.replace(&self.folder, &name, frame).map_err(|error| disk_error("write", &self.folder, error))?;
        self.epochs.insert(epoch);
        while self.epochs.len() > EPOCHS_KEPT {
            let Some(oldest) = self.epochs.pop_first() else { break };
            // Not durable, and need not be: a file too many harms nobody.
            let path = self.folder.join(file_name(oldest));
            fs::remove_file(&path).map_err(|error| disk_error("remove", &path, error))?;
        }
        Ok(())
    }

    /// Writes the token; durable on return.
    pub(crate) fn write_token(&self, frame: &[u8]) -> Result<()> {
        self.disk.replace(&self.folder, TOKEN, frame).map_err(|error| disk_error("write", &self.folder, error))
    }

    /// Dies in the middle of a write, for tests.
    pub(crate) fn tear(&self, epoch: Epoch, frame: &[u8]) -> ! {
        let draft = self.folder.join(format!("{}.tmp", file_name(epoch)));
        if let Ok(mut file) = create_private(&draft) {
            let _ = file.write_all(&frame[..frame.len() / 2]);
        }
        std::process::abort()
    }
}

/// The epochs that have a file in a journal; none if there is no journal.
pub(crate) fn epochs(folder: &Path) -> Result<BTreeSet<Epoch>> {
    let failed = |error| disk_error("read", folder, error);
    let mut epochs = BTreeSet::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(epochs),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".epoch")?.parse().ok());
        epochs.extend(number.map(Epoch));
    }
    Ok(epochs)
}

/// Reads the record of one epoch.
pub(crate) fn read_epoch(folder: &Path, epoch: Epoch) -> Result<Record, Unreadable> {
    let record = Record::decode(&fs::read(folder.join(file_name(epoch)))?)?;
    if record.epoch == epoch { Ok(record) } else { Err(Unreadable::damaged("the file of another epoch")) }
}

/// Reads the token; a damaged one counts as none.
pub(crate) fn read_token(folder: &Path) -> Result<Option<Token>> {
    let bytes = fs::read(folder.join(TOKEN)).map_err(Unreadable::from);
    intact(bytes.and_then(|bytes| decode_token(&bytes)), folder)
}

/// `None` for what is missing or damaged.
fn intact<T>(found: Result<T, Unreadable>, folder: &Path) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Unreadable::Missing | Unreadable::Damaged(_)) => Ok(None),
        Err(Unreadable::Newer(format)) => Err(newer_version(format)),
        Err(Unreadable::Io(error)) => Err(disk_error("read", folder, error)),
    }
}

/// The name of an epoch's file; sorts like the number.
pub(crate) fn file_name(epoch: Epoch) -> String {
    format!("{:020}.epoch", epoch.0)
}
