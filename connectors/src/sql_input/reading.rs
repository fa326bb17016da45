//! What a database system must know so that its tables and queries can be read.

use std::sync::Arc;

use aqueduct_model::{Relation, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;

use super::block::{Block, ReadLimits};

/// What is there to be read.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    /// Name, columns and key of the rows.
    pub relation: Arc<Relation>,
    /// The columns that order the reading and tell rows apart; empty when there are none.
    pub key: Vec<usize>,
}

/// Which side of an edge rows lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Behind it.
    Above,
    /// On it or behind it.
    From,
    /// Before it or on it.
    UpTo,
}

/// Which rows are read, in the order of `order`, and at most how many.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// Columns that order the rows; empty for no order.
    pub order: Vec<usize>,
    /// Each is one row with values of the first columns of `order`, as many as it has columns.
    pub bounds: Vec<(Side, RecordBatch)>,
    /// Rows whose columns of these numbers have the values of one of these rows. None of them is NULL.
    pub among: Option<(Vec<usize>, RecordBatch)>,
    /// A column of which rows with NULL are left out.
    pub not_null: Option<usize>,
    /// At most this many rows; without it all.
    pub rows: Option<usize>,
}

/// Reads one table or query, by a session of its own.
#[async_trait]
pub(crate) trait Reader: Send + 'static {
    /// Connects, and looks at what is to be read.
    ///
    /// # Errors
    /// `Config` with its setting when there is no such table or column; `Auth`; those of the connection.
    async fn open(&mut self) -> Result<Described>;

    /// Only these columns are wanted from now on. Nothing to do where [`Reader::start`] selects by name.
    ///
    /// # Errors
    /// Those of the connection.
    async fn narrow(&mut self, _relation: &Relation) -> Result<()> {
        Ok(())
    }

    /// Begins to read a span; what is left of the one before is not wanted.
    async fn start(&mut self, described: &Described, span: &Span) -> Result<()>;

    /// The next rows of the span; `None` at its end.
    async fn next(&mut self, limits: ReadLimits) -> Result<Option<Block>>;

    /// Ends the session. Harmless when there is none.
    async fn close(&mut self);
}
