//! A file of rows, block behind block: `block = u64 length · u64 digest · u64 rows · u64 chain · Arrow IPC stream`, little
//! endian. `chain` is a digest over all blocks up to this one, so that a block that is missing or stale is found.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::Schema;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// A file is ended when it is as large as this. Tests have small ones.
pub(super) const SEGMENT_BYTES: u64 = if cfg!(test) { 8 << 10 } else { 256 << 20 };
const HEAD_BYTES: usize = 32;

/// What is known of a file: its number, how far it counts, and a digest of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentName {
    /// Its number, which no other file of the spool ever has.
    pub(super) id: u64,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) chain: u64,
}

/// Where the file of that number lies.
pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("rows-{id:010}"))
}

/// A file at whose end rows are written.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) name: SegmentName,
    path: PathBuf,
    file: File,
    is_durable: bool,
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made.
    pub(super) fn create(folder: &Path, id: u64) -> Result<Self> {
        let path = path(folder, id);
        let file = File::create(&path).map_err(|error| unwritable(&path, error))?;
        Ok(Self { name: SegmentName { id, bytes: 0, rows: 0, chain: 0 }, path, file, is_durable: false })
    }

    /// Goes on behind what a checkpoint names; what lies further behind is cut off.
    ///
    /// # Errors
    /// `State` when the file is gone or too short.
    pub(super) fn reopen(folder: &Path, name: SegmentName) -> Result<Self> {
        let path = path(folder, name.id);
        let opened = OpenOptions::new().write(true).open(&path);
        let file = opened.map_err(|error| unreadable(&path).with_source(error))?;
        let length = file.metadata().map_err(|error| unreadable(&path).with_source(error))?.len();
        if length < name.bytes {
            return Err(unreadable(&path));
        }
        file.set_len(name.bytes).map_err(|error| unwritable(&path, error))?;
        Ok(Self { name, path, file, is_durable: true })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    pub(super) fn write(&mut self, batches: &[RecordBatch]) -> Result<()> {
        let Some(first) = batches.first() else { return Ok(()) };
        let mut block = vec![0; HEAD_BYTES];
        encode(&first.schema(), batches, &mut block)?;
        let (head, payload) = block.split_at_mut(HEAD_BYTES);
        let length = payload.len() as u64;
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let digest = xxh3_64(payload);
        let chain = chained(self.name.chain, length, digest, rows);
        for (place, word) in head.chunks_exact_mut(8).zip([length, digest, rows, chain]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        // At a place of its own: what a failed write left behind the counted end is written over.
        self.file.write_all_at(&block, self.name.bytes).map_err(|error| unwritable(&self.path, error))?;
        self.is_durable = false;
        self.name = SegmentName {
            id: self.name.id,
            bytes: self.name.bytes + block.len() as u64,
            rows: self.name.rows + rows,
            chain,
        };
        Ok(())
    }

    /// Waits until all that was written is on the disk; says whether anything had to be.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be.
    pub(super) fn make_durable(&mut self) -> Result<bool> {
        if self.is_durable {
            return Ok(false);
        }
        self.file.sync_all().map_err(|error| unwritable(&self.path, error))?;
        self.is_durable = true;
        Ok(true)
    }
}

/// A file that is read from its beginning.
pub(super) struct Blocks {
    name: SegmentName,
    path: PathBuf,
    file: File,
    at: u64,
    rows: u64,
    chain: u64,
}

impl Blocks {
    /// Opens what is named.
    ///
    /// # Errors
    /// `State` when it is gone.
    pub(super) fn open(folder: &Path, name: SegmentName) -> Result<Self> {
        let path = path(folder, name.id);
        let file = File::open(&path).map_err(|error| unreadable(&path).with_source(error))?;
        Ok(Self { name, path, file, at: 0, rows: 0, chain: 0 })
    }

    /// That this file cannot be read.
    pub(super) fn unreadable(&self) -> Error {
        unreadable(&self.path)
    }

    /// The rows of the next block; `None` at the end.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn next(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        let left = self.name.bytes - self.at;
        if left == 0 {
            let whole = self.chain == self.name.chain && self.rows == self.name.rows;
            return if whole { Ok(None) } else { Err(unreadable(&self.path)) };
        }
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.at).map_err(|error| unreadable(&self.path).with_source(error))?;
        let word = |i: usize| head[i * 8..(i + 1) * 8].try_into().map(u64::from_le_bytes).unwrap_or_default();
        let (length, digest, rows, chain) = (word(0), word(1), word(2), word(3));
        let begin = self.at + HEAD_BYTES as u64;
        if length > left.saturating_sub(HEAD_BYTES as u64) || chained(self.chain, length, digest, rows) != chain {
            return Err(unreadable(&self.path));
        }
        // A buffer that is aligned: the arrays are then parts of it, not copies.
        let mut payload = MutableBuffer::from_len_zeroed(length as usize);
        let read = self.file.read_exact_at(payload.as_slice_mut(), begin);
        read.map_err(|error| unreadable(&self.path).with_source(error))?;
        if xxh3_64(payload.as_slice()) != digest {
            return Err(unreadable(&self.path));
        }
        (self.at, self.rows, self.chain) = (begin + length, self.rows + rows, chain);
        decode(payload.into()).map(Some).map_err(|error| unreadable(&self.path).with_source(error))
    }
}

fn chained(before: u64, length: u64, digest: u64, rows: u64) -> u64 {
    let mut bytes = [0; HEAD_BYTES];
    for (place, word) in bytes.chunks_exact_mut(8).zip([before, length, digest, rows]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    xxh3_64(&bytes)
}

/// Rows with the names and types of their columns, put behind `bytes`.
pub(super) fn encode(columns: &Schema, batches: &[RecordBatch], bytes: &mut Vec<u8>) -> Result<()> {
    let failed = |error| Error::bug("rows cannot be written").with_source(error);
    let mut writer = StreamWriter::try_new(bytes, columns).map_err(failed)?;
    for batch in batches {
        writer.write(batch).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: Buffer) -> Result<Vec<RecordBatch>, arrow::error::ArrowError> {
    let (mut decoder, mut bytes, mut batches) = (StreamDecoder::new(), bytes, Vec::new());
    while !bytes.is_empty() {
        batches.extend(decoder.decode(&mut bytes)?);
    }
    decoder.finish()?;
    Ok(batches)
}

pub(super) fn unreadable(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("the rows that were kept in {} are gone or damaged", path.display()))
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}

pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("rows cannot be kept in {}", path.display()))
        .with_hint("is the disk full, or the folder read-only?")
        .with_source(error)
}
