//! What a database has to do for us: keep two values, durably.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use aqueduct_model::{Error, ErrorKind};

use crate::redb_store::RedbBackend;
use crate::sled_store::SledBackend;
use crate::store::StoreKind;
use crate::sync::{Disk, disk_error, patiently};

/// The values that are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key {
    /// The frame of the newest record.
    Record,
    /// The frame of the token.
    Token,
}

impl Key {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Token => "token",
        }
    }
}

/// Why a database did not do it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its files are not what it wrote: they have to be replaced.
    Damaged(String),
    /// Another handle has it open.
    Busy(PathBuf),
    /// The disk or a person is in the way: nothing is wrong with the files.
    Failed(Error),
}

impl From<Fault> for Error {
    /// For a database that was opened in good order. Opening again repairs damage, so that is what the kind asks for.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Failed(error) => error,
            Fault::Busy(path) => Error::new(ErrorKind::State, format!("another program has {} open", path.display()))
                .with_hint("stop that program"),
            Fault::Damaged(reason) => {
                Error::new(ErrorKind::Unavailable, format!("the checkpoint store is damaged ({reason})"))
            }
        }
    }
}

/// A database with the two values.
///
/// After an error the value is not used again.
pub(crate) trait Backend: Send {
    /// Reads a value; `None` if it was never written.
    fn read(&mut self, key: Key) -> Result<Option<Vec<u8>>, Fault>;

    /// Replaces a value atomically; durable on return.
    fn write(&mut self, key: Key, frame: &[u8]) -> Result<(), Fault>;
}

/// The name of a database's folder or file below the checkpoint folder.
pub(crate) fn file_name(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Sled => "sled",
        StoreKind::Redb => "store.redb",
    }
}

/// Opens or creates the database of a checkpoint folder.
pub(crate) fn open(folder: &Path, kind: StoreKind, disk: &Disk) -> Result<Box<dyn Backend>, Fault> {
    let path = folder.join(file_name(kind));
    let attempt = || -> Result<Box<dyn Backend>, Fault> {
        Ok(match kind {
            StoreKind::Sled => Box::new(Contained(Some(contain(|| SledBackend::open(&path, disk.clone()))?))),
            StoreKind::Redb => Box::new(Contained(Some(contain(|| RedbBackend::open(&path, disk.clone()))?))),
        })
    };
    patiently(attempt, |fault| matches!(fault, Fault::Busy(_)))
}

/// Sorts an error of a database's file: what the operating system refuses is not the file's fault.
///
/// Everything else (`ENOENT`, `EISDIR`, `EINVAL`, an early end …) comes from following what a damaged file says.
pub(crate) fn sort(doing: &str, path: &Path, error: io::Error) -> Fault {
    use rustix::io::Errno;
    let by_code = [Errno::IO, Errno::MFILE, Errno::NFILE].map(|code| Some(code.raw_os_error()));
    // By kind, because sled copies an error by its kind and drops the code.
    let by_kind = matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::Interrupted
    );
    if by_kind || (error.raw_os_error().is_some() && by_code.contains(&error.raw_os_error())) {
        Fault::Failed(disk_error(doing, path, error))
    } else {
        Fault::Damaged(error.to_string())
    }
}

/// Runs a database's code, which panics on some damaged files; unwinding leaves values behind that nobody uses again.
fn contain<T>(call: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(Fault::Damaged("it panicked".to_owned())))
}

/// A backend whose panics are faults, also the one while it closes. `None` only while dropping.
struct Contained<B>(Option<B>);

impl<B: Backend> Contained<B> {
    fn with<T>(&mut self, call: impl FnOnce(&mut B) -> Result<T, Fault>) -> Result<T, Fault> {
        match &mut self.0 {
            Some(backend) => contain(|| call(backend)),
            None => Err(Fault::Failed(Error::bug("a closed store was used"))),
        }
    }
}

impl<B: Backend> Backend for Contained<B> {
    fn read(&mut self, key: Key) -> Result<Option<Vec<u8>>, Fault> {
        self.with(|backend| backend.read(key))
    }

    fn write(&mut self, key: Key, frame: &[u8]) -> Result<(), Fault> {
        self.with(|backend| backend.write(key, frame))
    }
}

impl<B> Drop for Contained<B> {
    fn drop(&mut self) {
        let backend = self.0.take();
        // Nothing is lost when closing fails: every write was durable when it returned.
        let _ = contain(|| {
            drop(backend);
            Ok(())
        });
    }
}
