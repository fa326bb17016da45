//! What one database system must know so that its changes can be captured; [`super::Capture`] does the rest.
//!
//! A [`System`] reads its log into whole groups of transactions, reads ranges of a table with the place in the log that
//! they show, and tells one place in the log from another. It knows nothing of epochs, checkpoints, snapshot order,
//! replay or policies.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{
    BadRow, BadRows, Batch, Checksum, Error, ErrorKind, Relation, RelationName, Result, SchemaChange,
};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A place in a log, always *next to read*: everything before it was handed out or is to be skipped.
///
/// It carries what identifies the log's owner where the system has such a thing (server uuid, system identifier and
/// timeline, slot), so that [`System::start`] can tell a restored backup from the server that was left.
pub(crate) trait Mark: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static> Mark for T {}

/// What a chunk shows of one transaction of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The chunk was read after the transaction.
    Yes,
    /// The chunk was read before the transaction.
    No,
    /// It cannot be told: if the transaction touches the chunk's rows, the chunk is read again.
    Unknown,
}

/// One table that is there to be captured.
#[derive(Debug, Clone)]
pub(crate) struct TableInfo {
    /// Name, columns and key, as the log's rows will have them.
    pub relation: Arc<Relation>,
    /// About how many rows it has, for progress; 0 when unknown.
    pub rows_estimate: u64,
    /// True when [`super::order`] may compare keys of this table; false when only the database knows their order
    /// (text under a collation), so that [`TableReader::is_at_most`] is asked.
    pub native_key_order: bool,
}

/// The key of one row: one row of the key columns, in key order.
pub(crate) type Key = RecordBatch;

/// Rows of a table whose keys are above `after` and at most `up_to`; `None` is the table's edge.
#[derive(Debug, Clone)]
pub(crate) struct KeyRange {
    pub after: Option<Key>,
    pub up_to: Option<Key>,
}

/// Takes the rows of a chunk batch by batch as they are read, and waits while the disk is behind: a chunk never has to
/// fit into memory. A `Vec<RecordBatch>` is one, for tests.
#[async_trait]
pub(crate) trait RowSink: Send {
    /// Rows with exactly the columns of the relation that was asked for; some thousand at a time.
    async fn take(&mut self, rows: RecordBatch) -> Result<()>;

    /// A row that cannot be decoded: it becomes a bad row of the task when the chunk is handed out.
    fn reject(&mut self, row: BadRow) -> Result<()>;
}

#[async_trait]
impl RowSink for Vec<RecordBatch> {
    async fn take(&mut self, rows: RecordBatch) -> Result<()> {
        self.push(rows);
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        Err(Error::new(ErrorKind::Data, row.reasons.join("; ")))
    }
}

/// At which moment a range was read.
#[derive(Debug, Clone)]
pub(crate) struct Seen<M, S> {
    /// What the rows show of the log: given to [`System::shown`].
    pub sight: S,
    /// No transaction at or behind this place is shown. Once the stream is here, nothing can be
    /// [`Shown::Yes`] or [`Shown::Unknown`] any more.
    pub high: M,
}

/// The checksum of a chunk, and when it was made.
pub(crate) type Summed<M, S> = (Seen<M, S>, Checksum);

/// How much [`System::next`] may collect.
#[derive(Debug, Clone)]
pub(crate) struct LogBudget<M> {
    /// About this many rows in all.
    pub max_rows: usize,
    /// About this many bytes in all.
    pub max_bytes: usize,
    /// Return [`LogItem::Quiet`] after this long without anything.
    pub max_wait: Duration,
    /// Collect one transaction only: some table is being snapshotted, or a replay ends near.
    pub single: bool,
    /// Begin no transaction that lies at or behind this mark (keep it for later); where the next one would be such, or
    /// the log is known to have come this far, return [`LogItem::Quiet`] with exactly this mark.
    pub until: Option<M>,
}

/// One step in the log.
#[derive(Debug)]
pub(crate) enum LogItem<M, X> {
    /// Rows of captured tables in log order: several whole transactions, or a part of one that is too large.
    ///
    /// With `LogBudget::single` of at most one transaction. A batch per run of rows of one relation; rows of different
    /// transactions may share a batch. Empty for transactions that touch no captured table.
    Rows {
        batches: Vec<Batch>,
        /// Tells the transaction to [`System::shown`]; of the last one where there are several.
        transaction: X,
        /// Where the log goes on, when every transaction begun so far is whole; `None` inside one.
        boundary: Option<M>,
    },
    /// A captured table (or one that becomes so by its name) changed its shape, or the like. Nothing of the rows before
    /// it is pending. Rows behind it come in the new shape, whose version is one higher; a table that this creates, or
    /// renames to a name that is wanted, is captured from here on without [`System::add_table`].
    ///
    /// A new column whose existing rows now hold something else than NULL carries the metadata [`BACKFILLED`].
    Schema {
        change: SchemaChange,
        /// As for rows: some systems have DDL inside transactions.
        boundary: Option<M>,
    },
    /// The rows of one table cannot be decoded from here on; the system goes on without that table until
    /// [`System::add_table`] names it again. For what concerns one table only; all else is an error.
    Failed {
        table: RelationName,
        error: Error,
        /// As for rows.
        boundary: Option<M>,
    },
    /// Nothing came, or only what concerns no captured table; the log is read up to here. Never inside a transaction.
    Quiet(M),
}

