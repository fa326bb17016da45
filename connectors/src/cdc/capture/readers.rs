//! The readers of tables at work beside the stream: one finds the edges of the chunks ahead, others read chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aqueduct_model::{BadRow, Batch, Error, ErrorKind, Relation, RelationName, Result};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::journal::{Draft, Journal};
use super::{Key, KeyRange, RowSink, Seen, System, TableReader};

/// A chunk should take about this long: shorter ones cost round trips, longer ones hold the stream's rows back.
const CHUNK_TIME: Duration = Duration::from_millis(500);
/// A chunk should not be larger than this.
const CHUNK_BYTES: u64 = 64 << 20;
/// The fewest rows that a chunk is made smaller to.
const CHUNK_ROWS_MIN: usize = 500;
/// Edges that are found ahead of the chunks that are read.
const EDGES_AHEAD: usize = 4;

/// When the rows of a chunk were read, and where they are.
pub(super) type Read<S> = (Seen<<S as System>::Mark, <S as System>::Sight>, Draft);

/// What a reader has done.
pub(super) struct Done<S: System> {
    /// The chunk's number.
    pub(super) chunk: u64,
    /// The reader, unless its connection is no longer to be trusted.
    pub(super) reader: Option<S::Reader>,
    /// When the rows were read, and where they are.
    pub(super) result: Result<Read<S>>,
}

/// The readers.
pub(super) struct Readers<S: System> {
    idle: Vec<S::Reader>,
    tasks: JoinSet<Done<S>>,
    /// Gives its reader back, unless that is no longer to be trusted.
    planner: JoinSet<Option<S::Reader>>,
    /// How many rows the next chunk should have.
    rows: Arc<AtomicUsize>,
    rows_max: usize,
    /// The share of time for which a reader may work.
    load: f64,
}

/// Where the chunks of the table that is being read end.
pub(super) struct Edges {
    /// The table.
    pub(super) table: RelationName,
    /// The last edge so far.
    pub(super) after: Option<Key>,
    found: mpsc::Receiver<Result<Option<Key>>>,
}

impl Edges {
    /// The next edge, if it is found already.
    pub(super) fn next(&mut self) -> Option<Result<Option<Key>>> {
        match self.found.try_recv() {
            Ok(edge) => Some(edge),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => {
                Some(Err(Error::new(ErrorKind::Unavailable, "the search for the edges of chunks ended")))
            }
        }
    }
}

impl<S: System> Readers<S> {
    /// Readers that open connections when they are needed.
    pub(super) fn new(rows_max: usize, load: f64) -> Self {
        let rows = Arc::new(AtomicUsize::new(rows_max));
        Self { idle: Vec::new(), tasks: JoinSet::new(), planner: JoinSet::new(), rows, rows_max, load }
    }

    /// How many chunks are being read.
    pub(super) fn working(&self) -> usize {
        self.tasks.len()
    }

    async fn reader(&mut self, system: &mut S) -> Result<S::Reader> {
        self.take_back();
        match self.idle.pop() {
            Some(reader) => Ok(reader),
            None => system.reader().await,
        }
    }

    /// The readers that have found all edges: many small tables are read with few connections.
    fn take_back(&mut self) {
        while let Some(ended) = self.planner.try_join_next() {
            self.idle.extend(ended.ok().flatten());
        }
    }

    /// Begins to look for the edges of a table's chunks. The search before is given up.
    pub(super) async fn plan(&mut self, system: &mut S, relation: Arc<Relation>, after: Option<Key>) -> Result<Edges> {
        self.take_back();
        self.planner.abort_all();
        let (sender, found) = mpsc::channel(EDGES_AHEAD);
        let edges = Edges { table: relation.name().clone(), after: after.clone(), found };
        if relation.key().is_empty() {
            // One chunk: there is nothing to look for.
            sender.try_send(Ok(None)).map_err(|_| Error::bug("a new channel is full"))?;
            return Ok(edges);
        }
        let reader = self.reader(system).await?;
        self.planner.spawn(find_edges(reader, relation, after, self.rows.clone(), sender));
        Ok(edges)
    }

