//! The manifest, the list of committed files, and the lock around their changes.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::Path;

use aqueduct_model::{Cut, Error, ErrorKind, RelationName, Result, Token};
use serde::{Deserialize, Serialize};

use super::folder::{fsync_folder, io_error};

pub(super) const MANIFEST_FILE: &str = "_aqueduct_manifest.json";
pub(super) const LIST_FILE: &str = "_aqueduct_files.jsonl";
const LOCK_FILE: &str = "_aqueduct_lock";
const FORMAT: u32 = 1;
/// A manifest is a few hundred bytes and the positions of the flow's sources.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Who writes the folder, and up to where it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of this format.
    pub(super) format: u32,
    /// The flow that owns the folder.
    pub(super) flow: String,
    /// The task that owns the folder.
    pub(super) task: String,
    /// The newest writer.
    pub(super) token: Token,
    /// The last committed epoch and its positions.
    #[serde(flatten)]
    pub(super) cut: Cut,
    /// Committed files.
    pub(super) files: u64,
    /// Rows in them.
    pub(super) rows: u64,
    /// How much of the list file counts, in bytes.
    pub(super) list_bytes: u64,
}

/// One committed file: a line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// Its path below the output folder, `/` between the two parts.
    pub(crate) path: String,
    /// The table that the rows belong to.
    pub(crate) table: RelationName,
    /// The names of the table's key columns.
    pub(crate) key: Vec<String>,
    /// The epoch that committed it.
    pub(crate) epoch: u64,
    /// Rows in it.
    pub(crate) rows: u64,
    /// Its size.
    pub(crate) bytes: u64,
}

impl Manifest {
    pub(super) fn new(flow: &str, task: &str, token: Token) -> Self {
        let (flow, task) = (flow.to_owned(), task.to_owned());
        Self { format: FORMAT, flow, task, token, cut: Cut::default(), files: 0, rows: 0, list_bytes: 0 }
    }

    /// The manifest of a folder, if it has one.
    pub(super) fn read(root: &Path) -> Result<Option<Self>> {
        let path = root.join(MANIFEST_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("cannot open the manifest", &path, error)),
        };
        let mut text = Vec::new();
        file.take(MANIFEST_BYTES_MAX)
            .read_to_end(&mut text)
            .map_err(|error| io_error("cannot read the manifest", &path, error))?;
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::State, format!("{} is not a manifest", path.display()))
                .with_source(error)
                .with_hint("restore the file from a backup, or point `path` at an empty folder")
        })?;
        if manifest.format != FORMAT {
            return Err(Error::new(
                ErrorKind::State,
                format!("{} has format {}, this program writes {FORMAT}", path.display(), manifest.format),
            )
            .with_hint("use the version of the program that wrote it, or point `path` at an empty folder"));
        }
        Ok(Some(manifest))
    }

    /// Replaces the folder's manifest, durably. Called under the lock only.
    pub(super) fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(MANIFEST_FILE);
        let temporary = root.join(format!("{MANIFEST_FILE}.tmp"));
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::bug("cannot write a manifest").with_source(error))?;
        let written = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        written().map_err(|error| io_error("cannot replace the manifest", &path, error))?;
        fsync_folder(root)
    }

    /// Adds files to the list, durably; they count once the manifest is written. Called under the lock only.
    pub(super) fn append(&mut self, root: &Path, entries: &[FileEntry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let path = root.join(LIST_FILE);
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)
                .map_err(|error| Error::bug("cannot write a list of files").with_source(error))?;
            lines.push(b'\n');
        }
        let appended = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            // What a crash left behind the length that counts.
            file.set_len(self.list_bytes)?;
            file.write_all(&lines)?;
            file.sync_all()
        };
        appended().map_err(|error| io_error("cannot append to the list of files", &path, error))?;
        self.list_bytes += lines.len() as u64;
        self.files += entries.len() as u64;
        self.rows += entries.iter().map(|entry| entry.rows).sum::<u64>();
        Ok(())
    }

    /// The committed files, in the order of their commits.
    pub(super) fn entries(&self, root: &Path) -> Result<Vec<FileEntry>> {
        if self.list_bytes == 0 {
            return Ok(Vec::new());
        }
        let path = root.join(LIST_FILE);
        let file = File::open(&path).map_err(|error| io_error("cannot open the list of files", &path, error))?;
        let mut text = Vec::new();
        file.take(self.list_bytes)
            .read_to_end(&mut text)
            .map_err(|error| io_error("cannot read the list of files", &path, error))?;
        let mut entries = Vec::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            entries.push(serde_json::from_slice(line).map_err(|error| damaged(&path).with_source(error))?);
        }
        if text.len() as u64 != self.list_bytes || entries.len() as u64 != self.files {
            return Err(damaged(&path));
        }
        Ok(entries)
    }
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("{} is shorter than its manifest says, or damaged", path.display()))
        .with_hint("restore the file from a backup, or point `path` at an empty folder")
}

/// Held during a read-modify-write of the manifest; given back when dropped, also by a crash.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock; others hold it for milliseconds.
    pub(super) fn take_blocking(root: &Path) -> Result<Self> {
        let path = root.join(LOCK_FILE);
        let locked = || -> std::io::Result<File> {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        Ok(Self { _file: locked().map_err(|error| io_error("cannot lock", &path, error))? })
    }
}
