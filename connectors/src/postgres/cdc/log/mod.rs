//! The log, message by message: transactions into groups, descriptions of tables into changes of shape, keepalives into
//! places that were passed.

mod changes;

use std::collections::VecDeque;
use std::sync::Arc;

use aqueduct_model::{BadRows, Batch, Error, Relation, RelationName, Result};
use bytes::Bytes;
use tokio::time::Instant;

use super::catalog::{logged_table, table_id};
use super::chunk::Origins;
use super::feed::{Fed, Feed};
use super::group::{Group, Transaction};
use super::mark::{Lsn, PostgresMark};
use super::pgoutput::{self, Message};
use super::settings::Settings;
use super::sight::Unsettled;
use super::spool::{Committed, Spool};
use crate::cdc::capture::{LogBudget, LogItem};
use crate::postgres::connection::Session;

/// What of the log is handed out.
pub(crate) type Item = LogItem<PostgresMark, u32>;

/// After so many messages other tasks of the thread get their turn, and the clock is looked at.
const MESSAGES_BETWEEN_YIELDS: usize = 512;

/// A transaction whose rows are being read.
#[derive(Debug, Clone, Copy)]
struct Open {
    transaction: Transaction,
    /// It was handed out before the position that was gone on from.
    skipped: bool,
    /// Rows of whole transactions were collected before it.
    follows: bool,
    /// Some of the collected rows are its.
    is_pending: bool,
    /// Something of it was handed out.
    is_out: bool,
}

/// Reads the log.
pub(crate) struct Log {
    feed: Feed,
    wanted: Vec<String>,
    group: Group,
    unsettled: Unsettled,
    origins: Origins,
    spool: Option<Spool>,
    /// A streamed transaction that has committed, with the place where it ends.
    replayed: Option<(Committed, Lsn)>,
    /// The server is sending a part of this transaction, which runs.
    streamed: Option<u32>,
    open: Option<Open>,
    /// Everything before was read; at most where the open transaction begins.
    mark: PostgresMark,
    /// A message that was taken and is kept for later.
    held: Option<Bytes>,
    /// The last transaction that the collected rows are of.
    last_xid: u32,
    ready: VecDeque<Item>,
}

impl Log {
    /// Reads what the feed brings, from `from` on.
    pub(crate) fn new(
        feed: Feed,
        settings: &Settings,
        from: PostgresMark,
        spool: Option<Spool>,
        unsettled: Unsettled,
        origins: Origins,
    ) -> Self {
        Self {
            feed,
            wanted: settings.tables.clone(),
            group: Group::new(settings.unrepresentable),
            unsettled,
            origins,
            spool,
            replayed: None,
            streamed: None,
            open: None,
            held: None,
            mark: from,
            last_xid: 0,
            ready: VecDeque::new(),
        }
    }

    /// Captures a table from here on.
    pub(crate) async fn capture(&mut self, relation: Arc<Relation>, catalogs: &Session) -> Result<()> {
        if let Some(logged) = self.group.ignored(relation.name()).cloned() {
            let table = logged_table(catalogs, &logged, &relation).await?;
            self.group.describe(logged.oid, Arc::new(table.relation), table.layout)?;
        }
        self.group.capture(relation);
        Ok(())
    }

    /// Whether rows of the table with that number are captured under that name.
    pub(crate) fn captures(&self, table: &RelationName, oid: u32) -> bool {
        self.group.shape(table).is_some_and(|shape| table_id(shape) == Some(oid))
    }

    /// Says that a table cannot be gone on with.
    pub(crate) fn fail(&mut self, table: &RelationName, error: Error) {
        self.group.forget(table);
        self.ready.push_back(LogItem::Failed { table: table.clone(), error, boundary: Some(self.mark.clone()) });
    }

    /// Everything before is durable at every target.
    pub(crate) fn durable(&self, lsn: Lsn) {
        self.feed.confirm(lsn);
    }

