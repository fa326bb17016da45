//! What a system must know so that rows of its tables can be looked up.

use std::sync::Arc;

use aqueduct_model::{Error, Relation, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;

/// Which rows are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The columns that are wanted; those of the key are the first.
    pub relation: Arc<Relation>,
    /// How many columns the key has.
    pub key_columns: usize,
}

/// Asks one table or query, by a session of its own.
#[async_trait]
pub(crate) trait LookupTable: Send {
    /// Connects, and says which columns there are. Asked again after an error, it connects anew.
    ///
    /// # Errors
    /// `Config` with its setting when there is no such table; `Auth`; those of the connection.
    async fn open(&mut self) -> Result<Arc<Relation>>;

    /// Prepares what will be asked.
    ///
    /// # Errors
    /// `Config` when rows cannot be found by a column.
    async fn prepare(&mut self, question: &Question) -> Result<()>;

    /// The rows whose keys are among `keys`, in no order: one row or more per key, and maybe rows of other keys that the
    /// system takes for equal. The keys have no NULL, and are all different.
    ///
    /// # Errors
    /// Those of the connection.
    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>>;

    /// Ends the session. Harmless when there is none.
    async fn close(&mut self);
}

/// Checks that either a table or a query is given.
///
/// # Errors
/// `Config` with the setting.
pub(crate) fn one_of(has_table: bool, has_query: bool) -> Result<()> {
    match (has_table, has_query) {
        (true, true) => Err(Error::config("`table` and `query` exclude each other").with_setting("query")),
        (false, false) => Err(Error::config("nothing to ask: set `table` or `query`").with_setting("table")),
        _ => Ok(()),
    }
}
