//! The log's events as transactions of captured rows, and as changes of tables.

mod events;
mod replace;
mod statements;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aqueduct_model::{BadRows, Change, Error, Relation, RelationName, Result};

use super::group::Group;
use super::log::{Log, LogEvent};
use super::mark::{Gtid, Gtids, LogPlace, MysqlMark, TransactionId};
use super::schema::Schemas;
use super::tables::Tables;
use super::transaction::{Open, PREPARED_BYTES_MAX, PreparedTransactions, too_large};
use super::wire::WireError;
use crate::cdc::capture::{LogBudget, LogItem};
use crate::mysql::binlog::{Event, RawEvent, decode, kind};

/// A transaction that is this many times larger than a group is handed out in parts.
const SPLIT_FACTOR: usize = 2;

/// How much longer than asked for a transaction may take before others get their turn.
const LONG_TRANSACTION: Duration = Duration::from_secs(1);

pub(super) type Item = LogItem<MysqlMark, TransactionId>;

/// The log from one place on.
pub(super) struct Stream {
    pub log: Log,
    pub tables: Tables,
    pub schemas: Schemas,
    group: Group,
    open: Option<Open>,
    prepared: PreparedTransactions,
    /// Whose log it is.
    server: String,
    /// The mark that was started from.
    from: MysqlMark,
    /// Behind the last transaction that ended.
    place: LogPlace,
    executed: Gtids,
    has_gtids: bool,
    /// The first file's beginning was compared with what we have.
    is_checked: bool,
    /// To be handed out first.
    queue: VecDeque<Item>,
    asked: Option<Asked>,
    /// Seconds since 1970 in the header of the last event that has some.
    pub last_timestamp: u32,
}

/// A question to the server, which answers with its tables as they are now.
struct Asked {
    table: RelationName,
    change: Change,
    is_inside: bool,
}

/// What an event led to.
enum Step {
    /// More is to come.
    Go,
    /// A transaction ended.
    Ended,
    /// What was collected must be handed out before this event is looked at again.
    HandOutFirst,
}

impl Stream {
    pub fn new(log: Log, tables: Tables, schemas: Schemas, server: String, from: &MysqlMark) -> Result<Self> {
        let is_same = server == from.server;
        Ok(Self {
            log,
            tables,
            schemas,
            group: Group::default(),
            open: None,
            prepared: PreparedTransactions::of_mark(&from.prepared),
            place: if is_same { from.place.clone() } else { LogPlace::default() },
            executed: Gtids::parse(&from.gtids)?,
            has_gtids: !from.gtids.is_empty(),
            is_checked: false,
            server,
            from: from.clone(),
            queue: VecDeque::new(),
            asked: None,
            last_timestamp: 0,
        })
    }

    /// The mark behind the last transaction that ended, or behind what concerns none.
    pub fn mark(&self) -> MysqlMark {
        if self.place.file.is_empty() {
            // Another server's log, of which nothing has come yet.
            return self.from.clone();
        }
        MysqlMark {
            server: self.server.clone(),
            place: self.place.clone(),
            gtids: if self.has_gtids { self.executed.to_string() } else { String::new() },
            prepared: self.prepared.to_mark(),
        }
    }

    /// See `System::next`.
    ///
    /// `None` when the server has to be asked first: see [`Self::asks`].
    pub async fn next(&mut self, budget: &LogBudget<MysqlMark>, bad: &mut BadRows) -> Result<Option<Item>, WireError> {
        if let Some(item) = self.queue.pop_front() {
            return Ok(Some(item));
        }
        if self.asked.is_some() {
            return Ok(None);
        }
        self.read(budget, bad).await
    }

    /// The table whose shape the log does not tell.
    pub fn asks(&self) -> Option<&RelationName> {
        self.asked.as_ref().map(|asked| &asked.table)
    }

    /// The server's answer: the table as it is now; `None` when it is gone.
    pub fn answer(&mut self, relation: Option<Arc<Relation>>) -> Result<()> {
        let Some(asked) = self.asked.take() else { return Ok(()) };
        let outcomes = self.schemas.described(&mut self.tables, relation, &asked.table, asked.change)?;
        self.queue_outcomes(outcomes, asked.is_inside);
        Ok(())
    }

