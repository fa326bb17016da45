//! Forgets changes that every reader of the log has made durable.

use std::time::{Duration, Instant};

use aqueduct_model::{Result, SourceContext};
use rusqlite::{Connection, TransactionBehavior};

use crate::sqlite::connection::failed;

use super::log::{self, Names};

/// Rows deleted in one write transaction: a few milliseconds, so that the application hardly waits.
const SLICE_ROWS: i64 = 10_000;
/// How long one call goes on deleting slices.
const CALL_MAX: Duration = Duration::from_millis(200);

/// Notes that `reader` needs nothing up to `durable_seq` any more, and deletes what nobody needs.
///
/// # Errors
/// `Unavailable` when the database is busy; the caller tries again later.
pub(super) fn acknowledge(
    writer: &mut Connection,
    names: &Names,
    reader: &SourceContext,
    durable_seq: i64,
) -> Result<()> {
    let started = Instant::now();
    loop {
        let more = slice(writer, names, reader, durable_seq).map_err(|e| failed("cannot prune the change log", e))?;
        if !more || started.elapsed() > CALL_MAX {
            return Ok(());
        }
    }
}

fn slice(writer: &mut Connection, names: &Names, reader: &SourceContext, durable_seq: i64) -> rusqlite::Result<bool> {
    let tx = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    log::register(&tx, names, reader, durable_seq)?;
    let oldest = format!("SELECT min(durable_seq) FROM {}", names.consumers());
    let needless: i64 = tx.query_row(&oldest, [], |row| row.get(0))?;
    let ends = format!("SELECT (SELECT min(seq) FROM {0}), (SELECT max(seq) FROM {0})", names.changes());
    let ends: (Option<i64>, Option<i64>) = tx.query_row(&ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut more = false;
    if let (Some(first), Some(newest)) = ends {
        // The newest row stays: the next change is numbered from it.
        let needless = needless.min(newest - 1);
        let last = needless.min(first + SLICE_ROWS - 1);
        if last < first {
            return tx.commit().map(|()| false);
        }
        tx.execute(&format!("DELETE FROM {} WHERE seq <= ?1", names.changes()), [last])?;
        tx.execute(&format!("UPDATE {} SET pruned_to = max(pruned_to, ?1)", names.meta()), [last])?;
        more = last < needless;
    }
    tx.commit()?;
    Ok(more)
}
