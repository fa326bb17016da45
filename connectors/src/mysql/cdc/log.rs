//! The log as single events, each with the place where it begins.

use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::mark::LogPlace;
use super::wire::{Wire, WireError};
use crate::mysql::binlog::{
    Checksum, EventHeader, Flavor, Format, HEADER_BYTES, Payload, PayloadEvents, RawEvent, kind, split_event,
};

/// Positions of the log's events are sent modulo this.
const WRAP: u64 = 1 << 32;
/// A position this much lower than the one before has wrapped; smaller steps back are events that stand in no file.
const WRAP_STEP: u64 = 1 << 31;
/// Where the number of an event's type stands.
const EVENT_TYPE_AT: usize = 4;
/// After so many heartbeats have not come, the server is taken for gone.
const HEARTBEATS_MISSED_MAX: u32 = 4;
/// A server that is merely busy may be silent for so long.
const SILENCE_MIN: Duration = Duration::from_secs(30);

/// One event.
#[derive(Debug)]
pub(super) struct LogEvent {
    pub header: EventHeader,
    /// Everything between header and checksum.
    pub body: BytesMut,
    /// Where it begins in the file; for an event of a compressed transaction, where that one does.
    pub start: u64,
}

/// The log, arriving.
pub(super) struct Log {
    wire: Wire,
    checksum: Checksum,
    flavor: Flavor,
    file: String,
    /// Where the next event begins.
    position: u64,
    /// Events of a compressed transaction that is being read.
    payload: Option<PayloadEvents>,
    /// Where that one begins.
    payload_start: u64,
    /// Looked at, and to be read again.
    kept: Option<LogEvent>,
    heartbeat: Duration,
    /// How long was waited without anything coming.
    silence: Duration,
}

impl Log {
    pub fn new(wire: Wire, heartbeat: Duration) -> Self {
        Self {
            wire,
            checksum: Checksum::None,
            flavor: Flavor::MySql,
            file: String::new(),
            position: 0,
            payload: None,
            payload_start: 0,
            kept: None,
            heartbeat,
            silence: Duration::ZERO,
        }
    }

    /// Which server writes the log; known once its first events have come.
    pub fn flavor(&self) -> Flavor {
        self.flavor
    }

    /// The file that is being read.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the next event begins.
    pub fn place(&self) -> LogPlace {
        LogPlace::new(&self.file, self.position)
    }

    /// Goes on in another file.
    pub fn rotate(&mut self, file: String, position: u64) {
        self.file = file;
        self.position = position;
    }

    /// Gives an event back: it is the next one again.
    pub fn keep(&mut self, event: LogEvent) {
        self.kept = Some(event);
    }

    /// The next event; `None` when none comes within `wait`. May be dropped and called again.
    ///
    /// # Errors
    /// The server's refusal; `Unavailable` when it is gone or silent; `Data` for bytes that are no event.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<LogEvent>, WireError> {
        if let Some(event) = self.kept.take() {
            return Ok(Some(event));
        }
        if let Some(event) = self.of_payload()? {
            return Ok(Some(event));
        }
        let bytes = match self.wire.buffered()? {
            Some(bytes) => bytes,
            None => match self.arriving(wait).await? {
                Some(bytes) => bytes,
                None => return Ok(None),
            },
        };
        self.silence = Duration::ZERO;
        let event = self.event(bytes)?;
        if event.header.event_type == kind::TRANSACTION_PAYLOAD {
            self.payload = Some(Payload::parse(&event.body).map_err(Error::from)?.events()?);
            self.payload_start = event.start;
            return match self.of_payload()? {
                Some(event) => Ok(Some(event)),
                None => Err(Error::new(ErrorKind::Data, "a compressed transaction of the binary log is empty").into()),
            };
        }
        Ok(Some(event))
    }

    /// Asks the system, and gives other tasks their turn.
    async fn arriving(&mut self, wait: Duration) -> Result<Option<BytesMut>, WireError> {
        if wait.is_zero() {
            // Without the scheduler's budget, which would make a full socket look empty now and then.
            let ready = tokio::task::unconstrained(tokio::time::timeout(Duration::ZERO, self.wire.next())).await;
            tokio::task::yield_now().await;
            return ready.ok().transpose();
        }
        let began = Instant::now();
        match tokio::time::timeout(wait, self.wire.next()).await {
            Ok(arrived) => arrived.map(Some),
            Err(_) => {
                self.silence += began.elapsed();
                if self.silence > (self.heartbeat * HEARTBEATS_MISSED_MAX).max(SILENCE_MIN) {
                    let text =
                        format!("the server sent nothing for {} seconds, not even a heartbeat", self.silence.as_secs());
                    return Err(Error::new(ErrorKind::Unavailable, text).into());
                }
                Ok(None)
            }
        }
    }

    fn of_payload(&mut self) -> Result<Option<LogEvent>> {
        let Some(payload) = &mut self.payload else { return Ok(None) };
        match payload.next_event()? {
            Some(raw) => {
                Ok(Some(LogEvent { header: raw.header, body: BytesMut::from(raw.body), start: self.payload_start }))
            }
            None => {
                self.payload = None;
                Ok(None)
            }
        }
    }

    /// Takes an event apart.
    ///
    /// A rotation that the server makes up, the first event of all, does not say whether it has a checksum.
    fn split<'a>(&self, bytes: &'a [u8]) -> Result<RawEvent<'a>> {
        if bytes.get(EVENT_TYPE_AT) == Some(&kind::ROTATE)
            && let Ok(event) = split_event(bytes, Checksum::Crc32)
        {
            return Ok(event);
        }
        let is_rotation = bytes.get(EVENT_TYPE_AT) == Some(&kind::ROTATE);
        split_event(bytes, if is_rotation && self.file.is_empty() { Checksum::None } else { self.checksum })
    }

    fn event(&mut self, mut bytes: BytesMut) -> Result<LogEvent> {
        let raw = self.split(&bytes)?;
        let (header, length) = (raw.header, raw.body.len());
        if header.event_type == kind::FORMAT_DESCRIPTION {
            let format = Format::parse(&header, raw.body)?;
            self.checksum = format.checksum;
            self.flavor = format.flavor;
        }
        bytes.advance(HEADER_BYTES);
        bytes.truncate(length);
        let start = self.advance(&header);
        Ok(LogEvent { header, body: bytes, start })
    }

    /// Moves on behind an event; where it begins.
    fn advance(&mut self, header: &EventHeader) -> u64 {
        let made_up = header.next_position == 0 || header.is_artificial();
        if made_up || matches!(header.event_type, kind::HEARTBEAT | kind::HEARTBEAT_V2) {
            return self.position;
        }
        let low = u64::from(header.next_position);
        let mut end = self.position - self.position % WRAP + low;
        if end + WRAP_STEP < self.position {
            end += WRAP;
        }
        if end <= self.position {
            // Sent once more at the beginning of a connection.
            return self.position;
        }
        self.position = end;
        end.saturating_sub(u64::from(header.size))
    }

    pub async fn close(self) {
        self.wire.close().await;
    }
}