    /// Begins to read a chunk.
    pub(super) async fn read(&mut self, system: &mut S, job: Job<S>) -> Result<()> {
        let reader = self.reader(system).await?;
        let (rows, rows_max, load) = (self.rows.clone(), self.rows_max, self.load);
        self.tasks.spawn(async move {
            let begun = Instant::now();
            let done = job.run(reader).await;
            let busy = begun.elapsed();
            if let Ok((_, draft)) = &done.result {
                adapt(&rows, rows_max, busy, draft.bytes());
            }
            let pause = busy.mul_f64((1.0 / load - 1.0).max(0.0));
            if load < 1.0 && !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            done
        });
        Ok(())
    }

    /// A chunk that is done, if there is one.
    ///
    /// # Errors
    /// `Bug` when a reader panicked.
    pub(super) fn done(&mut self) -> Result<Option<Done<S>>> {
        self.take_back();
        match self.tasks.try_join_next() {
            None => Ok(None),
            Some(Ok(mut done)) => {
                self.idle.extend(done.reader.take());
                Ok(Some(done))
            }
            Some(Err(error)) => Err(Error::bug("a reader of chunks did not end by itself").with_source(error)),
        }
    }

    /// Nothing is being read any more: connections that stand idle are closed.
    pub(super) fn rest(&mut self) {
        self.take_back();
        if self.tasks.is_empty() && self.planner.is_empty() {
            self.idle.clear();
        }
    }

    /// Makes chunks smaller: one of that size had to be read again.
    pub(super) fn smaller(&self) {
        let rows = self.rows.load(Ordering::Relaxed);
        self.rows.store((rows / 2).max(CHUNK_ROWS_MIN.min(self.rows_max)), Ordering::Relaxed);
    }
}

fn adapt(rows: &AtomicUsize, rows_max: usize, busy: Duration, bytes: u64) {
    let now = rows.load(Ordering::Relaxed);
    if busy > CHUNK_TIME * 2 || bytes > CHUNK_BYTES {
        rows.store((now / 2).max(CHUNK_ROWS_MIN.min(rows_max)), Ordering::Relaxed);
    } else if busy < CHUNK_TIME / 2 && bytes < CHUNK_BYTES / 4 {
        rows.store((now * 2).min(rows_max), Ordering::Relaxed);
    }
}

async fn find_edges<R: TableReader>(
    mut reader: R,
    relation: Arc<Relation>,
    mut after: Option<Key>,
    rows: Arc<AtomicUsize>,
    sender: mpsc::Sender<Result<Option<Key>>>,
) -> Option<R> {
    loop {
        let found = reader.next_edge(&relation, after.as_ref(), rows.load(Ordering::Relaxed)).await;
        let (goes_on, failed) = (matches!(&found, Ok(Some(_))), found.is_err());
        if let Ok(edge) = &found {
            after = edge.clone();
        }
        if sender.send(found).await.is_err() || !goes_on {
            return (!failed).then_some(reader);
        }
    }
}

/// One chunk to read.
pub(super) struct Job<S: System> {
    /// Its number.
    pub(super) chunk: u64,
    /// The table as the log has it now.
    pub(super) relation: Arc<Relation>,
    /// Which rows.
    pub(super) range: KeyRange,
    /// What the stream has handed out.
    pub(super) streamed: S::Mark,
    /// Wait first: this is another attempt.
    pub(super) delay: Duration,
    /// Where the rows go.
    pub(super) journal: Journal,
}

impl<S: System> Job<S> {
    pub(super) async fn run(self, mut reader: S::Reader) -> Done<S> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let chunk = self.chunk;
        match self.read(&mut reader).await {
            Ok(read) => Done { chunk, reader: Some(reader), result: Ok(read) },
            Err(error) => Done { chunk, reader: None, result: Err(error) },
        }
    }

    async fn read(self, reader: &mut S::Reader) -> Result<Read<S>> {
        let draft = self.journal.draft(self.chunk).await?;
        let mut rows = Writing { relation: self.relation.clone(), journal: self.journal, draft };
        match reader.read_chunk(&self.relation, &self.range, &self.streamed, &mut rows).await {
            Ok(seen) => Ok((seen, rows.draft)),
            Err(error) => {
                rows.journal.discard(rows.draft).await?;
                Err(error)
            }
        }
    }
}

/// Writes the rows of a chunk to disk as they are read.
struct Writing {
    relation: Arc<Relation>,
    journal: Journal,
    draft: Draft,
}

#[async_trait]
impl RowSink for Writing {
    async fn take(&mut self, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let batch = Batch::inserts(self.relation.clone(), rows)?;
        self.journal.append(&mut self.draft, &batch).await
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.draft.reject(row)
    }
}
