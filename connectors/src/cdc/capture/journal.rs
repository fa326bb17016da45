//! The journal: what came into the stream that the log does not say.
//!
//! A chunk cannot be read a second time as it was, and which tables there are, which of them a person approved, which
//! could not be read is not in the log either. So each of these is an entry, numbered and with the place of the log at
//! which it came; an entry is durable before its first row is handed out. With it the log is read again to exactly the
//! same rows.
//!
//! A file: the frames (a batch each, as an Arrow stream), then the entry itself as JSON with each frame's place and
//! digest, then the length and the digest of that JSON.

use std::sync::Arc;

use aqueduct_model::{BadRow, Batch, Error, ErrorKind, Op, Ops, Relation, RelationName, Result};
use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, UInt8Type};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::Mark;
use super::disk::Disk;
use super::position::{SavedKey, ShapeId};

/// Files of entries begin with this.
const PREFIX: &str = "entry-";
/// Files that are being written begin with this.
const DRAFT: &str = "draft-";
/// The length and the digest at the end of a file, eight bytes each.
const TAIL_BYTES: u64 = 16;
/// Bad rows that one chunk may have.
const BAD_ROWS_MAX: usize = 100_000;

/// One thing that happened beside the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "", deserialize = ""))]
pub(super) struct Entry<M: Mark> {
    /// Its number.
    pub(super) number: u64,
    /// Where the log stood.
    pub(super) at: M,
    /// What happened.
    pub(super) what: What<M>,
    /// The rows of a chunk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) frames: Vec<Frame>,
    /// The rows of a chunk that could not be decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) bad: Vec<BadRow>,
}

/// What happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, bound(serialize = "", deserialize = ""))]
pub(super) enum What<M: Mark> {
    /// Tables are captured from here on.
    Begin {
        /// Which.
        tables: Vec<Begun>,
        /// Their rows are read; otherwise only their changes are.
        snapshot: bool,
    },
    /// Tables are read anew: what the target holds of them is emptied first.
    Reset {
        /// Where the log is read from; `None`: it goes on where it is.
        log: Option<M>,
        /// Which, as they are now.
        tables: Vec<Begun>,
    },
    /// Tables are read again, as updates.
    Again(Vec<RelationName>),
    /// Tables are no longer wanted.
    Remove(Vec<RelationName>),
    /// Tables are gone from the database.
    Dropped(Vec<RelationName>),
    /// Rows of one table.
    Chunk {
        /// Which table.
        table: RelationName,
        /// Which of its rows.
        range: Range,
        /// The last frame holds keys whose rows are left out: the stream gave them already, and newer.
        covered: bool,
    },
    /// A table cannot be read.
    Fail {
        /// Which table.
        table: RelationName,
        /// Why.
        error: String,
    },
    /// A person approved the schema change that a table waits for.
    Approve(RelationName),
}

/// The rows of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    /// Those behind this key, `None` from the beginning on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<SavedKey>,
    /// Those up to this key, `None` to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) up_to: Option<SavedKey>,
    /// Their columns.
    pub(super) shape: ShapeId,
    /// The target has rows of the table already; see `Phase::Snapshot`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) again: bool,
}

/// A table that is captured from here on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    /// Its name.
    pub(super) name: RelationName,
    /// Its columns.
    pub(super) shape: ShapeId,
    /// See `TableState::native_order`.
    pub(super) native_order: bool,
    /// What the target holds under its name.
    #[serde(default, skip_serializing_if = "Before::is_nothing")]
    pub(super) before: Before,
}

/// What the target holds under the name of a table that joins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Before {
    /// Nothing of this capture's.
    #[default]
    Nothing,
    /// Rows of a table that left; they go.
    Old,
    /// Rows of a table that left; they stay, and the new ones come as updates.
    Kept,
}

impl Before {
    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// One batch of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Frame {
    at: u64,
    bytes: u64,
    digest: u64,
    /// How many rows it has.
    pub(super) rows: usize,
    /// A column of ops follows the table's own.
    ops: bool,
    /// A column of presence follows for each of these.
    present: Vec<usize>,
    ingested_at_ms: i64,
}

/// Rows on the way into an entry.
#[derive(Debug)]
pub(super) struct Draft {
    file: String,
    length: u64,
    frames: Vec<Frame>,
    /// Rows that could not be decoded.
    bad: Vec<BadRow>,
}

impl Draft {
    /// The bytes written so far.
    pub(super) fn bytes(&self) -> u64 {
        self.length
    }

