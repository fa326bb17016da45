//! Pages beside the checkpoint: a service may give another page when it is asked again, a replay must not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aqueduct_model::{Error, ErrorKind, Result};

use super::page::Raw;

const PREFIX: &str = "page-";
const UNFINISHED: &str = "unfinished";

/// A folder of pages. Its calls block.
pub(super) struct KeptPages {
    folder: PathBuf,
}

impl KeptPages {
    /// The folder need not be there yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, page: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{page}"))
    }

    /// Keeps a page durably; `asked` tells it from another one that had the same number.
    ///
    /// # Errors
    /// `State` when the folder cannot be written.
    pub(super) fn keep(&self, page: u64, asked: &str, raw: &Raw) -> Result<()> {
        let path = self.path(page);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let unfinished = self.folder.join(UNFINISHED);
            let mut file = File::create(&unfinished)?;
            let head = serde_json::to_string(&(asked, raw))?;
            file.write_all(head.as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(&raw.body)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| failed(&path, error))
    }

    /// A page that was kept, if it was asked for in the same way.
    ///
    /// # Errors
    /// `State` when it cannot be read.
    pub(super) fn find(&self, page: u64, asked: &str) -> Result<Option<Raw>> {
        let path = self.path(page);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        let Ok((known, raw)) = serde_json::from_slice::<(String, Raw)>(&bytes[..end]) else { return Ok(None) };
        Ok((known == asked).then(|| Raw { body: bytes[end + 1..].to_vec(), ..raw }))
    }

    /// Removes the pages in front of one; all of them with `u64::MAX`.
    ///
    /// # Errors
    /// `State` when the folder cannot be read.
    pub(super) fn forget_before(&self, page: u64) -> Result<()> {
        let files = match fs::read_dir(&self.folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(&self.folder, error)),
        };
        for file in files {
            let path = file.map_err(|error| failed(&self.folder, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
            if name.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| number < page) {
                // One that stays is removed another time.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::State, format!("cannot use {}", path.display()))
        .with_hint("the folder belongs to the checkpoint: give it space and rights as the checkpoint has them")
        .with_source(error)
}
