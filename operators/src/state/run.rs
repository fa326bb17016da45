//! A sorted file of keys and values that never changes: blocks, their index, a filter of keys, a tail that finds both.
//!
//! `block = (u32 key bytes · u32 value bytes or u32::MAX for "removed" · key · value)*`, little endian. Index and filter
//! are held in memory while the file is open; every block is checked when it is read.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A block is closed when it is as large as this.
const BLOCK_BYTES: usize = 4 << 10;
/// Bits of the filter per key: one key in a hundred is looked for in vain.
const FILTER_BITS: u64 = 10;
const FILTER_HASHES: u32 = 7;
/// The length of the value of a removed key.
const REMOVED: u32 = u32::MAX;

/// A key's value, or that it was removed.
pub(super) type Value = Option<Vec<u8>>;

/// What a checkpoint says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunName {
    /// Its number, which no other file of the store ever has.
    pub(super) id: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// The digest of its tail, which has the digests of all other parts.
    pub(super) digest: u64,
}

impl RunName {
    /// Where it lies.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        path(folder, self.id)
    }
}

/// Where the file of that number lies.
pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("run-{id:010}"))
}

#[derive(Debug, Serialize, Deserialize)]
struct Tail {
    blocks: Vec<Block>,
    filter_at: u64,
    filter_bytes: u64,
    filter_digest: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Block {
    at: u64,
    bytes: u64,
    digest: u64,
    /// Its first key, in hex.
    #[serde(with = "hex")]
    first: Vec<u8>,
}

/// A file that is open.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) name: RunName,
    path: PathBuf,
    file: File,
    blocks: Vec<Block>,
    filter: Filter,
}

impl Run {
    /// Opens a file that a checkpoint names.
    ///
    /// # Errors
    /// `State` when it is gone or damaged.
    pub(super) fn open(folder: &Path, name: RunName) -> Result<Arc<Self>> {
        let path = name.path(folder);
        let file = File::open(&path).map_err(|error| unreadable(&path).with_source(error))?;
        let length = file.metadata().map_err(|error| unreadable(&path).with_source(error))?.len();
        if length != name.bytes || length < 16 {
            return Err(unreadable(&path));
        }
        let words = read(&file, &path, length - 16, 16)?;
        let (bytes, digest) = (word(&words, 0), word(&words, 8));
        let begin = (length - 16).checked_sub(bytes).ok_or_else(|| unreadable(&path))?;
        let text = read(&file, &path, begin, bytes)?;
        if digest != name.digest || xxh3_64(&text) != digest {
            return Err(unreadable(&path));
        }
        let tail: Tail = serde_json::from_slice(&text).map_err(|error| unreadable(&path).with_source(error))?;
        let filter = read(&file, &path, tail.filter_at, tail.filter_bytes)?;
        if xxh3_64(&filter) != tail.filter_digest {
            return Err(unreadable(&path));
        }
        Ok(Arc::new(Self { name, path, file, blocks: tail.blocks, filter: Filter(filter) }))
    }

    /// What filters of keys know a key by.
    pub(super) fn hash(key: &[u8]) -> u128 {
        xxh3_128(key)
    }

    /// The value of a key with that hash; `None` when this file says nothing of it.
    pub(super) fn get(&self, key: &[u8], hash: u128) -> Result<Option<Value>> {
        if !self.filter.may_have(hash) {
            return Ok(None);
        }
        let Some(block) = self.block_of(key) else { return Ok(None) };
        let bytes = self.block(block)?;
        for (found, value) in Entries::new(&bytes) {
            match found.cmp(key) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(Some(value.map(<[u8]>::to_vec))),
                Ordering::Greater => break,
            }
        }
        Ok(None)
    }

    /// The block in which a key lies, if it lies in one.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.blocks.partition_point(|block| block.first.as_slice() <= key).checked_sub(1)
    }

    /// How many blocks there are.
    pub(super) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The bytes of a block.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) fn block(&self, index: usize) -> Result<Vec<u8>> {
        let Some(block) = self.blocks.get(index) else { return Err(Error::bug("a file of state has fewer blocks")) };
        let bytes = read(&self.file, &self.path, block.at, block.bytes)?;
        if xxh3_64(&bytes) == block.digest { Ok(bytes) } else { Err(unreadable(&self.path)) }
    }
}

/// The entries of a block, one after the other.
pub(super) struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_at_checked(8)?;
        let length = |at: usize| head[at..at + 4].try_into().map(u32::from_le_bytes).unwrap_or_default();
        let (key_bytes, value_bytes) = (length(0) as usize, length(4));
        let (key, rest) = rest.split_at_checked(key_bytes)?;
        if value_bytes == REMOVED {
            self.0 = rest;
            return Some((key, None));
        }
        let (value, rest) = rest.split_at_checked(value_bytes as usize)?;
        self.0 = rest;
        Some((key, Some(value)))
    }
}

