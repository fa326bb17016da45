//! Reading a target back, for `verify` and `preview`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;

use crate::{Checksum, Cut, Relation, RelationName, Result, SinkContext};

/// A consistent view of a target.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The epoch that the view shows, where the target records it.
    pub cut: Option<Cut>,
    /// The tables that the flow writes, with the target's own column types; bookkeeping columns and tables left out.
    pub tables: Vec<Arc<Relation>>,
}

/// Reads back what a sink wrote, at one consistent moment.
#[async_trait]
pub trait Inspect: Send {
    /// Opens the view read-only; it does not change until the value is dropped.
    ///
    /// # Errors
    /// `Unavailable` when the running daemon must be paused first because the target allows one process only.
    async fn open(&mut self, context: &SinkContext) -> Result<View>;

    /// Starts reading the rows of one table.
    async fn start(&mut self, table: &RelationName) -> Result<()>;

    /// The next rows of the started table, in any order; `None` at its end.
    async fn next(&mut self) -> Result<Option<RecordBatch>>;

    /// True when the target can sum up a table of these columns by itself. May be asked before `open`.
    fn can_sum_up(&self, _table: &Relation) -> bool {
        false
    }

    /// The checksum of the view's table of that name, over the digests of these columns in this order: the same as any
    /// other system's where the rows are the same. `None` when the table has other columns, or keeps them in types that
    /// the digest cannot be made of.
    ///
    /// # Errors
    /// The system's refusals; `Data` for a row that it could not digest. The view is of no use any more.
    async fn checksum(&mut self, _table: &Relation) -> Result<Option<Checksum>> {
        Ok(None)
    }
}
