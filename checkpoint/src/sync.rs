//! The only place that forces something to the disk, and the only one that writes files of ours.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};

use crate::fault;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Counts every fsync that really happened, which is how a test can tell that none was left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    syncs: Arc<AtomicU64>,
}

impl Disk {
    /// Fsyncs so far.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Notes an fsync that a library did.
    pub(crate) fn count_sync(&self) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    /// Forces a file's bytes and length, or a folder's entries, to the disk.
    pub(crate) fn sync(&self, file: &File) -> io::Result<()> {
        if fault::planted("mutant.ckpt_no_fsync") {
            return Ok(());
        }
        if fault::point("ckpt.fsync_fails").is_err() {
            return Err(rustix::io::Errno::IO.into());
        }
        file.sync_all()?;
        self.count_sync();
        Ok(())
    }

    /// Forces a folder's entries to the disk: without it a rename or a new file may vanish with the power.
    pub(crate) fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync(&File::open(folder)?)
    }

    /// Puts bytes under a name, durably; afterwards the name has the old or the new bytes, whatever happens.
    /// Leaves `<name>.tmp` behind when interrupted.
    pub(crate) fn replace(&self, folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let draft = folder.join(format!("{name}.tmp"));
        let mut file = create_private(&draft)?;
        file.write_all(bytes)?;
        self.sync(&file)?;
        fs::rename(&draft, folder.join(name))?;
        self.sync_folder(folder)
    }

    /// Makes a folder that only its owner may enter, durably, unless it is there; takes others' rights away if it is.
    pub(crate) fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                self.sync_folder(parent)?;
            }
        }
        make_private(folder, FOLDER_MODE)
    }

    /// Forces a folder to the disk with all files in it and in its sub-folders, and makes them private.
    pub(crate) fn sync_tree(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.sync_tree(&entry.path())?;
                continue;
            }
            // A new descriptor sees a write-back error that nobody was told yet (Linux 4.17, errseq_t).
            match File::open(entry.path()) {
                Ok(file) => {
                    make_private(&entry.path(), FILE_MODE)?;
                    self.sync(&file)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.sync_folder(folder)
    }
}

/// Creates or empties a file that only its owner may read.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

/// Opens a file for reading and writing as it is, or creates it; only its owner may read it.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
    make_private(path, FILE_MODE)?;
    Ok(file)
}

fn make_private(path: &Path, mode: u32) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & 0o077 != 0 => fs::set_permissions(path, Permissions::from_mode(mode)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Turns an error of the disk into ours; `doing` is what was tried, like "write".
///
/// What a person has to repair is `State`; what may pass (full, failing or busy disk) is `Unavailable`.
pub(crate) fn disk_error(doing: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("cannot {doing} {}", path.display());
    let (kind, hint) = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Unavailable, Some("free space on the file system of the checkpoint folder"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (ErrorKind::State, Some("make the checkpoint folder writable for the user that runs the flow"))
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            (ErrorKind::State, Some("the checkpoint folder has to be a folder of its own; choose another path"))
        }
        _ => (ErrorKind::Unavailable, None),
    };
    let error = Error::new(kind, text).with_source(error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Refuses to go on when the file system has less than `bytes_min` left: a store that runs full in the middle of a
/// write is repaired at the next start, one that stops before it needs no repair.
pub(crate) fn require_space(folder: &Path, bytes_min: u64) -> Result<()> {
    let found =
        rustix::fs::statvfs(folder).map_err(|error| disk_error("measure the space of", folder, error.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free >= bytes_min && !fault::planted("ckpt.disk_full") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unavailable,
        format!("{free} bytes are free at {}, checkpoints need {bytes_min}", folder.display()),
    )
    .with_hint(format!(
        "free at least {} bytes on the file system of {}",
        bytes_min.saturating_sub(free),
        folder.display()
    )))
}

/// Waits in between; together about as long as a process takes to start on a busy machine.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Tries to take a lock, several times while it is busy.
///
/// A process that this one starts at the same moment holds a copy of every open file until it runs its own program,
/// and with it the locks of values that were dropped meanwhile. Seen with a store that was opened again at once.
pub(crate) fn patiently<T, E>(mut take: impl FnMut() -> Result<T, E>, is_busy: impl Fn(&E) -> bool) -> Result<T, E> {
    for _ in 1..LOCK_ATTEMPTS {
        match take() {
            Err(error) if is_busy(&error) => thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
    take()
}

/// Moves something damaged aside under the first free name `<name>.corrupt-<n>`, durably; keeps every byte.
pub(crate) fn move_aside(disk: &Disk, path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut n = 1u64;
    let target = loop {
        let candidate = folder.join(format!("{name}.corrupt-{n}"));
        if !candidate.try_exists()? {
            break candidate;
        }
        n += 1;
    };
    fs::rename(path, &target)?;
    disk.sync_folder(folder)?;
    Ok(target)
}
