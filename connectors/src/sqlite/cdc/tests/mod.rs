//! The capture against real database files, with the application on a connection of its own.

mod conformance;
mod ddl;
mod fold;
mod loss;
mod random;
mod replace;
mod replay;
mod snapshot;
mod stream;

use std::path::PathBuf;
use std::time::Duration;

use aqueduct_model::{
    BadRowPolicy, BadRows, Epoch, Error, PollBudget, Polled, Position, Result, Source, SourceContext,
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Scan, Settings, SqliteCapture};
use crate::cdc::{LostPosition, SnapshotMode};
use crate::sqlite::Dates;

pub(super) use fold::Fold;

/// A database file with the application's connection.
pub(super) struct Shop {
    pub(super) db: Connection,
    pub(super) folder: TempDir,
}

impl Shop {
    pub(super) fn new(schema: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Connection::open(folder.path().join("shop.db")).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;").unwrap();
        let shop = Self { db, folder };
        shop.run(schema);
        shop
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    pub(super) fn run(&self, sql: &str) {
        self.db.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Runs `INSERT … SELECT …` with a column `value` that counts from 1 to `rows`.
    pub(super) fn fill(&self, insert: &str, rows: usize) {
        let numbers = "WITH RECURSIVE n(value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM n WHERE value <";
        self.run(&format!("{insert} FROM ({numbers} {rows}) SELECT value FROM n)"));
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.db.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            path: self.path(),
            tables: vec!["*".into()],
            snapshot: SnapshotMode::Initial,
            chunk_rows: 10_000,
            log: "aqueduct".into(),
            dates: Dates::Text,
            on_lost_position: LostPosition::Fail,
            busy_timeout: Duration::from_secs(5),
        }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader::open(self.settings(), None).unwrap()
    }
}

/// A source that is driven by hand.
pub(super) struct Reader {
    source: Box<dyn Source>,
    pub(super) budget: PollBudget,
    pub(super) bad: BadRows,
}

impl Reader {
    pub(super) fn open(settings: Settings, resume: Option<&Position>) -> Result<Self> {
        Self::open_as("flow", settings, resume)
    }

    pub(super) fn open_as(flow: &str, settings: Settings, resume: Option<&Position>) -> Result<Self> {
        Self::start(flow, Box::new(SqliteCapture::new(settings)), resume)
    }

    /// A scan of the tables as they were at `until`.
    pub(super) fn scan(settings: Settings, until: Option<&Position>) -> Self {
        let mut reader = Self::start("verify", Box::new(Scan::new(settings)), None).unwrap();
        reader.budget.until = until.cloned();
        reader
    }

    fn start(flow: &str, mut source: Box<dyn Source>, resume: Option<&Position>) -> Result<Self> {
        let context = SourceContext { flow: flow.into(), task: "cdc".into(), ..SourceContext::default() };
        block_on(source.open(&context, resume))?;
        let budget = PollBudget { max_wait: Duration::ZERO, ..PollBudget::default() };
        Ok(Self { source, budget, bad: BadRows::new(BadRowPolicy::Drop, 1_000) })
    }

    pub(super) fn poll(&mut self) -> Result<Polled> {
        block_on(self.source.poll(&self.budget, &mut self.bad))
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.source.position()
    }

    /// Reads until nothing more comes, and returns where that is.
    pub(super) fn drain(&mut self, fold: &mut Fold) -> Result<Position> {
        let mut quiet = None;
        loop {
            match self.poll()? {
                Polled::Idle | Polled::Finished => {
                    let position = self.position();
                    if quiet == position && position.is_some() {
                        return position.ok_or_else(|| Error::bug("no position"));
                    }
                    quiet = position;
                }
                given => fold.apply(&given),
            }
        }
    }

    /// Reads everything into an empty target.
    pub(super) fn all(&mut self) -> (Fold, Position) {
        let mut fold = Fold::default();
        let position = self.drain(&mut fold).unwrap();
        (fold, position)
    }

    pub(super) fn acknowledge(&mut self, position: &Position) -> Result<()> {
        block_on(self.source.on_checkpoint_durable(Epoch(1), position))
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
