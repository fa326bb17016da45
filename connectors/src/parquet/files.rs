//! Which files there are, and what one looks like; nothing in a file is trusted.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aqueduct_model::{Error, ErrorKind, Result};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaData;

use super::offset::FileIdentity;
use crate::staged_files::io_error;

/// Files of one source at most.
const FILES_MAX: usize = 100_000;
/// A footer is held in memory, several times its size.
const FOOTER_BYTES_MAX: u64 = 64 << 20;
/// Row groups of one file at most.
const ROW_GROUPS_MAX: usize = 100_000;
/// Columns of one file at most, nested ones counted by their leaves.
const COLUMNS_MAX: usize = 10_000;
/// What one column of one row group may say it decodes to, in bytes.
const CHUNK_BYTES_MAX: i64 = 4 << 30;
const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED_MAGIC: &[u8; 4] = b"PARE";

/// The files that the patterns lead to, each once, in the order of their paths.
///
/// # Errors
/// `Config` when a pattern leads to no file, unless that is allowed.
pub(super) fn list(patterns: &[String], allow_empty: bool) -> Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    for pattern in patterns {
        let mut found = false;
        let is_glob = pattern.contains(['*', '?', '[']);
        let paths = glob::glob(pattern)
            .map_err(|error| Error::config("the path is not a glob").with_setting("path").with_source(error))?;
        for path in paths {
            let path = path.map_err(|error| {
                let path = error.path().to_owned();
                io_error("cannot list", &path, error.into()).with_setting("path")
            })?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let skipped = is_glob && name.starts_with(['.', '_']);
            if !skipped && path.is_file() {
                found = true;
                files.insert(path);
            }
            if files.len() > FILES_MAX {
                return Err(Error::config(format!("more than {FILES_MAX} files match")).with_setting("path"));
            }
        }
        if !found && !allow_empty {
            return Err(Error::config(format!("no file matches {pattern}")).with_setting("path").with_hint(
                "correct `path` (a relative one starts at the daemon's folder), or set `allow_empty: true`",
            ));
        }
    }
    Ok(files.into_iter().collect())
}

/// A file with its checked footer.
pub(super) struct ParquetFile {
    pub(super) identity: FileIdentity,
    pub(super) file: File,
    pub(super) metadata: ArrowReaderMetadata,
}

/// Opens a file and reads and checks its footer.
///
/// # Errors
/// `Data` when it is not a Parquet file that we are willing to read.
pub(super) fn open(path: &Path) -> Result<ParquetFile> {
    let failed = |error| io_error("cannot read", path, error).with_setting("path");
    let mut file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let bytes = about.len();
    let shortest = (2 * MAGIC.len() + 4) as u64;
    if !about.is_file() || bytes < shortest {
        return Err(unreadable(path, "it is too short to be a Parquet file"));
    }
    let mut tail = [0; 8];
    file.seek(SeekFrom::End(-8)).map_err(failed)?;
    file.read_exact(&mut tail).map_err(failed)?;
    if &tail[4..] == ENCRYPTED_MAGIC {
        return Err(unreadable(path, "its footer is encrypted, which is not supported"));
    }
    let footer_bytes = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
    if &tail[4..] != MAGIC || footer_bytes > bytes - shortest {
        return Err(unreadable(path, "it does not end like a Parquet file"));
    }
    if footer_bytes > FOOTER_BYTES_MAX {
        return Err(unreadable(path, "its footer is larger than 64 MiB"));
    }
    let mut footer = vec![0; footer_bytes as usize];
    file.seek(SeekFrom::End(-8 - footer_bytes as i64)).map_err(failed)?;
    file.read_exact(&mut footer).map_err(failed)?;
    let modified = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let identity = FileIdentity {
        path: path.to_string_lossy().into_owned(),
        bytes,
        modified_ns: modified.map_or(0, |since| since.as_nanos() as u64),
        footer_hash: xxhash_rust::xxh3::xxh3_64(&footer),
    };
    let metadata = guarded(path, || {
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
        metadata.map_err(|error| unreadable(path, "its footer cannot be read").with_source(error))
    })?;
    check(path, metadata.metadata(), bytes)?;
    Ok(ParquetFile { identity, file, metadata })
}

/// Refuses numbers that a reader would believe: sizes to allocate, ranges to read.
fn check(path: &Path, metadata: &ParquetMetaData, bytes: u64) -> Result<()> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    if metadata.num_row_groups() > ROW_GROUPS_MAX || columns > COLUMNS_MAX {
        return Err(unreadable(path, "it has too many row groups or columns"));
    }
    for group in metadata.row_groups() {
        if group.num_rows() < 0 {
            return Err(unreadable(path, "a row group has a negative number of rows"));
        }
        for chunk in group.columns() {
            let start = chunk.dictionary_page_offset().unwrap_or_else(|| chunk.data_page_offset());
            let inside = start >= 0
                && chunk.compressed_size() >= 0
                && (start as u64).checked_add(chunk.compressed_size() as u64).is_some_and(|end| end <= bytes);
            let sane = (0..=CHUNK_BYTES_MAX).contains(&chunk.uncompressed_size())
                && chunk.num_values() >= 0
                && (chunk.column_descr().max_rep_level() > 0 || chunk.num_values() == group.num_rows());
            if !inside || !sane {
                return Err(unreadable(path, "a column's place or size cannot be right"));
            }
        }
    }
    Ok(())
}

/// Runs a step of the Parquet reader on untrusted bytes: a panic there is a damaged file, not a fault of ours.
pub(super) fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|_| Err(unreadable(path, "its content makes no sense")))
}

/// A file that cannot be read.
pub(super) fn unreadable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Data, format!("cannot read {}: {why}", path.display()))
        .with_setting("path")
        .with_hint("restore the file, or leave it out of `path`")
}