    /// The rows written so far.
    pub(super) fn rows(&self) -> usize {
        self.frames.iter().map(|frame| frame.rows).sum()
    }

    /// The `index`th batch.
    pub(super) fn frame(&self, index: usize) -> Option<&Frame> {
        self.frames.get(index)
    }

    /// Keeps a row that could not be decoded.
    ///
    /// # Errors
    /// `Data` when there are too many.
    pub(super) fn reject(&mut self, row: BadRow) -> Result<()> {
        if self.bad.len() >= BAD_ROWS_MAX {
            return Err(Error::new(ErrorKind::Data, format!("more than {BAD_ROWS_MAX} rows of one chunk are bad")));
        }
        self.bad.push(row);
        Ok(())
    }
}

/// The entries on disk.
#[derive(Clone)]
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
}

impl Journal {
    /// The journal on that disk.
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// Begins to write rows; `name` tells this draft from others of this run.
    pub(super) async fn draft(&self, name: u64) -> Result<Draft> {
        let file = format!("{DRAFT}{name}");
        self.disk.remove(&file).await?;
        Ok(Draft { file, length: 0, frames: Vec::new(), bad: Vec::new() })
    }

    /// Adds rows to a draft.
    pub(super) async fn append(&self, draft: &mut Draft, batch: &Batch) -> Result<()> {
        let (rows, ops, present) = widened(batch)?;
        let bytes = encode(&rows)?;
        draft.frames.push(Frame {
            at: draft.length,
            bytes: bytes.len() as u64,
            digest: xxh3_64(&bytes),
            rows: rows.num_rows(),
            ops,
            present,
            ingested_at_ms: batch.ingested_at_ms(),
        });
        draft.length += bytes.len() as u64;
        self.disk.append(&draft.file, bytes).await
    }

    /// Throws a draft away.
    pub(super) async fn discard(&self, draft: Draft) -> Result<()> {
        self.disk.remove(&draft.file).await
    }

    /// Makes an entry durable.
    pub(super) async fn seal<M: Mark>(
        &self,
        draft: Option<Draft>,
        number: u64,
        at: M,
        what: What<M>,
    ) -> Result<Entry<M>> {
        let draft = match draft {
            Some(draft) => draft,
            None => self.draft(u64::MAX).await?,
        };
        let entry = Entry { number, at, what, frames: draft.frames, bad: draft.bad };
        let mut tail = serde_json::to_vec(&entry)
            .map_err(|error| Error::bug("an entry of the journal cannot be written").with_source(error))?;
        let (length, digest) = (tail.len() as u64, xxh3_64(&tail));
        tail.extend(length.to_le_bytes());
        tail.extend(digest.to_le_bytes());
        self.disk.append(&draft.file, tail).await?;
        fail::fail_point!("snap.spool_before");
        self.disk.publish(&draft.file, &name(number)).await?;
        fail::fail_point!("snap.spool_after");
        Ok(entry)
    }

    /// Reads an entry; `None` when it is not there.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) async fn load<M: Mark>(&self, number: u64) -> Result<Option<Entry<M>>> {
        let file = name(number);
        let Some(length) = self.disk.length(&file).await? else { return Ok(None) };
        let tail = self.read(&file, length.saturating_sub(TAIL_BYTES), TAIL_BYTES, number).await?;
        let (words, digest) = (word(&tail, 0), word(&tail, 8));
        let begin = length.checked_sub(TAIL_BYTES).and_then(|end| end.checked_sub(words));
        let text = self.read(&file, begin.ok_or_else(|| damaged(number))?, words, number).await?;
        if xxh3_64(&text) != digest {
            return Err(damaged(number));
        }
        let entry: Entry<M> = serde_json::from_slice(&text).map_err(|error| damaged(number).with_source(error))?;
        if entry.number == number { Ok(Some(entry)) } else { Err(damaged(number)) }
    }

    /// The rows of a frame.
    ///
    /// # Errors
    /// `State` when it is damaged.
    pub(super) async fn batch(&self, number: u64, frame: &Frame, relation: &Arc<Relation>) -> Result<Batch> {
        narrowed(self.rows(number, frame).await?, number, frame, relation)
    }

    /// The rows of a frame of a draft.
    pub(super) async fn draft_batch(&self, draft: &Draft, frame: &Frame, relation: &Arc<Relation>) -> Result<Batch> {
        narrowed(self.rows_of(&draft.file, 0, frame).await?, 0, frame, relation)
    }

    /// The bare columns of a frame.
    pub(super) async fn rows(&self, number: u64, frame: &Frame) -> Result<RecordBatch> {
        self.rows_of(&name(number), number, frame).await
    }

    async fn rows_of(&self, file: &str, number: u64, frame: &Frame) -> Result<RecordBatch> {
        let bytes = self.read(file, frame.at, frame.bytes, number).await?;
        if xxh3_64(&bytes) != frame.digest {
            return Err(damaged(number));
        }
        let broken = |error| damaged(number).with_source(error);
        let mut reader = StreamReader::try_new(bytes.as_slice(), None).map_err(broken)?;
        reader.next().ok_or_else(|| damaged(number))?.map_err(broken)
    }

    async fn read(&self, file: &str, at: u64, bytes: u64, number: u64) -> Result<Vec<u8>> {
        let read = self.disk.read(file, at, bytes as usize).await?.unwrap_or_default();
        if read.len() as u64 == bytes { Ok(read) } else { Err(damaged(number)) }
    }

    /// Removes all drafts.
    pub(super) async fn forget_drafts(&self) -> Result<()> {
        self.remove_if(|file| file.starts_with(DRAFT)).await
    }

    /// Removes the entries from that number on.
    pub(super) async fn forget_from(&self, number: u64) -> Result<()> {
        self.remove_if(|file| number_of(file).is_some_and(|other| other >= number)).await
    }

    /// Removes the entries before that number.
    pub(super) async fn prune(&self, number: u64) -> Result<()> {
        self.remove_if(|file| number_of(file).is_some_and(|other| other < number)).await
    }

    async fn remove_if(&self, condition: impl Fn(&str) -> bool) -> Result<()> {
        for file in self.disk.list().await? {
            if condition(&file) {
                self.disk.remove(&file).await?;
            }
        }
        Ok(())
    }
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:010}")
}