    async fn read(&mut self, budget: &LogBudget<MysqlMark>, bad: &mut BadRows) -> Result<Option<Item>, WireError> {
        let deadline = Instant::now() + budget.max_wait;
        loop {
            let has_whole = self.open.is_none() && self.group.is_worth_it();
            let wait = if has_whole { Duration::ZERO } else { deadline.saturating_duration_since(Instant::now()) };
            let Some(event) = self.log.next(wait).await? else {
                if has_whole || Instant::now() >= deadline {
                    return Ok(self.hand_out(budget, bad)?);
                }
                continue;
            };
            if self.open.is_none() && self.must_stop(&event, budget)? {
                self.log.keep(event);
                return Ok(self.hand_out(budget, bad)?);
            }
            match self.handle(event, bad)? {
                Step::Go => {
                    let limit = |budget: usize| budget.max(1).saturating_mul(SPLIT_FACTOR);
                    let is_large =
                        self.group.rows >= limit(budget.max_rows) || self.group.bytes >= limit(budget.max_bytes);
                    if is_large && !self.must_grow() {
                        return Ok(self.hand_out(budget, bad)?);
                    }
                }
                Step::Ended => {
                    let is_full = self.group.rows >= budget.max_rows || self.group.bytes >= budget.max_bytes;
                    let has_more = !self.queue.is_empty() || self.asked.is_some();
                    if is_full || (budget.single && self.group.rows > 0) || has_more {
                        return Ok(self.hand_out(budget, bad)?);
                    }
                }
                Step::HandOutFirst => return Ok(self.hand_out(budget, bad)?),
            }
            let now = Instant::now();
            if now >= deadline && (self.open.is_none() || now >= deadline + LONG_TRANSACTION) {
                return Ok(self.hand_out(budget, bad)?);
            }
        }
    }

    /// What was collected, else what is queued, else how far the log was read; `None` when the server has to be asked.
    fn hand_out(&mut self, budget: &LogBudget<MysqlMark>, bad: &mut BadRows) -> Result<Option<Item>> {
        if let Some(open) = self.open.as_ref().filter(|open| open.is_xa && open.rows > 0) {
            // Its rows stay where they are until it is prepared.
            if open.bytes > PREPARED_BYTES_MAX {
                return Err(too_large(&open.start));
            }
            let transaction = self.id(open);
            return Ok(Some(LogItem::Rows { batches: Vec::new(), transaction, boundary: None }));
        }
        let is_whole = self.open.is_none() || !self.open_has_rows();
        if let Some(open) = self.open.as_mut().filter(|_| !is_whole) {
            open.is_split = true;
        }
        if self.group.committed_at_ms == 0 {
            self.group.committed_at_ms = i64::from(self.last_timestamp) * 1_000;
        }
        let boundary = (is_whole && self.group.is_worth_it()).then(|| self.mark());
        if let Some(item) = self.group.take(&mut self.tables, bad, boundary)? {
            return Ok(Some(item));
        }
        if let Some(item) = self.queue.pop_front() {
            return Ok(Some(item));
        }
        if self.asked.is_some() {
            return Ok(None);
        }
        if let Some(open) = &self.open {
            let transaction = self.id(open);
            return Ok(Some(LogItem::Rows { batches: Vec::new(), transaction, boundary: None }));
        }
        let mark = self.mark();
        Ok(Some(match &budget.until {
            Some(until) if mark.is_at_or_behind(until) => LogItem::Quiet(until.clone()),
            _ => LogItem::Quiet(mark),
        }))
    }

    /// True for an XA transaction that may grow further.
    fn must_grow(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.is_xa && open.bytes <= PREPARED_BYTES_MAX)
    }

    fn open_has_rows(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.rows > 0)
    }

    /// True for an event that begins a transaction at or behind the place to stop at.
    fn must_stop(&mut self, event: &LogEvent, budget: &LogBudget<MysqlMark>) -> Result<bool> {
        let Some(until) = &budget.until else { return Ok(false) };
        let begins = matches!(
            event.header.event_type,
            kind::GTID | kind::ANONYMOUS_GTID | kind::TAGGED_GTID | kind::MARIADB_GTID | kind::QUERY
        );
        if !begins {
            return Ok(false);
        }
        if until.server == self.server {
            let start = LogPlace::new(self.log.file(), event.start);
            return Ok(start >= until.place);
        }
        let allowed = Gtids::parse(&until.gtids)?;
        let gtid = match decode(&RawEvent { header: event.header, body: &event.body }, self.log.flavor())? {
            Event::Gtid(event) => event.gtid.map(Gtid::MySql),
            Event::MariadbGtid(event) => Some(Gtid::MariaDb(event.gtid)),
            _ => None,
        };
        Ok(gtid.is_some_and(|gtid| !allowed.contains(&gtid)))
    }

    fn id(&self, open: &Open) -> TransactionId {
        TransactionId { server: self.server.clone(), start: open.start.clone(), gtid: open.gtid.clone() }
    }

    /// Where an event stands, for people.
    fn at(&self, event: &LogEvent) -> LogPlace {
        LogPlace::new(self.log.file(), event.start)
    }
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Broken(error) => error,
            WireError::Refused(refusal) => crate::mysql::error::failed(refusal.into(), "reading the binary log"),
        }
    }
}
