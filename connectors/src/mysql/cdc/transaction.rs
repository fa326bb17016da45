//! The transaction that is being read, and XA transactions that wait for their end.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Error, ErrorKind, Result};

use super::mark::{Gtid, LogPlace, Prepared};
use super::tables::RowsSoFar;

/// Rows of XA transactions that are prepared and not yet committed are held in memory, up to so many bytes in all.
pub(super) const PREPARED_BYTES_MAX: usize = 256 << 20;

/// A transaction whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Where its first event is.
    pub start: LogPlace,
    pub gtid: Option<Gtid>,
    /// It ends with COMMIT, ROLLBACK or XID; otherwise with its only statement.
    pub is_begun: bool,
    /// It is an XA transaction, whose rows count when it is committed later.
    pub is_xa: bool,
    /// Rows of captured tables so far.
    pub rows: usize,
    /// Their bytes in the log.
    pub bytes: usize,
    /// A part was already handed out.
    pub is_split: bool,
    /// It lies before the place to read from.
    pub is_before: bool,
    /// Its rows are passed over: it lies before, and is no XA transaction that was open there.
    pub is_skipped: bool,
    /// What was collected before it.
    pub before: RowsSoFar,
    /// What was collected at each savepoint.
    pub savepoints: Vec<(String, RowsSoFar)>,
    /// Microseconds since 1970; 0 where the log does not say.
    pub committed_us: u64,
    /// The statement whose rows come is a REPLACE.
    pub replaces: bool,
}

/// An XA transaction that does not fit into memory.
pub(super) fn too_large(start: &LogPlace) -> Error {
    let text = format!("the XA transaction at {start} has more than {PREPARED_BYTES_MAX} bytes of rows");
    Error::new(ErrorKind::Data, text).with_hint("make such changes in transactions that are not XA, or in smaller ones")
}

impl Default for LogPlace {
    fn default() -> Self {
        Self::new("", 0)
    }
}

/// An XA transaction between its two phases.
struct Waiting {
    /// Where its rows are; `None` when it has none of captured tables.
    at: Option<LogPlace>,
    batches: Vec<Batch>,
    bytes: usize,
}

/// XA transactions that are prepared, by their identifiers.
#[derive(Default)]
pub(super) struct PreparedTransactions {
    waiting: BTreeMap<String, Waiting>,
    /// Named by the mark that was started from: their rows are still to be read again.
    expected: BTreeMap<String, Option<LogPlace>>,
    bytes: usize,
}

impl PreparedTransactions {
    /// Those that a mark names.
    pub fn of_mark(prepared: &[Prepared]) -> Self {
        let expected = prepared.iter().map(|prepared| (prepared.xid.clone(), prepared.at.clone())).collect();
        Self { expected, ..Self::default() }
    }

    /// True when rows that lie before the place to read from are wanted.
    pub fn expects(&self, at: &LogPlace) -> bool {
        self.expected.values().any(|place| place.as_ref() == Some(at))
    }

    /// Keeps a prepared transaction's rows.
    ///
    /// # Errors
    /// `Data` when prepared transactions hold more than fits into memory.
    pub fn prepare(&mut self, xid: String, at: LogPlace, batches: Vec<Batch>, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes > PREPARED_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::Data,
                format!(
                    "XA transactions that are prepared and not committed hold more than {PREPARED_BYTES_MAX} bytes"
                ),
            )
            .with_hint(
                "XA RECOVER lists them: XA COMMIT or XA ROLLBACK those that nobody ends, then start the flow again",
            ));
        }
        self.expected.remove(&xid);
        let at = (!batches.is_empty()).then_some(at);
        self.waiting.insert(xid, Waiting { at, batches, bytes });
        Ok(())
    }

    /// The rows of a transaction that is committed now.
    ///
    /// # Errors
    /// `LostPosition` when it was prepared before the first place that was read from.
    pub fn commit(&mut self, xid: &str) -> Result<Vec<Batch>> {
        if let Some(waiting) = self.waiting.remove(xid) {
            self.bytes -= waiting.bytes;
            return Ok(waiting.batches);
        }
        // One without captured rows is not read again.
        if let Some(None) = self.expected.remove(xid) {
            return Ok(Vec::new());
        }
        Err(Error::new(
            ErrorKind::LostPosition,
            "an XA transaction was committed that was prepared before the capture began, so that its rows were not read",
        )
        .with_setting("on_lost_position")
        .with_hint("set `on_lost_position: resnapshot` to empty the target tables and read everything again"))
    }

    /// Forgets a transaction that is rolled back now.
    pub fn roll_back(&mut self, xid: &str) {
        if let Some(waiting) = self.waiting.remove(xid) {
            self.bytes -= waiting.bytes;
        }
        self.expected.remove(xid);
    }

    /// What a mark has to name.
    pub fn to_mark(&self) -> Vec<Prepared> {
        let waiting = self.waiting.iter().map(|(xid, waiting)| Prepared { xid: xid.clone(), at: waiting.at.clone() });
        let expected = self.expected.iter().map(|(xid, at)| Prepared { xid: xid.clone(), at: at.clone() });
        waiting.chain(expected).collect()
    }
}