fn number_of(file: &str) -> Option<u64> {
    file.strip_prefix(PREFIX)?.parse().ok()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn damaged(number: u64) -> Error {
    Error::new(ErrorKind::State, format!("entry {number} of the capture's journal is damaged"))
        .with_hint("restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}

/// A frame's columns as the batch that they were.
fn narrowed(rows: RecordBatch, number: u64, frame: &Frame, relation: &Arc<Relation>) -> Result<Batch> {
    let width = relation.columns().fields().len();
    if rows.num_columns() != width + usize::from(frame.ops) + frame.present.len() {
        return Err(damaged(number));
    }
    let own = RecordBatch::try_new(relation.columns().clone(), rows.columns()[..width].to_vec())
        .map_err(|error| damaged(number).with_source(error))?;
    let mut batch = match frame.ops {
        true => Batch::changes(relation.clone(), own, rows.column(width).as_primitive::<UInt8Type>().clone())?,
        false => Batch::inserts(relation.clone(), own)?,
    };
    for (extra, &column) in rows.columns()[width + usize::from(frame.ops)..].iter().zip(&frame.present) {
        batch = batch.with_present(column, extra.as_boolean().clone())?;
    }
    Ok(batch.with_ingested_at_ms(frame.ingested_at_ms))
}

/// The rows with the ops and presence of each as further columns.
fn widened(batch: &Batch) -> Result<(RecordBatch, bool, Vec<usize>)> {
    let mut fields: Vec<Arc<Field>> = batch.rows().schema().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = batch.rows().columns().to_vec();
    let ops = match batch.ops() {
        Ops::AllInsert => false,
        Ops::PerRow(ops) => {
            fields.push(Arc::new(Field::new("ops", DataType::UInt8, false)));
            columns.push(Arc::new(ops.clone()));
            true
        }
    };
    let mut present = Vec::new();
    for column in 0..batch.rows().num_columns() {
        if let Some(mask) = batch.present(column) {
            fields.push(Arc::new(Field::new(format!("present {column}"), DataType::Boolean, true)));
            columns.push(Arc::new(mask.clone()));
            present.push(column);
        }
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| Error::bug("a batch cannot be kept").with_source(error))?;
    Ok((rows, ops, present))
}

fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::with_capacity(rows.get_array_memory_size()), &rows.schema())?;
        writer.write(rows)?;
        writer.into_inner()
    };
    write().map_err(|error| Error::bug("a batch cannot be kept").with_source(error))
}

/// Rows of a chunk as updates of rows that are there already.
pub(super) fn as_updates(batch: &Batch) -> Result<Batch> {
    let ops = vec![Op::UpdateAfter as u8; batch.num_rows()];
    let updates = Batch::changes(batch.relation().clone(), batch.rows().clone(), ops.into())?;
    Ok(updates.with_ingested_at_ms(batch.ingested_at_ms()))
}