/// Field metadata of a column that [`LogItem::Schema`] adds: set (to anything) when the rows that were there before got
/// a value that is not NULL. The table's rows are then read again as updates.
pub(crate) const BACKFILLED: &str = "source.backfilled";

/// Field metadata that tells a table from one that was made later under its name: a captured table whose columns say
/// something else than before is emptied at the target and read anew. Systems whose log tells of it leave it out.
pub(crate) const TABLE_ID: &str = "source.table";

/// Whether a description is of another table of that name.
pub(crate) fn is_remade(before: &Relation, now: &Relation) -> bool {
    let id = |relation: &Relation| relation.columns().fields().first()?.metadata().get(TABLE_ID).cloned();
    id(before).zip(id(now)).is_some_and(|(before, now)| before != now)
}

/// See the module. Calls come one at a time; a value that failed is dropped, and a new one is opened.
#[async_trait]
pub(crate) trait System: Send + 'static {
    /// A place in the log.
    type Mark: Mark;
    /// What a chunk remembers of the moment it was read at; written to disk with the chunk.
    type Sight: Mark;
    /// What [`System::shown`] has to know of a transaction.
    type Transaction: Clone + Debug + Send + Sync + 'static;
    /// Reads tables.
    type Reader: TableReader<Mark = Self::Mark, Sight = Self::Sight>;

    /// Connects, checks rights and settings, makes what the capture needs at the server (slot, publication).
    ///
    /// # Errors
    /// `Auth`, `Config`: everything that is missing, at once, each with its literal statement. `Unavailable`.
    async fn connect(&mut self) -> Result<()>;

    /// The captured tables that exist now: those that match the settings' patterns, ordered by name.
    async fn tables(&mut self) -> Result<Vec<TableInfo>>;

    /// The end of the log now: whatever is committed from here on comes at or behind it.
    async fn end_of_log(&mut self) -> Result<Self::Mark>;

    /// Begins to stream at `from`, with these tables' shapes at that place; from now on `tables` names what is
    /// captured (by the relation's name), and rows of other tables are not decoded. Called again, it ends the stream
    /// before and begins anew, perhaps further back.
    ///
    /// # Errors
    /// `LostPosition` when the log no longer begins at or before `from`, or is another server's.
    async fn start(&mut self, from: &Self::Mark, tables: &[Arc<Relation>]) -> Result<()>;

    /// Captures one more table from here on.
    async fn add_table(&mut self, relation: Arc<Relation>) -> Result<()>;

    /// Reads on. Bad rows go to `bad`; an event that is not understood is an error.
    async fn next(
        &mut self,
        budget: &LogBudget<Self::Mark>,
        bad: &mut BadRows,
    ) -> Result<LogItem<Self::Mark, Self::Transaction>>;

    /// True when a stream that stands at `stream` has handed out everything before `mark`.
    fn reached(&self, stream: &Self::Mark, mark: &Self::Mark) -> bool;

    /// What rows read with `sight` show of a transaction.
    fn shown(&self, sight: &Self::Sight, transaction: &Self::Transaction) -> Shown;

    /// A reader of tables with a connection of its own; several work at once beside the stream.
    async fn reader(&mut self) -> Result<Self::Reader>;

    /// Everything before `mark` is durable at every target: the server may forget it.
    async fn durable(&mut self, mark: &Self::Mark) -> Result<()>;

    /// Ends the stream and the connections.
    async fn close(&mut self) -> Result<()>;
}

/// Reads ranges of tables, on a connection of its own, while the stream goes on.
#[async_trait]
pub(crate) trait TableReader: Send + 'static {
    /// A place in the log.
    type Mark: Mark;
    /// What a chunk remembers of the moment it was read at.
    type Sight: Mark;

    /// The last key of the next `rows` rows behind `after`; `None` when there are not that many (the last chunk).
    async fn next_edge(&mut self, table: &Relation, after: Option<&Key>, rows: usize) -> Result<Option<Key>>;

    /// Reads the rows of a range into `rows`, ordered or not. With a table without a key the range is the whole table.
    ///
    /// Everything that the stream has handed out so far (`streamed`) is shown.
    ///
    /// # Errors
    /// `Schema` when the table is gone or no longer has these columns: the stream is then first read up to that change.
    async fn read_chunk(
        &mut self,
        table: &Relation,
        range: &KeyRange,
        streamed: &Self::Mark,
        rows: &mut dyn RowSink,
    ) -> Result<Seen<Self::Mark, Self::Sight>>;

    /// As [`TableReader::read_chunk`], but the rows are summed up by the server (see `row_checksum`) and stay there.
    /// `None` when it cannot do so with this table.
    async fn sum_chunk(
        &mut self,
        _table: &Relation,
        _range: &KeyRange,
        _streamed: &Self::Mark,
    ) -> Result<Option<Summed<Self::Mark, Self::Sight>>> {
        Ok(None)
    }

    /// For each row of `keys`: is it at most `edge`, in the database's own order? Asked for few rows at a time.
    async fn is_at_most(&mut self, table: &Relation, keys: &RecordBatch, edge: &Key) -> Result<Vec<bool>>;
}

/// Which tables a capture is asked for.
pub(crate) fn is_wanted(patterns: &[String], name: &RelationName) -> bool {
    patterns.iter().any(|pattern| name.matches(pattern))
}
