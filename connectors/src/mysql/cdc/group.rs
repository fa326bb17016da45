//! Transactions that are handed out together.

use aqueduct_model::{BadRows, Batch, Result};

use super::mark::{MysqlMark, TransactionId};
use super::tables::Tables;
use crate::cdc::capture::LogItem;

/// What has been collected since the last item was handed out.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Rows in the tables' builders, and in `ready`.
    pub rows: usize,
    /// Bytes of the log that they took.
    pub bytes: usize,
    /// Batches that were made before the builders' rows.
    pub ready: Vec<Batch>,
    /// The last transaction that ended, or began.
    pub last: Option<TransactionId>,
    /// When the last transaction was committed: milliseconds since 1970.
    pub committed_at_ms: i64,
}

impl Group {
    /// True when there is something to hand out.
    pub fn is_worth_it(&self) -> bool {
        self.last.is_some()
    }

    /// Hands everything out.
    ///
    /// # Errors
    /// As [`Tables::finish`].
    pub fn take(
        &mut self,
        tables: &mut Tables,
        bad: &mut BadRows,
        boundary: Option<MysqlMark>,
    ) -> Result<Option<LogItem<MysqlMark, TransactionId>>> {
        let group = std::mem::take(self);
        let Some(transaction) = group.last else { return Ok(None) };
        let mut batches = group.ready;
        batches.extend(tables.finish(bad, group.committed_at_ms)?);
        Ok(Some(LogItem::Rows { batches, transaction, boundary }))
    }
}
