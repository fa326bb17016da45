//! The capture itself: opens the database, drives rounds, tells the log what is durable.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aqueduct_model::{BadRows, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext};
use async_trait::async_trait;
use rusqlite::{Connection, Transaction};

use crate::cdc::SnapshotMode;
use crate::sqlite::connection::{failed, is_busy};

use super::adoption::{Adoption, adopt, forget_unnamed, start_over, start_over_like};
use super::config::{Settings, planted};
use super::history::History;
use super::log::{Head, Names, lost};
use super::open::resnapshots;
use super::position::State;
use super::prune;
use super::round::{Context, Round};
use super::sync::{Asker, sync};

/// How often the database is asked for news at first, and at most, while nothing happens.
const IDLE_FIRST: Duration = Duration::from_millis(5);
const IDLE_LAST: Duration = Duration::from_millis(25);
/// The same once nothing happened for [`QUIET`]: every question costs some system calls.
const IDLE_QUIET: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_secs(10);
/// The log is pruned at most this often.
const PRUNE_EVERY: Duration = Duration::from_secs(1);
/// How long pruning waits for the application's lock before it leaves it for the next time.
const PRUNE_PATIENCE: Duration = Duration::from_millis(100);
/// How often in a row the schema may change under our hands before we wait.
const SYNC_ATTEMPTS: usize = 3;

/// Captures the changes of an SQLite database.
pub(crate) struct SqliteCapture {
    settings: Settings,
    capture: Option<Capture>,
}

impl SqliteCapture {
    /// A capture that is not open yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, capture: None }
    }
}

/// What a capture is made of when it opens.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) names: Names,
    pub(super) reader_context: SourceContext,
    pub(super) reader: Connection,
    pub(super) writer: Connection,
    pub(super) state: State,
    pub(super) history: History,
    /// How tables are taken in by the first round.
    pub(super) adoption: Adoption,
    /// `snapshot: always`, and this start has not begun its own yet.
    pub(super) starts_over: bool,
}

/// An open capture.
pub(super) struct Capture {
    settings: Settings,
    names: Names,
    reader_context: SourceContext,
    reader: Connection,
    writer: Connection,
    state: State,
    history: History,
    adoption: Adoption,
    starts_over: bool,
    /// The schema version that `history` was read at.
    history_cookie: i64,
    round: Option<Round>,
    out: VecDeque<Polled>,
    is_first_round: bool,
    data_version: Option<i64>,
    /// How long to wait before asking for news again, and when something came last.
    idle: Duration,
    last_news: Instant,
    pruned: Option<Instant>,
}

/// What one step came to.
enum Step {
    Give(Polled),
    More,
    /// Nothing was given, but the position moved.
    Moved,
    Nothing,
}

#[async_trait]
impl Source for SqliteCapture {
    async fn open(&mut self, context: &SourceContext, resume: Option<&Position>) -> Result<()> {
        fail::fail_point!("src.connect");
        let resume = resume.filter(|position| !position.0.is_empty()).map(State::parse).transpose()?;
        self.capture = Some(Capture::open(self.settings.clone(), context.clone(), resume)?);
        Ok(())
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let capture = self.capture.as_mut().ok_or_else(|| Error::bug("poll before open"))?;
        capture.poll(budget, bad)
    }

    fn position(&self) -> Option<Position> {
        self.capture.as_ref().and_then(Capture::position)
    }

    async fn on_checkpoint_durable(&mut self, _epoch: Epoch, position: &Position) -> Result<()> {
        match &mut self.capture {
            Some(capture) => capture.acknowledge(&State::parse(position)?),
            None => Ok(()),
        }
    }

    async fn close(&mut self) -> Result<()> {
        self.capture = None;
        Ok(())
    }
}

impl Capture {
    /// Puts a capture together; nothing is read yet.
    pub(super) fn new(parts: Parts, history_cookie: i64) -> Self {
        let Parts { settings, names, reader_context, reader, writer, state, history, adoption, starts_over } = parts;
        Self {
            settings,
            names,
            reader_context,
            reader,
            writer,
            state,
            history,
            adoption,
            starts_over,
            history_cookie,
            round: None,
            out: VecDeque::new(),
            is_first_round: true,
            data_version: None,
            idle: IDLE_FIRST,
            last_news: Instant::now(),
            pruned: None,
        }
    }

