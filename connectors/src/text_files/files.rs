//! Which files there are, and whether a file is still the one it was.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use aqueduct_model::{Error, ErrorKind, Result};
use xxhash_rust::xxh3::xxh3_64;

use super::offset::Identity;
use super::settings::FileSettings;

/// How much of a file's beginning is hashed to know it again.
const HEAD_BYTES: u64 = 64 << 10;

/// A file that the patterns lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The path as the pattern gives it.
    pub(crate) path: String,
    /// The inode.
    pub(crate) ino: u64,
    /// Its length in bytes.
    pub(crate) length: u64,
}

/// Lists the files by name. Folders that a pattern meets are left out. A file that has a record and is gone is none of
/// the files; one that never was is a mistake, unless it is watched for.
///
/// # Errors
/// `Config` when a path is not a regular file, is no UTF-8, or when there are too many; `Auth` when one must not be
/// looked at.
pub(crate) fn list(settings: &FileSettings, is_known: impl Fn(&str) -> bool) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for pattern in settings.path.patterns() {
        let is_pattern = pattern.contains(['*', '?', '[']);
        if !is_pattern {
            match std::fs::metadata(pattern) {
                Ok(found) => listed.push(checked(pattern, &found)?),
                Err(error) if error.kind() == IoErrorKind::NotFound && (settings.watch || is_known(pattern)) => {}
                Err(error) if error.kind() == IoErrorKind::NotFound => {
                    return Err(Error::config(format!("{pattern} does not exist")).with_setting("path").with_hint(
                        "create it, or correct the path: it is relative to the program's working directory",
                    ));
                }
                Err(error) => return Err(unopened(pattern, error)),
            }
            continue;
        }
        let found = glob::glob(pattern).map_err(|error| {
            Error::config(format!("{pattern:?} is not a pattern")).with_setting("path").with_source(error)
        })?;
        for path in found {
            let path = path.map_err(|error| {
                let at = error.path().display().to_string();
                unopened(&at, error.into())
            })?;
            let name = path.to_str().ok_or_else(|| {
                Error::config(format!("the name of {} is not UTF-8", path.display()))
                    .with_setting("path")
                    .with_hint("rename the file")
            })?;
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() => {}
                Ok(found) => listed.push(checked(name, &found)?),
                // Gone since the pattern met it, or a dangling link.
                Err(error) if error.kind() == IoErrorKind::NotFound => {}
                Err(error) => return Err(unopened(name, error)),
            }
            if listed.len() > settings.max_files {
                return Err(Error::config(format!("more than {} files", settings.max_files))
                    .with_setting("max_files")
                    .with_hint("make the pattern narrower, move files away that are done, or raise `max_files`"));
            }
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    listed.dedup_by(|a, b| a.path == b.path);
    Ok(listed)
}

fn checked(path: &str, found: &Metadata) -> Result<Listed> {
    if !found.is_file() {
        return Err(Error::config(format!("{path} is not a regular file"))
            .with_setting("path")
            .with_hint("folders, pipes and devices are not read; for a folder write in/*.csv"));
    }
    Ok(Listed { path: path.to_owned(), ino: found.ino(), length: found.len() })
}

/// Opens a file without ever waiting for a pipe's writer.
///
/// # Errors
/// `Auth`, `Unavailable`, or `Config` when it is not a regular file (any more).
pub(crate) fn open(path: &str) -> Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| unopened(path, error))?;
    let found = file.metadata().map_err(|error| unopened(path, error))?;
    checked(path, &found)?;
    Ok(file)
}

fn unopened(path: &str, error: std::io::Error) -> Error {
    if error.kind() == IoErrorKind::PermissionDenied {
        return Error::new(ErrorKind::Auth, format!("{path} may not be read"))
            .with_setting("path")
            .with_hint(format!("allow it: chmod +r {path}, and +x on its folders"))
            .with_source(error);
    }
    Error::new(ErrorKind::Unavailable, format!("cannot open {path}")).with_setting("path").with_source(error)
}

/// What a file is known by from now on.
///
/// # Errors
/// `Unavailable` when it cannot be read.
pub(crate) fn identify(path: &str, file: &File) -> Result<Identity> {
    let found = file.metadata().map_err(|error| unopened(path, error))?;
    let head_bytes = found.len().min(HEAD_BYTES);
    let (head, head_bytes) = hash_head(path, head_bytes)?;
    Ok(Identity { dev: found.dev(), ino: found.ino(), head, head_bytes })
}

/// True when an open file is the one that was known by `identity`: the same inode with the same beginning. The device
/// is not compared, because its number may change when a machine starts.
///
/// # Errors
/// `Unavailable` when it cannot be read.
pub(crate) fn is_same(path: &str, file: &File, identity: &Identity) -> Result<bool> {
    let found = file.metadata().map_err(|error| unopened(path, error))?;
    Ok(found.ino() == identity.ino && hash_head(path, identity.head_bytes)? == (identity.head, identity.head_bytes))
}

/// As [`is_same`], for a file that is not open.
///
/// # Errors
/// `Unavailable` when it cannot be read.
pub(crate) fn is_same_path(path: &str, identity: &Identity) -> Result<bool> {
    is_same(path, &open(path)?, identity)
}

/// The length of an open file in bytes.
///
/// # Errors
/// `Unavailable` when the system does not tell.
pub(crate) fn length(path: &str, file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(|error| unopened(path, error))?.len())
}

fn hash_head(path: &str, bytes: u64) -> Result<(u64, u64)> {
    let mut head = Vec::new();
    open(path)?.take(bytes).read_to_end(&mut head).map_err(|error| unopened(path, error))?;
    Ok((xxh3_64(&head), head.len() as u64))
}
