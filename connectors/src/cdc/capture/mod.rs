//! Snapshot and stream for systems with a log that is read from a place: MySQL, MariaDB, PostgreSQL.
//!
//! **Exact chunks.** A table is read in ranges of its key. Each range is one consistent read that knows what it shows of
//! the log (`Sight`). While a table is being read, the stream's rows of it are judged one by one: in a range that is
//! finished, they are handed out; in a range not yet read, they are dropped, for the chunk will show them; in the range
//! that is being read, they are dropped when the chunk shows their transaction, and the chunk is read again when that
//! cannot be told. Once the stream reaches the chunk's high mark the chunk is handed out, as inserts. So every row comes
//! once, as an insert, and every later change of it exactly once: no lock, no duplicates, no row that overwrites a newer
//! one.
//!
//! **Exact replay.** A chunk cannot be read a second time as it was. So it is written to a spool beside the checkpoint,
//! and synced, before its first row is handed out; a replayed epoch takes it from there.

//!
//! **The position** is the place in the log, how far each table has come, and how far the journal was handed out. The
//! journal holds what the log does not say: chunks, which tables joined or left, what a person approved.
//!
//! **Names that come again.** A target may keep the rows of a table that was dropped or is no longer asked for. So when a
//! table of the name is captured again, made anew or renamed into it, the target's rows go first, and its own are read;
//! policies that never take anything away have them come as updates instead.

mod ahead;
mod approval;
mod chunks;
mod ddl;
mod disk;
mod fold;
mod found;
mod hand_out;
mod journal;
mod left;
mod live;
mod open;
mod order;
mod parted;
mod past;
mod position;
mod progress;
mod readers;
mod replay;
mod scan;
mod settings;
mod shapes;
mod source;
mod sums;
mod system;
mod table;
mod work;

#[cfg(test)]
mod tests;

pub use approval::{WaitingTable, approve, parked};
pub(crate) use scan::CaptureScan;
pub(crate) use settings::CaptureSettings;
pub(crate) use source::Capture;
pub(crate) use system::{
    BACKFILLED, Key, KeyRange, LogBudget, LogItem, Mark, RowSink, Seen, Shown, Summed, System, TABLE_ID, TableInfo,
    TableReader, is_remade, is_wanted,
};
