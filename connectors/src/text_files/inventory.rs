//! What is recorded of files against what is there: new, grown, renamed, replaced, gone.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Result};

use super::files::{self, Listed};
use super::offset::Progress;

/// Brings records up to date with the files and returns those that have something to read, by name.
///
/// A renamed file (the same inode with the same beginning) keeps its record. A file that is gone after it had been
/// read to its end loses its record.
///
/// # Errors
/// `LostPosition` when a file is gone or another one stands in its place before it was read to its end.
pub(crate) fn reconcile(progress: &mut Progress, listed: &[Listed], watch: bool) -> Result<Vec<String>> {
    let by_path: BTreeMap<&str, &Listed> = listed.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut moved = Vec::new();
    let mut gone = Vec::new();
    for (path, record) in &progress.files {
        let here = by_path.get(path.as_str());
        if here.is_some_and(|file| file.ino == record.identity.ino) {
            continue;
        }
        let elsewhere = listed.iter().filter(|file| file.ino == record.identity.ino && file.path != *path);
        let mut found = None;
        for file in elsewhere {
            if files::is_same_path(&file.path, &record.identity)? {
                found = Some(file.path.clone());
            }
        }
        match (found, here, record.done) {
            (Some(to), _, _) => moved.push((path.clone(), to)),
            (None, Some(_), _) => return Err(replaced(path)),
            (None, None, Some(_)) => gone.push(path.clone()),
            (None, None, None) => return Err(missing(path)),
        }
    }
    for path in gone {
        progress.files.remove(&path);
    }
    let mut records = Vec::with_capacity(moved.len());
    for (from, to) in moved {
        if let Some(record) = progress.files.remove(&from) {
            records.push((to, record));
        }
    }
    progress.files.extend(records);
    let has_more = |file: &&Listed| match progress.files.get(&file.path).map(|record| record.done) {
        Some(Some(length)) => watch && length != file.length,
        _ => true,
    };
    Ok(listed.iter().filter(has_more).map(|file| file.path.clone()).collect())
}

/// Another file stands where one was being read.
pub(crate) fn replaced(path: &str) -> Error {
    Error::new(
        ErrorKind::LostPosition,
        format!("{path} is not the file that was read before: it was replaced or truncated"),
    )
    .with_setting("path")
    .with_hint(format!(
        "put the old file back, or reset the flow's checkpoint to read all files again; if it was rotated, let `path` \
             match the rotated name too ({path}*)"
    ))
}

fn missing(path: &str) -> Error {
    Error::new(ErrorKind::LostPosition, format!("{path} is gone before it was read to its end"))
        .with_setting("path")
        .with_hint("put the file back, or reset the flow's checkpoint to read all files again")
}