    fn position(&self) -> Option<Position> {
        let is_inside = self.round.is_some() || !self.out.is_empty();
        if let Some(round) = self.round.as_ref().filter(|_| planted("mutant.src_position_inside_transaction")) {
            return Some(State { seq: round.next, ..self.state.clone() }.position());
        }
        (!is_inside).then(|| self.state.position())
    }

    fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        let deadline = Instant::now() + budget.max_wait;
        let until = budget.until.as_ref().map(State::parse).transpose()?;
        loop {
            let step = match self.step(budget, until.as_ref(), bad) {
                Err(error) if is_busy(&error) => {
                    tracing::debug!("the database is locked by another process");
                    self.data_version = None;
                    Step::Nothing
                }
                other => other?,
            };
            match step {
                Step::Give(polled) => {
                    (self.idle, self.last_news) = (IDLE_FIRST, Instant::now());
                    return Ok(polled);
                }
                Step::More => {}
                Step::Moved => return Ok(Polled::Idle),
                Step::Nothing => {
                    if self.is_finished() && until.is_none() {
                        return Ok(Polled::Finished);
                    }
                    let now = Instant::now();
                    if now >= deadline || until.is_some() {
                        return Ok(Polled::Idle);
                    }
                    std::thread::sleep(self.idle.min(deadline - now));
                    let longest = if self.last_news.elapsed() < QUIET { IDLE_LAST } else { IDLE_QUIET };
                    self.idle = (self.idle * 2).min(longest);
                }
            }
        }
    }

    /// `snapshot: initial_only`, and every table is read.
    fn is_finished(&self) -> bool {
        self.settings.snapshot == SnapshotMode::InitialOnly
            && !self.is_first_round
            && self.round.is_none()
            && self.state.unfinished().is_none()
    }

    fn step(&mut self, budget: &PollBudget, until: Option<&State>, bad: &mut BadRows) -> Result<Step> {
        if let Some(polled) = self.out.pop_front() {
            self.settle();
            return Ok(Step::Give(polled));
        }
        if self.round.is_none() && !self.is_due(until)? {
            return Ok(Step::Nothing);
        }
        let is_replay = until.is_some();
        if !is_replay && self.round.is_some() {
            return self.read_on(budget, bad);
        }
        let before = (self.state.seq, self.state.cookie);
        let tx = self.reader.unchecked_transaction().map_err(|e| failed("cannot begin to read", e))?;
        let Some(head) = self.agreed_head(&tx)? else {
            drop(tx);
            self.agree()?;
            return Ok(Step::More);
        };
        let context =
            Context { connection: &tx, names: &self.names, history: &self.history, settings: &self.settings, budget };
        let target = (&mut self.state, &mut self.out);
        match &mut self.round {
            None if until.is_some_and(|until| *until == *target.0) => return Ok(Step::Nothing),
            None => {
                if let Some(until) = until {
                    start_over_like(&context, until, target)?;
                } else {
                    if self.is_first_round {
                        forget_unnamed(&context, target.0);
                    }
                    let all = std::mem::take(&mut self.starts_over);
                    if all || head.cookie != target.0.cookie {
                        start_over(&self.history, all, (target.0, target.1))?;
                    }
                }
                let target = (&mut self.state, &mut self.out);
                adopt(&context, until, &self.adoption, target);
                self.round = Some(match until {
                    Some(until) => Round::replay(&self.history, &head, &self.state, until.clone())?,
                    None => Round::live(&context, &head, &self.state, bad)?,
                });
                self.adoption = Adoption::default();
                self.is_first_round = false;
            }
            Some(round) => {
                round.advance(&context, Some(&head), target, bad)?;
            }
        }
        drop(tx);
        if self.out.is_empty() && self.settle() {
            let moved = before != (self.state.seq, self.state.cookie);
            return Ok(if moved { Step::Moved } else { Step::Nothing });
        }
        Ok(Step::More)
    }

    /// Reads on in a live round. What lies before its boundary does not change any more, so no transaction is needed.
    fn read_on(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Step> {
        let Some(round) = &mut self.round else { return Ok(Step::More) };
        let context = Context {
            connection: &self.reader,
            names: &self.names,
            history: &self.history,
            settings: &self.settings,
            budget,
        };
        round.advance(&context, None, (&mut self.state, &mut self.out), bad)?;
        if self.out.is_empty() && self.settle() { Ok(Step::Moved) } else { Ok(Step::More) }
    }

    /// Ends the round once everything of it is read and given. True when it did.
    fn settle(&mut self) -> bool {
        if !self.out.is_empty() || !self.round.as_ref().is_some_and(Round::is_read) {
            return false;
        }
        if let Some(round) = self.round.take() {
            round.finish(&mut self.state);
            fail::fail_point!("src.commit", |_| true);
            if planted("mutant.src_prune_before_durable") {
                let (reader, durable_seq) = (&self.reader_context, self.state.seq - 1);
                return prune::acknowledge(&mut self.writer, &self.names, reader, durable_seq).is_ok();
            }
        }
        true
    }

    /// True when a new round is worth beginning.
    fn is_due(&mut self, until: Option<&State>) -> Result<bool> {
        // Asked before the round's own transaction begins: what is committed in between is seen the next time.
        let version: i64 = self
            .reader
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(|e| failed("cannot ask for news", e))?;
        let has_news = self.data_version.replace(version) != Some(version);
        Ok(has_news || until.is_some() || self.is_first_round || self.state.unfinished().is_some())
    }

    /// Brings triggers and tables into agreement where DDL parted them.
    fn agree(&mut self) -> Result<()> {
        self.data_version = None;
        for _ in 0..SYNC_ATTEMPTS {
            let Some(head) = Head::read(&self.reader, &self.names)? else { return Err(self.lost_log()) };
            if head.cookie == head.synced_cookie {
                if head.synced_cookie != self.history_cookie {
                    self.history = History::load(&self.reader, &self.names, self.settings.dates)?;
                    self.history_cookie = head.synced_cookie;
                }
                return Ok(());
            }
            let asker = Asker { reader: &self.reader_context, seen: Some((self.state.cookie, self.state.seq - 1)) };
            sync(&mut self.writer, &self.names, &self.settings, &asker)?;
        }
        Ok(())
    }

    /// The head, when log and tables agree and the position is still good.
    fn agreed_head(&self, tx: &Transaction<'_>) -> Result<Option<Head>> {
        let head = Head::read(tx, &self.names)?.ok_or_else(|| self.lost_log())?;
        if head.cookie != head.synced_cookie || head.synced_cookie != self.history_cookie {
            return Ok(None);
        }
        head.reaches(&self.state.log, self.state.seq).map_err(|error| self.retried(error))?;
        Ok(Some(head))
    }

    fn lost_log(&self) -> Error {
        self.retried(lost("the change log was removed"))
    }

    /// With `on_lost_position: resnapshot`, a restart mends a lost position.
    fn retried(&self, error: Error) -> Error {
        if resnapshots(&self.settings) {
            return Error::new(ErrorKind::Unavailable, "the position was lost while reading").with_source(error);
        }
        error
    }

    fn acknowledge(&mut self, durable: &State) -> Result<()> {
        if durable.log != self.state.log || self.pruned.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(());
        }
        fail::fail_point!("src.ack_before", |_| Ok(()));
        self.pruned = Some(Instant::now());
        let patience = PRUNE_PATIENCE.min(self.settings.busy_timeout);
        let patient = |writer: &Connection, time| {
            writer.busy_timeout(time).map_err(|e| failed("cannot set how long a lock is waited for", e))
        };
        patient(&self.writer, patience)?;
        let result = prune::acknowledge(&mut self.writer, &self.names, &self.reader_context, durable.seq - 1);
        patient(&self.writer, self.settings.busy_timeout)?;
        fail::fail_point!("src.ack_after", |_| Ok(()));
        match result {
            Err(error) if is_busy(&error) => {
                tracing::debug!("the change log is pruned later: the database is busy");
                Ok(())
            }
            other => other,
        }
    }
}
