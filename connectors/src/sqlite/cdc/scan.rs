//! Reads the captured tables as they were at a position, changing nothing: what `verify` compares a target with.

use std::collections::VecDeque;
use std::sync::Arc;

use aqueduct_model::{
    BadRows, Change, Error, PollBudget, Polled, Position, Result, SchemaChange, Source, SourceContext,
};
use async_trait::async_trait;
use rusqlite::Connection;

use crate::sqlite::connection::{Access, failed, open};
use crate::sqlite::table;

use super::as_of::AsOf;
use super::config::Settings;
use super::history::{History, Version};
use super::log::{Head, Names, lost};
use super::page::cut;
use super::position::{Phase, State};

/// Yields every captured table's rows as inserts, each table announced first, then ends.
///
/// One read transaction is held from the first poll until the scan is closed.
pub(crate) struct Scan {
    settings: Settings,
    connection: Option<Connection>,
    work: Option<Work>,
}

struct Work {
    head: Head,
    history: History,
    tables: VecDeque<AsOf>,
    out: VecDeque<Polled>,
}

impl Scan {
    /// A scan that is not open yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, connection: None, work: None }
    }
}

#[async_trait]
impl Source for Scan {
    async fn open(&mut self, _context: &SourceContext, _resume: Option<&Position>) -> Result<()> {
        self.connection = Some(open(&self.settings.path, Access::ReadOnly, self.settings.busy_timeout)?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let connection = self.connection.as_ref().ok_or_else(|| Error::bug("poll before open"))?;
        let names = Names::new(&self.settings.log);
        let work = match &mut self.work {
            Some(work) => work,
            None => {
                connection.execute_batch("BEGIN").map_err(|e| failed("cannot begin to read", e))?;
                let until = budget.until.as_ref().filter(|until| !until.0.is_empty()).map(State::parse).transpose()?;
                self.work.insert(Work::plan(connection, &names, &self.settings, until)?)
            }
        };
        loop {
            if let Some(polled) = work.out.pop_front() {
                return Ok(polled);
            }
            let Some(table) = work.tables.front_mut() else { return Ok(Polled::Finished) };
            let size = (budget.max_rows, budget.max_bytes);
            match table.page((connection, &names), (&work.head, &work.history), size, bad)? {
                Some(batch) => cut(batch, budget.max_rows, &mut work.out),
                None => drop(work.tables.pop_front()),
            }
        }
    }

    fn position(&self) -> Option<Position> {
        Some(Position::default())
    }

    async fn close(&mut self) -> Result<()> {
        (self.work, self.connection) = (None, None);
        Ok(())
    }
}

impl aqueduct_model::Scan for Scan {}

impl Work {
    fn plan(connection: &Connection, names: &Names, settings: &Settings, until: Option<State>) -> Result<Self> {
        let mut work = Self {
            head: Head { log: String::new(), pruned_to: 0, synced_cookie: 0, synced_seq: 0, cookie: 0, last_seq: 0 },
            history: History::default(),
            tables: VecDeque::new(),
            out: VecDeque::new(),
        };
        match until {
            Some(until) => work.plan_edge(connection, names, settings, &until)?,
            None => {
                for table in table::list(connection)?.0.into_iter().filter(|table| settings.names(&table.name)) {
                    let version = Arc::new(Version::of_table(table, settings.dates)?);
                    work.add(&version, None, (1, 0))?;
                }
            }
        }
        Ok(work)
    }

    fn plan_edge(&mut self, connection: &Connection, names: &Names, settings: &Settings, until: &State) -> Result<()> {
        self.head = Head::read(connection, names)?.ok_or_else(|| lost("the change log was removed"))?;
        if self.head.log != until.log {
            return Err(lost("the change log is another one than before"));
        }
        if self.head.cookie != self.head.synced_cookie {
            return Err(lost("the schema just changed and the flow has not noticed yet"));
        }
        self.history = History::load(connection, names, settings.dates)?;
        for (&id, table) in &until.tables {
            let version = self.history.named(id, table.version)?.clone();
            match (table.phase, &table.after) {
                _ if table.again || table.phase == Phase::Upsert => {
                    return Err(lost(format!("{} is being read again", version.table.name)));
                }
                (Phase::Done | Phase::Upsert, _) => self.add(&version, None, (until.seq, until.cookie))?,
                (Phase::Snapshot, Some(after)) => {
                    self.add(&version, Some(after.clone()), (until.seq, until.cookie))?;
                }
                (Phase::Snapshot, None) => self.announce(&version),
            }
        }
        Ok(())
    }

    fn announce(&mut self, version: &Version) {
        let change = SchemaChange::new(version.relation.clone(), Change::CreateTable);
        self.out.push_back(Polled::Schema(change));
    }

    fn add(&mut self, version: &Arc<Version>, to: Option<Vec<super::position::Cell>>, at: (i64, i64)) -> Result<()> {
        let table = AsOf::new(version, Phase::Snapshot, (None, to), at, (&self.head, &self.history))?;
        self.announce(version);
        self.tables.push_back(table);
        Ok(())
    }
}
