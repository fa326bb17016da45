//! Rows that were refused and are to be kept: one JSON-lines file per epoch, named by the epoch.
//!
//! Written and fsynced before the epoch is logged; files of epochs that were never logged are removed at the start,
//! and a replayed epoch writes the same file again. So a dead letter is there exactly once.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{BadRow, Epoch, Error, ErrorKind, Result};
use serde::Serialize;

/// One line of a dead-letter file.
#[derive(Serialize)]
struct Line<'a> {
    epoch: Epoch,
    task: &'a str,
    #[serde(flatten)]
    row: &'a BadRow,
}

/// A flow's dead letters.
#[derive(Debug, Clone)]
pub(crate) struct DeadLetters {
    /// `None` for a run beside the flow, whose rows are not kept, and which must not roll back those of the flow.
    folder: Option<PathBuf>,
}

impl DeadLetters {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { folder: Some(state_dir.join("dead_letters")) }
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self { folder: None }
    }

    /// Makes an epoch's dead letters durable. Writes nothing when there are none.
    pub(crate) fn write(&self, epoch: Epoch, rows: &[(String, Vec<BadRow>)]) -> Result<()> {
        let Some(folder) = self.folder.as_deref().filter(|_| !rows.is_empty()) else { return Ok(()) };
        try_write(folder, epoch, rows).map_err(|error| {
            Error::new(ErrorKind::Unavailable, "cannot write dead letters")
                .with_source(error)
                .with_hint(format!("check space and permissions of {}", folder.display()))
        })
    }

    /// Removes the files of epochs that were never logged.
    pub(crate) fn roll_back(&self, logged: Epoch) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(Error::new(ErrorKind::Unavailable, "cannot read the dead letters").with_source(error));
            }
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let epoch =
                name.to_str().and_then(|name| name.strip_prefix("epoch-")?.strip_suffix(".jsonl")?.parse().ok());
            if epoch.is_some_and(|epoch: u64| epoch > logged.0) {
                fs::remove_file(entry.path()).map_err(|error| {
                    Error::new(ErrorKind::Unavailable, "cannot roll back dead letters").with_source(error)
                })?;
            }
        }
        Ok(())
    }
}

fn try_write(folder: &Path, epoch: Epoch, rows: &[(String, Vec<BadRow>)]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let partial = folder.join(".partial");
    let mut file = BufWriter::new(File::create(&partial)?);
    for (task, rows) in rows {
        for row in rows {
            serde_json::to_writer(&mut file, &Line { epoch, task, row })?;
            file.write_all(b"\n")?;
        }
    }
    file.into_inner()?.sync_all()?;
    fs::rename(&partial, file_of(folder, epoch))?;
    File::open(folder)?.sync_all()
}

fn file_of(folder: &Path, epoch: Epoch) -> PathBuf {
    folder.join(format!("epoch-{:010}.jsonl", epoch.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_epoch_replaces_its_file_and_later_ones_are_rolled_back() {
        let dir = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(dir.path());
        let folder = dir.path().join("dead_letters");
        let row = |text: &str| BadRow { relation: None, row: text.into(), reasons: vec!["bad".into()], position: None };
        letters.roll_back(Epoch(0)).unwrap();
        letters.write(Epoch(1), &[("t".into(), vec![row("a"), row("b")])]).unwrap();
        letters.write(Epoch(2), &[("t".into(), vec![row("c")])]).unwrap();
        letters.write(Epoch(2), &[("t".into(), vec![row("c")])]).unwrap();
        assert_eq!(fs::read_to_string(file_of(&folder, Epoch(2))).unwrap().lines().count(), 1);
        letters.roll_back(Epoch(1)).unwrap();
        DeadLetters::none().write(Epoch(7), &[("t".into(), vec![row("a")])]).unwrap();
        DeadLetters::none().roll_back(Epoch(0)).unwrap();
        assert!(file_of(&folder, Epoch(1)).exists() && !file_of(&folder, Epoch(2)).exists());
    }
}
