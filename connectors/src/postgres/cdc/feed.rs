//! The replication connection, kept alive: a task of its own reads as long as there is room, and answers the server also
//! while nobody takes what was read (a sink may stand still for minutes).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at};

use super::mark::Lsn;
use super::wire::{Filled, Streamed, Wire};
use crate::postgres::address::Address;

/// Runs of messages that wait to be taken; a run is what one read of the socket brought.
const RUNS: usize = 8;
/// So many bytes of messages wait to be taken; a single message may be larger, and then waits alone.
const WAITING_BYTES: usize = 8 << 20;
/// How often the server is asked how far it is while something waits for that, and otherwise.
const ASK_EAGERLY: Duration = Duration::from_millis(20);
const ASK: Duration = Duration::from_secs(1);
/// How long the server may take to stop.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Statuses are sent at least this often, and three times within `wal_sender_timeout`.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);
const STATUS_INTERVAL_MIN: Duration = Duration::from_millis(100);
/// A server that is asked and not heard of for so long is gone, and nobody told us (a half-open connection); twice
/// `wal_sender_timeout` where that is more, for a server may be busy with what it does not send.
const SILENCE: Duration = Duration::from_secs(5);
/// As long as that where the server has no timeout.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// A server sends every change by itself. Where so many reads come within [`REST`], the socket is left to fill for a rest,
/// and for twice as long when that brought something: waking up for each change costs more than decoding it.
const READS_BEFORE_REST: u32 = 8;
const REST: Duration = Duration::from_millis(1);
const REST_MAX: Duration = Duration::from_millis(8);
/// A rest that brought so much is followed by another one.
const WORTH_A_REST_BYTES: usize = 1 << 10;

/// What comes out.
#[derive(Debug)]
pub(crate) enum Fed {
    /// A message of the output plugin.
    Message(Bytes),
    /// Everything before was handed out.
    Passed(Lsn),
}

/// What the task is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Orders {
    durable: Lsn,
    /// Rises by one with every question how far the server is.
    asked: u64,
    closing: bool,
}

/// Messages that were read at once, and the room that they fill.
type Run = (Vec<Fed>, OwnedSemaphorePermit);

/// See the module.
pub(crate) struct Feed {
    runs: mpsc::Receiver<Result<Run>>,
    taken: VecDeque<Fed>,
    /// The room that `taken` fills.
    room: Option<OwnedSemaphorePermit>,
    orders: watch::Sender<Orders>,
    pump: JoinHandle<()>,
    asked_at: Instant,
}

impl Feed {
    /// Connects and begins to stream with `command`, at `from`.
    ///
    /// # Errors
    /// Those of the connection and of the command.
    pub(crate) async fn start(
        address: &Address,
        command: &str,
        from: Lsn,
        wal_sender_timeout: Option<Duration>,
    ) -> Result<Self> {
        let mut wire = Wire::connect(address).await?;
        wire.start(command).await?;
        let every = wal_sender_timeout.map_or(STATUS_INTERVAL, |timeout| (timeout / 3).min(STATUS_INTERVAL));
        let (sender, runs) = mpsc::channel(RUNS);
        let (orders, received) = watch::channel(Orders { durable: from, asked: 0, closing: false });
        let silence = wal_sender_timeout.map_or(SILENCE_MAX, |timeout| (timeout * 2).clamp(SILENCE, SILENCE_MAX));
        let pump = Pump {
            wire,
            runs: sender,
            room: Arc::new(Semaphore::new(WAITING_BYTES)),
            orders: received,
            passed: from,
            every: every.max(STATUS_INTERVAL_MIN),
            silence,
        };
        let pump = tokio::spawn(pump.run());
        Ok(Self { runs, taken: VecDeque::new(), room: None, orders, pump, asked_at: Instant::now() })
    }

    /// The next message: the one that is there, or that comes before `until`. `None` without one.
    ///
    /// `eager`: somebody waits to hear how far the server is.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) async fn next(&mut self, until: Option<Instant>, eager: bool) -> Result<Option<Fed>> {
        loop {
            if let Some(fed) = self.taken.pop_front() {
                return Ok(Some(fed));
            }
            self.room = None;
            let run = match until {
                None => match self.runs.try_recv() {
                    Ok(run) => Some(run),
                    Err(mpsc::error::TryRecvError::Empty) => return Ok(None),
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                },
                Some(until) => {
                    let ask_at = self.asked_at + if eager { ASK_EAGERLY } else { ASK };
                    match timeout_at(until.min(ask_at), self.runs.recv()).await {
                        Ok(run) => run,
                        Err(_) if Instant::now() >= until => return Ok(None),
                        Err(_) => {
                            self.ask();
                            continue;
                        }
                    }
                }
            };
            let ended = || Error::new(ErrorKind::Unavailable, "the replication connection has ended");
            let (run, room) = run.ok_or_else(ended)??;
            self.taken.extend(run);
            self.room = Some(room);
        }
    }

    fn ask(&mut self) {
        self.asked_at = Instant::now();
        self.orders.send_modify(|orders| orders.asked += 1);
    }

    /// Everything before is durable: the server may forget it. Told at once.
    pub(crate) fn confirm(&self, durable: Lsn) {
        self.orders.send_if_modified(|orders| {
            let is_news = durable > orders.durable;
            orders.durable = orders.durable.max(durable);
            is_news
        });
    }

    /// Stops: what was confirmed is told first.
    ///
    /// # Errors
    /// None: a server that does not answer is left.
    pub(crate) async fn close(self) -> Result<()> {
        let Self { runs, orders, pump, .. } = self;
        orders.send_modify(|orders| orders.closing = true);
        drop(runs);
        let stop = pump.abort_handle();
        if timeout(CLOSE_TIMEOUT, pump).await.is_err() {
            stop.abort();
        }
        Ok(())
    }
}

