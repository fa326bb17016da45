//! Takes a capture out of a database again.

use std::path::Path;
use std::time::Duration;

use aqueduct_model::Result;
use rusqlite::TransactionBehavior;

use crate::sqlite::connection::{Access, failed, open, quote};

use super::log::Names;

/// How long a lock of the application is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Removes the triggers and tables of the change log `log` from the database `path`; returns how many were there.
///
/// Flows that read the log have lost their position afterwards. The application is not disturbed: it is one short
/// transaction.
///
/// # Errors
/// `Config` when there is no such database, `Auth` when it cannot be written, `Unavailable` when it stays locked.
pub fn remove_capture(path: &Path, log: &str) -> Result<usize> {
    let doing = "cannot remove the capture";
    let names = Names::new(log);
    let mut connection = open(path, Access::ReadWrite, BUSY_TIMEOUT)?;
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| failed(doing, e))?;
    let mut removed = 0;
    let triggers: Vec<String> = tx
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(|e| failed(doing, e))?;
    for trigger in triggers.iter().filter(|trigger| names.own(trigger)) {
        tx.execute_batch(&format!("DROP TRIGGER {}", quote(trigger))).map_err(|e| failed(doing, e))?;
        removed += 1;
    }
    for table in names.all() {
        let exists: bool = tx
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
                [&table],
                |row| row.get(0),
            )
            .map_err(|e| failed(doing, e))?;
        if exists {
            tx.execute_batch(&format!("DROP TABLE {}", quote(&table))).map_err(|e| failed(doing, e))?;
            removed += 1;
        }
    }
    tx.commit().map_err(|e| failed(doing, e))?;
    Ok(removed)
}
