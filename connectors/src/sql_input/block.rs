//! Some rows of a result.

use std::sync::Arc;

use aqueduct_model::{BadRow, Error, ErrorKind, Relation, Result};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};

/// How large a block may become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadLimits {
    /// At most this many rows.
    pub rows: usize,
    /// About this many bytes.
    pub bytes: usize,
}

/// Some rows of a result.
#[derive(Debug)]
pub(crate) struct Block {
    /// The rows, with the relation's columns. Empty when all were refused.
    pub rows: RecordBatch,
    /// Rows that do not fit the relation's columns.
    pub refused: Vec<BadRow>,
    /// The last row that was read, refused or not; cells that did not fit are NULL.
    pub last: RecordBatch,
    /// How many rows were read, refused or not.
    pub read: usize,
}

impl Block {
    /// Checks that no row was refused.
    ///
    /// # Errors
    /// `Data`, with the first row's reasons.
    pub(crate) fn complete(&self, relation: &Relation) -> Result<()> {
        let Some(bad) = self.refused.first() else { return Ok(()) };
        let text = format!("a row of {} cannot be read: {}", relation.name(), bad.reasons.join("; "));
        Err(Error::new(ErrorKind::Data, text))
    }
}

/// Makes blocks of columns in which refused rows have a place, too.
#[derive(Debug)]
pub(crate) struct BlockRows {
    relation: Arc<Relation>,
    /// The relation's columns, but all nullable.
    lenient: SchemaRef,
    refused: Vec<BadRow>,
    /// By row; shorter than the block when the rows at its end are all kept.
    is_kept: Vec<bool>,
    read: usize,
    bytes: usize,
}

impl BlockRows {
    /// For rows of a relation.
    pub(crate) fn new(relation: Arc<Relation>) -> Self {
        let columns = relation.columns();
        let lenient: Vec<Field> =
            columns.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let lenient = Arc::new(Schema::new_with_metadata(lenient, columns.metadata().clone()));
        Self { relation, lenient, refused: Vec::new(), is_kept: Vec::new(), read: 0, bytes: 0 }
    }

    /// Whether another row may be added.
    pub(crate) fn has_room(&self, limits: ReadLimits) -> bool {
        self.read < limits.rows.max(1) && (self.bytes < limits.bytes || self.read == 0)
    }

    /// How many rows the block has, refused or not.
    pub(crate) fn read(&self) -> usize {
        self.read
    }

    /// Counts a row that was appended to the columns; with reasons, it is left out of the block.
    pub(crate) fn count(&mut self, bytes: usize, refused: Option<BadRow>) {
        if let Some(bad) = refused {
            self.is_kept.resize(self.read, true);
            self.is_kept.push(false);
            self.refused.push(bad);
        }
        self.read += 1;
        self.bytes += bytes;
    }

    /// Ends the block; `None` when no row was counted.
    ///
    /// # Errors
    /// `Bug` when the columns do not fit.
    pub(crate) fn finish(&mut self, columns: Vec<ArrayRef>) -> Result<Option<Block>> {
        let read = std::mem::take(&mut self.read);
        self.bytes = 0;
        if read == 0 {
            return Ok(None);
        }
        let bug = |error| Error::bug(format!("a block of {} cannot be made", self.relation.name())).with_source(error);
        let all = RecordBatch::try_new(self.lenient.clone(), columns).map_err(bug)?;
        let last = all.slice(read - 1, 1);
        let kept = if self.refused.is_empty() {
            all
        } else {
            self.is_kept.resize(read, true);
            filter_record_batch(&all, &BooleanArray::from(std::mem::take(&mut self.is_kept))).map_err(bug)?
        };
        let (_, columns, _) = kept.into_parts();
        let rows = RecordBatch::try_new(self.relation.columns().clone(), columns).map_err(bug)?;
        Ok(Some(Block { rows, refused: std::mem::take(&mut self.refused), last, read }))
    }
}
