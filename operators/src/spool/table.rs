//! The kept rows of one table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_model::{Relation, Result};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::reader::View;
use super::segment::{SEGMENT_BYTES, SegmentName, Writer};

/// Rows of small batches are put together until there are this many.
const BATCH_ROWS: usize = 8_192;
/// What is in files only is written in blocks of about this size. Tests have small ones.
const BLOCK_BYTES: usize = if cfg!(test) { 2 << 10 } else { 1 << 20 };

/// The kept rows of one table that came by one input.
#[derive(Debug)]
pub(crate) struct Table {
    pub(super) port: usize,
    pub(super) relation: Arc<Relation>,
    /// The files, the oldest first; rows are written to the last one.
    pub(super) ended: Vec<SegmentName>,
    pub(super) last: Option<Writer>,
    /// Rows in memory: all of them while `is_resident`, otherwise those that no file has yet.
    held: Vec<RecordBatch>,
    /// How many of `held` are in files too.
    written: usize,
    /// Rows of small batches, behind `held`.
    small: Vec<RecordBatch>,
    small_rows: usize,
    held_bytes: usize,
    is_resident: bool,
    rows: u64,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(port: usize, relation: Arc<Relation>) -> Self {
        Self {
            port,
            relation,
            ended: Vec::new(),
            last: None,
            held: Vec::new(),
            written: 0,
            small: Vec::new(),
            small_rows: 0,
            held_bytes: 0,
            is_resident: true,
            rows: 0,
        }
    }

    /// A table of which a checkpoint has the files and the rows of none.
    pub(super) fn restored(
        port: usize,
        relation: Arc<Relation>,
        folder: Option<&Path>,
        mut segments: Vec<SegmentName>,
        held: Vec<RecordBatch>,
    ) -> Result<Self> {
        let mut table = Self::new(port, relation);
        table.rows = segments.iter().map(|segment| segment.rows).sum();
        table.is_resident = segments.is_empty();
        if let (Some(name), Some(folder)) = (segments.pop(), folder) {
            table.last = Some(Writer::reopen(folder, name)?);
        }
        table.ended = segments;
        held.into_iter().for_each(|rows| table.push(rows));
        Ok(table)
    }

    /// Which input the rows came by.
    pub(crate) fn port(&self) -> usize {
        self.port
    }

    /// The table: its name, the columns that are kept, its key as far as it is kept.
    pub(crate) fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// How many rows there are.
    pub(crate) fn num_rows(&self) -> u64 {
        self.rows
    }

    /// The bytes that the rows take, in memory or in files.
    pub(super) fn num_bytes(&self) -> u64 {
        let files = self.ended.iter().chain(self.last.iter().map(|last| &last.name));
        if self.is_resident {
            self.held_bytes as u64
        } else {
            files.map(|name| name.bytes).sum::<u64>() + self.held_bytes as u64
        }
    }

    /// The bytes in memory.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// True when it is time to write what no file has.
    pub(super) fn wants_files(&self) -> bool {
        !self.is_resident && self.held_bytes >= BLOCK_BYTES
    }

    /// Adds rows, in memory.
    pub(super) fn push(&mut self, rows: RecordBatch) {
        self.rows += rows.num_rows() as u64;
        self.held_bytes += bytes_of(&rows);
        if rows.num_rows() >= BATCH_ROWS / 2 && self.small.is_empty() {
            self.held.push(rows);
            return;
        }
        self.small_rows += rows.num_rows();
        self.small.push(rows);
        if self.small_rows >= BATCH_ROWS {
            self.gather();
        }
    }

    /// Makes one batch of the small ones.
    fn gather(&mut self) {
        self.small_rows = 0;
        let small = std::mem::take(&mut self.small);
        match concat_batches(self.relation.columns(), &small) {
            Ok(one) => {
                self.held_bytes -= small.iter().map(bytes_of).sum::<usize>();
                self.held_bytes += bytes_of(&one);
                self.held.push(one);
            }
            // Too large for one batch, such as texts of over 2 GiB: they stay as they are.
            Err(_) => self.held.extend(small),
        }
    }

    /// Writes what no file has.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    pub(super) fn write(&mut self, folder: &Path, next_id: &mut u64) -> Result<()> {
        if !self.small.is_empty() {
            self.gather();
        }
        let unwritten = self.held.get(self.written..).unwrap_or_default();
        let mut from = 0;
        while from < unwritten.len() {
            let mut until = from;
            let mut bytes = 0;
            while until < unwritten.len() && bytes < BLOCK_BYTES {
                bytes += bytes_of(&unwritten[until]);
                until += 1;
            }
            let last = match self.last.take_if(|last| last.name.bytes < SEGMENT_BYTES) {
                Some(last) => self.last.insert(last),
                None => {
                    if let Some(mut full) = self.last.take() {
                        full.make_durable()?;
                        self.ended.push(full.name);
                    }
                    *next_id += 1;
                    self.last.insert(Writer::create(folder, *next_id - 1)?)
                }
            };
            last.write(&unwritten[from..until])?;
            from = until;
        }
        self.written = self.held.len();
        if !self.is_resident {
            self.forget();
        }
        Ok(())
    }

    /// Writes what no file has, and keeps no rows in memory from now on.
    ///
    /// # Errors
    /// As [`Table::write`].
    pub(super) fn leave_memory(&mut self, folder: &Path, next_id: &mut u64) -> Result<()> {
        self.write(folder, next_id)?;
        self.is_resident = false;
        self.forget();
        Ok(())
    }

    fn forget(&mut self) {
        self.held.clear();
        (self.written, self.held_bytes) = (0, 0);
    }

    /// Removes all rows; files go when no checkpoint names them.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.port, self.relation.clone());
    }

    /// The files as they are now.
    pub(super) fn segments(&self) -> Vec<SegmentName> {
        self.ended.iter().chain(self.last.iter().map(|last| &last.name)).cloned().collect()
    }

    pub(super) fn ids(&self) -> BTreeSet<u64> {
        self.segments().into_iter().map(|segment| segment.id).collect()
    }

    /// The rows that no file has.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = &RecordBatch> {
        self.held[self.written..].iter().chain(&self.small)
    }

    /// The rows as they are now.
    pub(super) fn view(&self, folder: Option<&Path>) -> View {
        View {
            columns: self.relation.columns().clone(),
            folder: folder.map_or_else(PathBuf::new, Into::into),
            segments: if self.is_resident { Vec::new() } else { self.segments() },
            held: self.held.iter().chain(&self.small).cloned().collect(),
            rows: self.rows,
            bytes: self.num_bytes(),
        }
    }
}

fn bytes_of(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}
