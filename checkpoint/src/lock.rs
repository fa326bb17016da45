//! One writer per folder, and the high-water mark of what was ever acknowledged there.
//!
//! The lock is `flock` on a file of ours: the kernel releases it with the process, however that ends, and it refuses
//! a second opener in the same process too. The file's text names the holder for people, and remembers the highest
//! token and epoch that were acknowledged. That text is not fsynced; it is evidence and not data: when the rest of
//! the folder knows less, files were lost or put back, and opening refuses instead of going back without a word.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use aqueduct_model::{Epoch, Error, ErrorKind, Result, Token};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::sync::{disk_error, open_private, patiently};

const NAME: &str = "lock";

/// What the lock file says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The process that opened the folder last.
    pub(crate) pid: Option<u32>,
    /// The highest token given out.
    pub(crate) token: Token,
    /// The highest epoch acknowledged.
    pub(crate) epoch: Epoch,
}

impl Mark {
    /// Reads the mark without taking the lock; what cannot be read counts as nothing.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join(NAME)).unwrap_or_default();
        let mut mark = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split_whitespace();
            let (Some(key), Some(number)) = (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()))
            else {
                continue;
            };
            match key {
                "pid" => mark.pid = u32::try_from(number).ok(),
                "token" => mark.token = Token(number),
                "epoch" => mark.epoch = Epoch(number),
                _ => {}
            }
        }
        mark
    }
}

/// The right to write into a folder, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, or refuses after a moment; also returns what the last holder left.
    ///
    /// # Errors
    /// `State` naming the holder when there is one.
    pub(crate) fn take(folder: &Path) -> Result<(Self, Mark)> {
        let path = folder.join(NAME);
        let file = open_private(&path).map_err(|error| disk_error("open", &path, error))?;
        let flock = || rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        match patiently(flock, |error| *error == Errno::WOULDBLOCK) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(in_use(folder)),
            Err(error) => return Err(disk_error("lock", &path, error.into())),
        }
        let lock = Self { file, path };
        lock.check()?;
        let left = Mark::read(folder);
        lock.note(left.token, left.epoch)?;
        Ok((lock, left))
    }

    /// Remembers what was acknowledged. Lines have a fixed width, so that one write replaces all of them.
    pub(crate) fn note(&self, token: Token, epoch: Epoch) -> Result<()> {
        let text = format!("pid {:>20}\ntoken {:>20}\nepoch {:>20}\n", std::process::id(), token.0, epoch.0);
        self.file.write_all_at(text.as_bytes(), 0).map_err(|error| disk_error("write", &self.path, error))
    }

    /// Makes sure that the locked file is still the one that others would lock.
    ///
    /// # Errors
    /// `State` when the folder or the file was removed or replaced: somebody else may be writing by now.
    pub(crate) fn check(&self) -> Result<()> {
        let ours = self.file.metadata().map_err(|error| disk_error("look at", &self.path, error))?;
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (ours.dev(), ours.ino()) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::State,
                format!("{} was removed or replaced while in use", self.path.display()),
            )
            .with_hint("start the flow again, and leave its checkpoint folder alone while it runs")),
        }
    }
}

fn in_use(folder: &Path) -> Error {
    let holder = match Mark::read(folder).pid {
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    Error::new(ErrorKind::State, format!("the checkpoint folder {} is in use by {holder}", folder.display()))
        .with_hint(format!("stop {holder}, or give this flow a checkpoint folder of its own"))
}
