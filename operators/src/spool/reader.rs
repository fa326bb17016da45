//! Reading kept rows.

use std::collections::VecDeque;
use std::path::PathBuf;

use aqueduct_model::Result;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;

use super::segment::{Blocks, SegmentName};

/// The rows of a table at one moment, to be read any number of times.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(super) columns: SchemaRef,
    pub(super) folder: PathBuf,
    pub(super) segments: Vec<SegmentName>,
    /// Those that come behind the files.
    pub(super) held: Vec<RecordBatch>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl View {
    /// No rows.
    pub(crate) fn empty(columns: SchemaRef) -> Self {
        Self { columns, folder: PathBuf::new(), segments: Vec::new(), held: Vec::new(), rows: 0, bytes: 0 }
    }

    /// The columns of the rows.
    pub(crate) fn columns(&self) -> &SchemaRef {
        &self.columns
    }

    /// How many rows there are.
    pub(crate) fn num_rows(&self) -> u64 {
        self.rows
    }

    /// The bytes that the rows take, in memory or in files.
    pub(crate) fn num_bytes(&self) -> u64 {
        self.bytes
    }

    /// The rows in the order in which they came.
    pub(crate) fn read(&self) -> Rows {
        Rows {
            columns: self.columns.clone(),
            folder: self.folder.clone(),
            segments: self.segments.clone().into(),
            blocks: None,
            held: self.held.clone().into(),
        }
    }
}

/// Kept rows, batch by batch.
pub(crate) struct Rows {
    columns: SchemaRef,
    folder: PathBuf,
    segments: VecDeque<SegmentName>,
    blocks: Option<Blocks>,
    held: VecDeque<RecordBatch>,
}

impl Rows {
    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                match blocks.next()?.as_deref() {
                    Some([one]) => return Ok(Some(one.clone())),
                    // Parts of one block share its memory, and each would be counted as all of it.
                    Some(several) => {
                        let one = concat_batches(&self.columns, several);
                        return one.map(Some).map_err(|error| blocks.unreadable().with_source(error));
                    }
                    None => self.blocks = None,
                }
                continue;
            }
            match self.segments.pop_front() {
                Some(name) => self.blocks = Some(Blocks::open(&self.folder, name)?),
                None => return Ok(self.held.pop_front()),
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
