//! The buffered rows of one table, seen as one numbered sequence of images.

use std::sync::Arc;

use aqueduct_model::{Batch, Error, Op, RelationName, Result};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use super::Table;

/// One buffered batch, reduced to the columns that the table takes.
struct Part {
    batch: Batch,
    rows: RecordBatch,
    /// Per column of the table: where its values are present, if not everywhere.
    present: Vec<Option<BooleanArray>>,
    has_absent: bool,
    /// The number of its first row in the sequence.
    first: u32,
}

/// Buffered batches of one table in the order of the stream. Rows are numbered through all of them.
pub(super) struct Images {
    schema: SchemaRef,
    parts: Vec<Part>,
    len: u32,
}

impl Images {
    /// Reduces the batches to the table's columns.
    ///
    /// # Errors
    /// `Bug` when the batches do not have the table's columns.
    pub fn new(table: &Table, batches: Vec<Batch>) -> Result<Self> {
        let mut parts = Vec::with_capacity(batches.len());
        let mut len = 0u32;
        for batch in batches {
            let rows = batch
                .rows()
                .project(&table.taken)
                .and_then(|rows| RecordBatch::try_new(table.data_columns(), rows.columns().to_vec()))
                .map_err(|error| Error::bug(format!("cannot take the columns of {}", table.name)).with_source(error))?;
            let present: Vec<_> = table.taken.iter().map(|&column| batch.present(column).cloned()).collect();
            let count = u32::try_from(rows.num_rows()).map_err(|_| Error::bug("a batch of more than 2^32 rows"))?;
            let first = len;
            len = len.checked_add(count).ok_or_else(|| Error::bug("more than 2^32 rows in one group"))?;
            let has_absent = present.iter().any(Option::is_some);
            parts.push(Part { batch, rows, present, has_absent, first });
        }
        Ok(Self { schema: table.data_columns(), parts, len })
    }

    /// The number of rows.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The rows' columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// True when every row is an insert.
    pub fn append_only(&self) -> bool {
        self.parts.iter().all(|part| part.batch.is_append_only())
    }

    /// The rows as they came.
    pub fn batches(&self) -> Vec<RecordBatch> {
        self.parts.iter().map(|part| part.rows.clone()).collect()
    }

    /// The part and the row in it of row `n`.
    pub fn locate(&self, n: u32) -> (usize, usize) {
        let part = self.parts.partition_point(|part| part.first <= n) - 1;
        (part, (n - self.parts[part].first) as usize)
    }

    /// The original batch and row of row `n`.
    pub fn origin(&self, n: u32) -> (&Batch, usize) {
        let (part, row) = self.locate(n);
        (&self.parts[part].batch, row)
    }

    /// One column of all parts.
    pub fn column(&self, column: usize) -> Vec<&dyn Array> {
        self.parts.iter().map(|part| part.rows.column(column).as_ref()).collect()
    }

    /// Calls `each` with every row's number and op, in order.
    pub fn for_each(&self, mut each: impl FnMut(u32, Op) -> Result<()>) -> Result<()> {
        for part in &self.parts {
            for row in 0..part.rows.num_rows() {
                each(part.first + row as u32, part.batch.op(row))?;
            }
        }
        Ok(())
    }

    /// True when a row has all its values.
    pub fn complete(&self, n: u32) -> bool {
        let (part, row) = self.locate(n);
        let part = &self.parts[part];
        !part.has_absent || part.present.iter().flatten().all(|mask| mask.value(row))
    }

    /// True when no row lacks a value.
    pub fn all_complete(&self) -> bool {
        self.parts.iter().all(|part| !part.has_absent)
    }

    /// True when a row has a value (or NULL) in a column.
    pub fn present(&self, n: u32, column: usize) -> bool {
        let (part, row) = self.locate(n);
        self.parts[part].present[column].as_ref().is_none_or(|mask| mask.value(row))
    }

    /// Why a row that lacks a value cannot be written: names the table, the column and what to set at the source.
    pub fn not_sent(&self, n: u32, why: &str) -> String {
        let columns = 0..self.schema.fields().len();
        let column = columns.into_iter().find(|&column| !self.present(n, column)).unwrap_or_default();
        self.column_not_sent(n, column, why)
    }

    /// As [`Images::not_sent`], of an update whose old row is not known.
    pub fn old_not_sent(&self, n: u32) -> String {
        let table = self.origin(n).0.relation().name();
        format!("the old row was not sent whole, and {table} has no key: {}", whole_rows(table))
    }

    /// As [`Images::not_sent`], of one column.
    pub fn column_not_sent(&self, n: u32, column: usize, why: &str) -> String {
        let (batch, _) = self.origin(n);
        let (column, table) = (self.schema.field(column).name(), batch.relation().name());
        format!("column {column} of {table} was not sent, and {why}: {}", whole_rows(table))
    }

    /// Why a row's key cannot be used, if it cannot.
    pub fn bad_key(&self, n: u32, key: &[usize]) -> Option<String> {
        let (part, row) = self.locate(n);
        let part = &self.parts[part];
        key.iter().find_map(|&column| {
            let why = if part.present[column].as_ref().is_some_and(|mask| !mask.value(row)) {
                "was not sent"
            } else if part.rows.column(column).is_null(row) {
                "is NULL"
            } else {
                return None;
            };
            Some(format!("key column {} {why}", self.schema.field(column).name()))
        })
    }

    /// True when every key of every row can be used.
    pub fn all_keys_good(&self, key: &[usize]) -> bool {
        self.parts.iter().all(|part| {
            key.iter().all(|&column| part.present[column].is_none() && part.rows.column(column).null_count() == 0)
        })
    }

    /// The given columns of every row as comparable bytes.
    pub fn comparable(&self, columns: &[usize]) -> Result<Rows> {
        let failed = |error| Error::bug("cannot compare keys").with_source(error);
        let fields =
            columns.iter().map(|&column| SortField::new(self.schema.field(column).data_type().clone())).collect();
        let converter = RowConverter::new(fields).map_err(failed)?;
        let mut rows = converter.empty_rows(self.len as usize, self.len as usize * 8 * columns.len());
        for part in &self.parts {
            let arrays: Vec<ArrayRef> = columns.iter().map(|&column| Arc::clone(part.rows.column(column))).collect();
            converter.append(&mut rows, &arrays).map_err(failed)?;
        }
        Ok(rows)
    }

    /// Takes rows by number, for some of the columns.
    pub fn take(&self, columns: &[usize], rows: &[u32]) -> Result<RecordBatch> {
        let indices: Vec<_> = rows.iter().map(|&n| self.locate(n)).collect();
        let arrays = columns
            .iter()
            .map(|&column| arrow::compute::interleave(&self.column(column), &indices))
            .collect::<Result<Vec<_>, _>>();
        let schema = self.schema.project(columns);
        arrays
            .and_then(|arrays| RecordBatch::try_new(Arc::new(schema?), arrays))
            .map_err(|error| Error::bug("cannot take rows").with_source(error))
    }
}

/// What to set at the source.
fn whole_rows(table: &RelationName) -> String {
    format!(
        "have whole rows sent (PostgreSQL: ALTER TABLE {table} REPLICA IDENTITY FULL; MySQL, MariaDB: SET GLOBAL \
         binlog_row_image = FULL)"
    )
}
