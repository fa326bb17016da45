//! What the shared sink needs of a database: run SQL, look rows up, load changes.

use aqueduct_model::{Error, ErrorKind, Result};
use arrow::array::RecordBatch;

use super::{Changes, Dialect, Table};

/// A value of bookkeeping SQL. Rows never pass through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// NULL.
    Null,
    /// An integer; booleans are 0 and 1.
    Int(i64),
    /// A text.
    Text(String),
}

impl Value {
    /// The integer.
    ///
    /// # Errors
    /// `State` when it is something else: the bookkeeping tables were changed by someone else.
    pub fn int(&self) -> Result<i64> {
        match self {
            Self::Int(value) => Ok(*value),
            _ => Err(Error::new(ErrorKind::State, "a bookkeeping table holds something else than a number")),
        }
    }

    /// The text.
    ///
    /// # Errors
    /// As [`Value::int`].
    pub fn text(&self) -> Result<&str> {
        match self {
            Self::Text(value) => Ok(value),
            _ => Err(Error::new(ErrorKind::State, "a bookkeeping table holds something else than a text")),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

/// A row that the target refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its number among the rows of [`Changes::rows`], counted through all batches.
    pub row: usize,
    /// Why, free of cell values.
    pub reason: String,
}

/// One connection to a target. Methods block.
pub(crate) trait Database: Send {
    /// Its SQL.
    fn dialect(&self) -> Dialect;

    /// Runs one statement; returns the number of rows that it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize>;

    /// Runs one DDL statement in a session of its own, while a transaction of this one is open. Only for targets whose
    /// DDL ends transactions.
    ///
    /// # Errors
    /// `Unavailable` when the open transaction itself is in its way.
    fn execute_beside(&mut self, _sql: &str) -> Result<()> {
        Err(Error::bug("DDL of this target belongs into the transaction"))
    }

    /// Runs a statement that changes a table's columns, inside the open transaction.
    fn alter(&mut self, _table: &str, sql: &str) -> Result<()> {
        self.execute(sql, &[]).map(drop)
    }

    /// Is told that a statement to come changes or deletes rows of a table, other than by [`Database::apply`].
    fn changes_rows(&mut self, _table: &str) {}

    /// Runs one query of few rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>>;

    /// Finds rows by key. `keys` has the key columns in key order; the result has all columns of the table, in its
    /// types, and for each found row the number of its key.
    fn lookup(&mut self, table: &Table, keys: &RecordBatch) -> Result<(RecordBatch, Vec<usize>)>;

    /// Applies changes inside the open transaction: deletes first, then rows. Rows that a constraint forbids are
    /// returned and leave the target as it was.
    fn apply(&mut self, table: &Table, changes: &Changes) -> Result<Vec<Refused>>;
}