    /// Ends the stream.
    pub(crate) async fn close(self) -> Result<()> {
        self.feed.close().await
    }

    /// See [`crate::cdc::capture::System::next`]. `catalogs` answers questions about tables.
    pub(crate) async fn next(
        &mut self,
        budget: &LogBudget<PostgresMark>,
        bad: &mut BadRows,
        catalogs: &Session,
    ) -> Result<Item> {
        let deadline = Instant::now() + budget.max_wait;
        let begun = self.mark.lsn;
        let until = budget.until.as_ref().map(|until| until.lsn);
        let mut messages = 0usize;
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(item);
            }
            let is_whole = self.open.is_none();
            let has_rows = self.group.rows() > 0;
            let is_at_end = until.is_some_and(|until| self.mark.lsn >= until);
            if is_whole && !has_rows && (is_at_end || (budget.single && self.mark.lsn > begun)) {
                return Ok(LogItem::Quiet(self.mark.clone()));
            }
            let is_full = self.group.rows() >= budget.max_rows || self.group.bytes() >= budget.max_bytes;
            if is_full || (is_whole && has_rows && (budget.single || is_at_end)) {
                self.flush()?;
                continue;
            }
            messages += 1;
            if self.replayed.is_some() {
                if messages.is_multiple_of(MESSAGES_BETWEEN_YIELDS) {
                    tokio::task::yield_now().await;
                }
                self.replay(catalogs, bad).await?;
                continue;
            }
            // Whole transactions do not wait for more than what is there already.
            let patience = if has_rows && is_whole { None } else { Some(deadline) };
            let is_late = messages.is_multiple_of(MESSAGES_BETWEEN_YIELDS) && Instant::now() >= deadline;
            let fed = if is_late { None } else { self.take(patience, budget.single || until.is_some()).await? };
            match fed {
                Some(Fed::Message(message)) => self.message(message, until, catalogs, bad).await?,
                Some(Fed::Passed(lsn)) => self.passed(lsn, until),
                // A transaction of which nothing was handed out is collected further: the log goes on where it begins.
                None if self.open.is_some_and(|open| !open.is_out && !open.follows) => {
                    return Ok(LogItem::Quiet(self.mark.clone()));
                }
                None if has_rows => self.flush()?,
                None if self.open.is_some_and(|open| open.is_out) => self.hand_out(Vec::new(), None),
                None => return Ok(LogItem::Quiet(self.mark.clone())),
            }
        }
    }

    /// The message that is kept, or the next one.
    async fn take(&mut self, patience: Option<Instant>, eager: bool) -> Result<Option<Fed>> {
        match self.held.take() {
            Some(held) => Ok(Some(Fed::Message(held))),
            None => self.feed.next(patience, eager).await,
        }
    }

    /// Takes the collected rows to what is handed out next.
    fn flush(&mut self) -> Result<()> {
        let batches = self.group.take()?;
        let boundary = match &mut self.open {
            Some(open) if open.is_pending || open.is_out => {
                (open.is_pending, open.is_out) = (false, true);
                None
            }
            _ => Some(self.mark.clone()),
        };
        self.hand_out(batches, boundary);
        Ok(())
    }

    fn hand_out(&mut self, batches: Vec<Batch>, boundary: Option<PostgresMark>) {
        self.ready.push_back(LogItem::Rows { batches, transaction: self.last_xid, boundary });
    }

    /// The server has nothing for us before this place. Nobody asks further than `until`.
    fn passed(&mut self, lsn: Lsn, until: Option<Lsn>) {
        if self.open.is_none() && self.group.rows() == 0 {
            let lsn = until.map_or(lsn, |until| lsn.min(until));
            self.mark.lsn = self.mark.lsn.max(lsn);
        }
    }

    /// A transaction whose commit begins at or behind `until` is kept for later: the log is read up to there.
    fn is_held(&mut self, commit: Lsn, until: Option<Lsn>, message: Bytes) -> bool {
        let Some(until) = until.filter(|until| commit >= *until) else { return false };
        self.held = Some(message);
        self.passed_whole(until);
        true
    }

    /// As [`Log::passed`], with rows that are whole.
    fn passed_whole(&mut self, until: Lsn) {
        self.mark.lsn = self.mark.lsn.max(until);
    }

    /// One message of a streamed transaction that has committed.
    async fn replay(&mut self, catalogs: &Session, bad: &mut BadRows) -> Result<()> {
        let Some((committed, end)) = &mut self.replayed else { return Ok(()) };
        let end = *end;
        match committed.next()? {
            Some(message) => {
                let message = pgoutput::parse(&message, true).map_err(|error| undecodable(self.mark.lsn, error))?;
                self.change(message, catalogs, bad).await
            }
            None => {
                self.replayed = None;
                self.commit(end)
            }
        }
    }

    async fn message(&mut self, bytes: Bytes, until: Option<Lsn>, catalogs: &Session, bad: &mut BadRows) -> Result<()> {
        let message = pgoutput::parse(&bytes, self.streamed.is_some());
        let message = message.map_err(|error| undecodable(self.mark.lsn, error))?;
        if let (Some(xid), Some(spool)) = (self.streamed, &mut self.spool) {
            return match message {
                Message::StreamStop => {
                    self.streamed = None;
                    Ok(())
                }
                other => spool.keep(xid, other.subtransaction().unwrap_or(xid), &bytes),
            };
        }
        match message {
            Message::Begin { commit_lsn, .. } | Message::StreamCommit { commit_lsn, .. }
                if self.is_held(Lsn(commit_lsn), until, bytes.clone()) =>
            {
                Ok(())
            }
            Message::Begin { xid, commit_lsn, committed_at_us } => {
                self.begin(xid, Lsn(commit_lsn), committed_at_us);
                Ok(())
            }
            Message::Commit { end_lsn } => self.commit(Lsn(end_lsn)),
            Message::StreamStart { xid } if self.spool.is_some() => {
                self.streamed = Some(xid);
                Ok(())
            }
            Message::StreamAbort { xid, subtransaction } => match &mut self.spool {
                Some(spool) => spool.roll_back(xid, subtransaction),
                None => Err(unexpected()),
            },
            Message::StreamCommit { xid, commit_lsn, end_lsn, committed_at_us } => {
                let Some(spool) = &mut self.spool else { return Err(unexpected()) };
                let committed = spool.commit(xid)?;
                self.begin(xid, Lsn(commit_lsn), committed_at_us);
                self.replayed = Some((committed, Lsn(end_lsn)));
                Ok(())
            }
            change => self.change(change, catalogs, bad).await,
        }
    }

    fn begin(&mut self, xid: u32, commit: Lsn, committed_at_us: i64) {
        let skipped = commit < self.mark.lsn;
        if !skipped {
            self.unsettled.add([xid]);
        }
        let committed_at_ms = committed_at_us.div_euclid(1_000);
        let follows = self.group.rows() > 0;
        let transaction = Transaction { xid, commit, committed_at_ms };
        self.open = Some(Open { transaction, skipped, follows, is_pending: false, is_out: false });
    }

    /// The open transaction ends there.
    fn commit(&mut self, end: Lsn) -> Result<()> {
        let open = self.open.take().ok_or_else(unexpected)?;
        if open.skipped {
            return Ok(());
        }
        self.mark.lsn = self.mark.lsn.max(end);
        // Whoever got a part is told where the whole ends, also where no row is left for it.
        if open.is_out { self.flush() } else { Ok(()) }
    }
}

fn unexpected() -> Error {
    Error::bug("the log holds a message in a place where the protocol has none")
}

/// A message that is not understood is never skipped.
fn undecodable(behind: Lsn, error: Error) -> Error {
    Error::bug(format!("cannot decode the log behind {behind}")).with_source(error)
}