/// Adds an entry to a block.
///
/// # Errors
/// `Data` for a value of 4 GiB or more.
pub(super) fn push(block: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) -> Result<()> {
    let too_large = || Error::new(ErrorKind::Data, "a value of an operator's state is 4 GiB or more");
    let length =
        |bytes: &[u8]| u32::try_from(bytes.len()).ok().filter(|length| *length != REMOVED).ok_or_else(too_large);
    block.extend(length(key)?.to_le_bytes());
    block.extend(value.map_or(Ok(REMOVED), length)?.to_le_bytes());
    block.extend_from_slice(key);
    block.extend_from_slice(value.unwrap_or_default());
    Ok(())
}

/// A file that is being written, in the order of the keys.
pub(super) struct Writer {
    id: u64,
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    block: Vec<u8>,
    first: Option<Vec<u8>>,
    blocks: Vec<Block>,
    hashes: Vec<u128>,
}

impl Writer {
    /// Begins a file.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be made.
    pub(super) fn new(folder: &Path, id: u64) -> Result<Self> {
        let path = path(folder, id);
        let file = File::create(&path).map_err(|error| unwritable(&path, error))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { id, path, file, at: 0, block: Vec::new(), first: None, blocks: Vec::new(), hashes: Vec::new() })
    }

    /// Adds the next key.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if self.first.is_none() {
            self.first = Some(key.to_vec());
        }
        push(&mut self.block, key, value)?;
        self.hashes.push(Run::hash(key));
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        let Some(first) = self.first.take() else { return Ok(()) };
        let (bytes, digest) = (self.block.len() as u64, xxh3_64(&self.block));
        self.blocks.push(Block { at: self.at, bytes, digest, first });
        let block = std::mem::take(&mut self.block);
        self.write(&block)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.at += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|error| unwritable(&self.path, error))
    }

    /// Ends the file; it is durable, folder included, when this returns. `None` when nothing was in it.
    pub(super) fn finish(mut self) -> Result<Option<RunName>> {
        self.end_block()?;
        if self.blocks.is_empty() {
            drop(self.file);
            std::fs::remove_file(&self.path).map_err(|error| unwritable(&self.path, error))?;
            return Ok(None);
        }
        let filter = Filter::of(&self.hashes);
        let tail = Tail {
            blocks: std::mem::take(&mut self.blocks),
            filter_at: self.at,
            filter_bytes: filter.0.len() as u64,
            filter_digest: xxh3_64(&filter.0),
        };
        self.write(&filter.0)?;
        let text =
            serde_json::to_vec(&tail).map_err(|error| Error::bug("an index cannot be written").with_source(error))?;
        let digest = xxh3_64(&text);
        self.write(&text)?;
        self.write(&(text.len() as u64).to_le_bytes())?;
        self.write(&digest.to_le_bytes())?;
        let file = self.file.into_inner().map_err(|error| unwritable(&self.path, error.into_error()))?;
        file.sync_all().map_err(|error| unwritable(&self.path, error))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let folder = File::open(folder).and_then(|folder| folder.sync_all());
        folder.map_err(|error| unwritable(&self.path, error))?;
        Ok(Some(RunName { id: self.id, bytes: self.at, digest }))
    }
}

/// Keys that may be in a file: a Bloom filter.
#[derive(Debug)]
struct Filter(Vec<u8>);

impl Filter {
    fn of(hashes: &[u128]) -> Self {
        let mut filter = Self(vec![0; (hashes.len() as u64 * FILTER_BITS).div_ceil(8).max(8) as usize]);
        for hash in hashes {
            for bit in filter.bits(*hash) {
                filter.0[(bit / 8) as usize] |= 1 << (bit % 8);
            }
        }
        filter
    }

    fn may_have(&self, hash: u128) -> bool {
        self.bits(hash).all(|bit| self.0[(bit / 8) as usize] & (1 << (bit % 8)) != 0)
    }

    fn bits(&self, hash: u128) -> impl Iterator<Item = u64> + use<> {
        let (one, other, bits) = (hash as u64, (hash >> 64) as u64 | 1, self.0.len() as u64 * 8);
        (0..u64::from(FILTER_HASHES)).map(move |i| one.wrapping_add(other.wrapping_mul(i)) % bits)
    }
}

fn read(file: &File, path: &Path, at: u64, bytes: u64) -> Result<Vec<u8>> {
    let mut buffer = vec![0; usize::try_from(bytes).map_err(|_| unreadable(path))?];
    file.read_exact_at(&mut buffer, at).map_err(|error| unreadable(path).with_source(error))?;
    Ok(buffer)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn unreadable(path: &Path) -> Error {
    Error::new(ErrorKind::State, format!("the operator's state in {} is gone or damaged", path.display()))
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}

pub(super) fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the operator's state cannot be written to {}", path.display()))
        .with_hint("is the disk full, or the folder read-only?")
        .with_source(error)
}

/// Bytes as hex text.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pair = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        (0..text.len()).step_by(2).map(|at| pair(at).ok_or_else(|| de::Error::custom("not hex"))).collect()
    }

    struct Hex<'a>(&'a [u8]);

    impl std::fmt::Display for Hex<'_> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        }
    }
}
