//! sled 0.34.7, with what it lacks.
//!
//! Under plain SIGKILL it becomes unopenable for good after some hundred kills: a half-written
//! `snap.<lsn>.generating` is taken for the newest snapshot. So these are removed before opening. Its `flush` is
//! `sync_file_range`, which leaves file lengths and the disk's cache behind. So every file is fsynced after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::backend::{Backend, Fault, Key, sort};
use crate::sync::Disk;

/// sled's own cache; two values need next to nothing.
const CACHE_BYTES: u64 = 8 << 20;

/// A sled database.
pub(crate) struct SledBackend {
    db: sled::Db,
    folder: PathBuf,
    disk: Disk,
}

impl SledBackend {
    pub(crate) fn open(folder: &Path, disk: Disk) -> Result<Self, Fault> {
        disk.make_folder(folder).map_err(|error| sort("open", folder, error))?;
        remove_unfinished_snapshots(folder).map_err(|error| sort("open", folder, error))?;
        let db = sled::Config::new()
            .path(folder)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            // No thread of its own: what is durable, and when, is decided here.
            .flush_every_ms(None)
            .open()
            .map_err(|error| sled_fault(folder, error))?;
        Ok(Self { db, folder: folder.to_owned(), disk })
    }
}

impl Backend for SledBackend {
    fn read(&mut self, key: Key) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.db.get(key.name()).map_err(|error| sled_fault(&self.folder, error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn write(&mut self, key: Key, frame: &[u8]) -> Result<(), Fault> {
        self.db.insert(key.name(), frame).map_err(|error| sled_fault(&self.folder, error))?;
        self.db.flush().map_err(|error| sled_fault(&self.folder, error))?;
        self.disk.sync_tree(&self.folder).map_err(|error| sort("sync", &self.folder, error))
    }
}

fn remove_unfinished_snapshots(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn sled_fault(folder: &Path, error: sled::Error) -> Fault {
    match error {
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => {
            Fault::Busy(folder.to_owned())
        }
        sled::Error::Io(error) => sort("use", folder, error),
        error => Fault::Damaged(error.to_string()),
    }
}
