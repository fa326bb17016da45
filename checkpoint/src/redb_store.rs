//! redb: copy-on-write B-trees in one file. It fsyncs by itself when a transaction commits.

use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, Durability, ReadableDatabase, StorageError, TableDefinition, TableError};

use crate::backend::{Backend, Fault, Key, sort};
use crate::fault;
use crate::sync::{Disk, open_private};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("checkpoint");
/// redb's own cache; its default is 1 GiB.
const CACHE_BYTES: usize = 8 << 20;

/// A redb database.
pub(crate) struct RedbBackend {
    db: Database,
    path: PathBuf,
    disk: Disk,
}

impl RedbBackend {
    pub(crate) fn open(path: &Path, disk: Disk) -> Result<Self, Fault> {
        let is_new = !path.exists();
        drop(open_private(path).map_err(|error| sort("open", path, error))?);
        let db = Builder::new()
            .set_cache_size(CACHE_BYTES)
            // A plain open trusts the file, and panics later where it must not. The file is small.
            .set_check_integrity_on_open(true)
            .create(path)
            .map_err(|error| database_fault(path, error))?;
        if let (true, Some(folder)) = (is_new, path.parent()) {
            disk.sync_folder(folder).map_err(|error| sort("sync", folder, error))?;
        }
        Ok(Self { db, path: path.to_owned(), disk })
    }
}

impl Backend for RedbBackend {
    fn read(&mut self, key: Key) -> Result<Option<Vec<u8>>, Fault> {
        let failed = |error| redb_fault(&self.path, error);
        let tx = self.db.begin_read().map_err(|error| failed(error.into()))?;
        let table = match tx.open_table(TABLE) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let value = table.get(key.name()).map_err(|error| failed(error.into()))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn write(&mut self, key: Key, frame: &[u8]) -> Result<(), Fault> {
        let failed = |error| redb_fault(&self.path, error);
        let no_fsync = fault::planted("mutant.ckpt_no_fsync");
        let mut tx = self.db.begin_write().map_err(|error| failed(error.into()))?;
        let durability = if no_fsync { Durability::None } else { Durability::Immediate };
        tx.set_durability(durability).map_err(|error| failed(error.into()))?;
        {
            let mut table = tx.open_table(TABLE).map_err(|error| failed(error.into()))?;
            table.insert(key.name(), frame).map_err(|error| failed(error.into()))?;
        }
        if fault::point("ckpt.fsync_fails").is_err() {
            return Err(sort("sync", &self.path, rustix::io::Errno::IO.into()));
        }
        tx.commit().map_err(|error| failed(error.into()))?;
        if !no_fsync {
            self.disk.count_sync();
        }
        Ok(())
    }
}

fn database_fault(path: &Path, error: DatabaseError) -> Fault {
    match error {
        DatabaseError::DatabaseAlreadyOpen => Fault::Busy(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(error)) => sort("open", path, error),
        error => Fault::Damaged(error.to_string()),
    }
}

fn redb_fault(path: &Path, error: redb::Error) -> Fault {
    match error {
        redb::Error::Io(error) => sort("use", path, error),
        error => Fault::Damaged(error.to_string()),
    }
}
