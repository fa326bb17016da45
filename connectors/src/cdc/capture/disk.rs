//! The files of one capture, beside the flow's checkpoint.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use aqueduct_model::{Error, ErrorKind, Result};
use async_trait::async_trait;

/// Files in one flat folder. A file is written bit by bit and counts once it is published; what was not published may be
/// gone, or be there in part, after a crash.
#[async_trait]
pub(super) trait Disk: Send + Sync + 'static {
    /// Adds to the end of a file, which is created first where there is none.
    async fn append(&self, file: &str, bytes: Vec<u8>) -> Result<()>;

    /// Makes `from` durable under the name `to`, in place of what had that name.
    async fn publish(&self, from: &str, to: &str) -> Result<()>;

    /// Up to `bytes` bytes from `at` on; `None` when there is no such file.
    async fn read(&self, file: &str, at: u64, bytes: usize) -> Result<Option<Vec<u8>>>;

    /// How long a file is; `None` when there is no such file.
    async fn length(&self, file: &str) -> Result<Option<u64>>;

    /// The names of all files, in order.
    async fn list(&self) -> Result<Vec<String>>;

    /// Removes a file, if it is there. May be undone by a crash.
    async fn remove(&self, file: &str) -> Result<()>;
}

/// A folder. Every call is made on a thread that may block.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder need not be there yet.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    async fn run<T: Send + 'static>(
        &self,
        file: &str,
        work: impl FnOnce(&Path, &Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (folder, path) = (self.path.clone(), self.path.join(file));
        let done = tokio::task::spawn_blocking(move || work(&folder, &path).map_err(|error| failed(&path, error)));
        done.await.map_err(|error| Error::bug("a task that writes to disk did not end").with_source(error))?
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::State, format!("cannot use {}", path.display()))
        .with_hint("the folder belongs to the checkpoint: give it space and rights as the checkpoint has them")
        .with_source(error)
}

/// The outcome, where a missing file is not an error.
fn if_there<T>(outcome: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Disk for Folder {
    async fn append(&self, file: &str, bytes: Vec<u8>) -> Result<()> {
        self.run(file, move |folder, path| {
            fs::create_dir_all(folder)?;
            OpenOptions::new().create(true).append(true).open(path)?.write_all(&bytes)
        })
        .await
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let to = self.path.join(to);
        self.run(from, move |folder, path| {
            File::open(path)?.sync_all()?;
            fs::rename(path, &to)?;
            File::open(folder)?.sync_all()
        })
        .await
    }

    async fn read(&self, file: &str, at: u64, bytes: usize) -> Result<Option<Vec<u8>>> {
        self.run(file, move |_, path| {
            let Some(mut file) = if_there(File::open(path))? else { return Ok(None) };
            file.seek(SeekFrom::Start(at))?;
            let mut read = Vec::with_capacity(bytes);
            file.take(bytes as u64).read_to_end(&mut read)?;
            Ok(Some(read))
        })
        .await
    }

    async fn length(&self, file: &str) -> Result<Option<u64>> {
        self.run(file, |_, path| Ok(if_there(fs::metadata(path))?.map(|data| data.len()))).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.run("", |folder, _| {
            let Some(files) = if_there(fs::read_dir(folder))? else { return Ok(Vec::new()) };
            let mut names = Vec::new();
            for file in files {
                let file = file?;
                if file.file_type()?.is_file() {
                    names.extend(file.file_name().into_string().ok());
                }
            }
            names.sort();
            Ok(names)
        })
        .await
    }

    async fn remove(&self, file: &str) -> Result<()> {
        self.run(file, |_, path| if_there(fs::remove_file(path)).map(drop)).await
    }
}

/// Files in memory: for a source that may leave nothing behind, which then cannot be replayed by another value.
#[derive(Default)]
pub(super) struct Memory {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.files.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[async_trait]
impl Disk for Memory {
    async fn append(&self, file: &str, bytes: Vec<u8>) -> Result<()> {
        self.files().entry(file.to_owned()).or_default().extend(bytes);
        Ok(())
    }

    async fn publish(&self, from: &str, to: &str) -> Result<()> {
        let mut files = self.files();
        let bytes = files.remove(from).unwrap_or_default();
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    async fn read(&self, file: &str, at: u64, bytes: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.files().get(file).map(|all| part(all, at, bytes)))
    }

    async fn length(&self, file: &str) -> Result<Option<u64>> {
        Ok(self.files().get(file).map(|all| all.len() as u64))
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    async fn remove(&self, file: &str) -> Result<()> {
        self.files().remove(file);
        Ok(())
    }
}

/// The part of a file that a read returns.
pub(super) fn part(all: &[u8], at: u64, bytes: usize) -> Vec<u8> {
    let from = (at as usize).min(all.len());
    all[from..from.saturating_add(bytes).min(all.len())].to_vec()
}