/// The task's side.
struct Pump {
    wire: Wire,
    runs: mpsc::Sender<Result<Run>>,
    room: Arc<Semaphore>,
    orders: watch::Receiver<Orders>,
    /// Up to where the server has sent everything.
    passed: Lsn,
    every: Duration,
    silence: Duration,
}

impl Pump {
    async fn run(mut self) {
        if let Err(error) = self.stream().await {
            // Without a receiver nobody wants to know.
            let _ = self.runs.send(Err(error)).await;
        }
    }

    async fn stream(&mut self) -> Result<()> {
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = self.orders.borrow().asked;
        let mut waiting: Option<Vec<Fed>> = None;
        let mut heard_at = Instant::now();
        let mut pace = Pace::new(heard_at);
        loop {
            if waiting.is_none() {
                waiting = self.cut().await?;
            }
            let runs = self.runs.clone();
            let has_room = room(&self.room, waiting.as_deref().unwrap_or_default());
            tokio::select! {
                biased;
                changed = self.orders.changed() => {
                    let orders = *self.orders.borrow_and_update();
                    if changed.is_err() || orders.closing {
                        return self.stop(orders.durable).await;
                    }
                    self.wire.status(self.passed, orders.durable, orders.asked != asked).await?;
                    asked = orders.asked;
                }
                free = async { (has_room.await, runs.reserve().await) }, if waiting.is_some() => {
                    heard_at = Instant::now();
                    // Otherwise nobody takes it any more, and the orders will say so.
                    if let ((Some(room), Ok(permit)), Some(run)) = (free, waiting.take()) {
                        permit.send(Ok((run, room)));
                    }
                }
                filled = timeout_at(heard_at + self.silence, pace.fill(&mut self.wire)), if waiting.is_none() => match filled {
                    Ok(read) => {
                        heard_at = Instant::now();
                        pace.has_read(read?, heard_at);
                    }
                    Err(_) => {
                        let silent = format!("the server was silent for {} seconds", self.silence.as_secs());
                        return Err(Error::new(ErrorKind::Timeout, silent));
                    }
                },
                _ = tick.tick() => {
                    // With a question, so that a server that lives is heard also when it has nothing to send.
                    let durable = self.orders.borrow().durable;
                    self.wire.status(self.passed, durable, true).await?;
                }
            }
        }
    }

    /// Cuts what was read into messages, and answers the server where it asks.
    async fn cut(&mut self) -> Result<Option<Vec<Fed>>> {
        let mut run = Vec::new();
        while let Some(message) = self.wire.streamed()? {
            match message {
                Streamed::Data(message) => run.push(Fed::Message(message)),
                Streamed::Keepalive { end, reply } => {
                    self.passed = self.passed.max(end);
                    if matches!(run.last(), Some(Fed::Passed(_))) {
                        run.pop();
                    }
                    run.push(Fed::Passed(end));
                    if reply {
                        let durable = self.orders.borrow().durable;
                        self.wire.status(self.passed, durable, false).await?;
                    }
                }
                Streamed::End => {
                    return Err(Error::new(ErrorKind::Unavailable, "the server has ended the replication stream"));
                }
            }
        }
        Ok(if run.is_empty() { None } else { Some(run) })
    }

    /// Tells what is durable, and reads on until the server has stopped: a connection that is cut with unread data may
    /// lose what was told last.
    async fn stop(&mut self, durable: Lsn) -> Result<()> {
        self.wire.status(self.passed.max(durable), durable, false).await?;
        self.wire.copy_done().await?;
        let drained = async {
            loop {
                while let Some(message) = self.wire.streamed()? {
                    if matches!(message, Streamed::End) {
                        return Ok::<(), Error>(());
                    }
                }
                self.wire.fill().await?;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT / 2, drained).await;
        self.wire.terminate().await
    }
}

/// How fast reads follow each other.
#[derive(Debug)]
struct Pace {
    /// When the first of `reads` came.
    since: Instant,
    reads: u32,
    /// The last rest, and when the one that is going on is over.
    rest: Option<Duration>,
    rest_until: Option<Instant>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, reads: 0, rest: None, rest_until: None }
    }

    /// Reads when the rest is over. May be cancelled.
    async fn fill(&self, wire: &mut Wire) -> Result<Filled> {
        if let Some(rest_until) = self.rest_until {
            wire.rest()?;
            sleep_until(rest_until).await;
        }
        wire.fill().await
    }

    /// A read has ended now.
    fn has_read(&mut self, filled: Filled, now: Instant) {
        self.rest_until = None;
        if filled.is_full {
            return;
        }
        self.rest = match self.rest {
            Some(rest) if filled.bytes >= WORTH_A_REST_BYTES => Some((rest * 2).min(REST_MAX)),
            Some(_) => None,
            None => self.is_dense(now).then_some(REST),
        };
        self.rest_until = self.rest.map(|rest| now + rest);
    }

    /// Whether this read is one of many.
    fn is_dense(&mut self, now: Instant) -> bool {
        if now - self.since >= REST {
            (self.since, self.reads) = (now, 0);
        }
        self.reads += 1;
        self.reads >= READS_BEFORE_REST
    }
}

/// Waits for the room that messages need; `None` never happens, the room is not closed.
async fn room(room: &Arc<Semaphore>, run: &[Fed]) -> Option<OwnedSemaphorePermit> {
    let of = |fed: &Fed| match fed {
        Fed::Message(message) => message.len(),
        Fed::Passed(_) => 0,
    };
    let bytes = run.iter().map(of).sum::<usize>().min(WAITING_BYTES);
    room.clone().acquire_many_owned(bytes as u32).await.ok()
}
