//! Packets of the client/server protocol, and refusals in them.

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Length of a packet's header: three bytes of length, one of sequence.
const HEADER_BYTES: usize = 4;
/// A packet of this length is continued by the next one.
const CONTINUED: usize = 0xff_ffff;
/// What a server sends as one event at most (`slave_max_allowed_packet` ends there).
const PACKET_BYTES_MAX: usize = 1 << 30;
/// Asked of the system at a time.
const READ_BYTES: usize = 256 << 10;

/// What bytes travel over.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A server's "no".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerRefusal {
    pub code: u16,
    pub message: String,
}

impl From<ServerRefusal> for mysql_async::Error {
    fn from(refusal: ServerRefusal) -> Self {
        Self::Server(mysql_async::ServerError { code: refusal.code, message: refusal.message, state: String::new() })
    }
}

/// Reads a refusal: 0xff, the number, perhaps `#` and an SQL state, the text.
pub(super) fn server_error(packet: &[u8]) -> ServerRefusal {
    let code = packet.get(1..3).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
    let text = packet.get(3..).unwrap_or_default();
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    ServerRefusal { code, message: String::from_utf8_lossy(text).into_owned() }
}

/// A connection, cut into packets.
pub(super) struct Packets {
    io: Box<dyn Io>,
    arrived: BytesMut,
    /// Parts of a packet whose last part has not come.
    joined: BytesMut,
    sequence: u8,
    /// The server, for messages.
    place: String,
}

impl Packets {
    pub fn new(io: Box<dyn Io>, place: String) -> Self {
        Self { io, arrived: BytesMut::new(), joined: BytesMut::new(), sequence: 0, place }
    }

    /// Takes the stream out, to wrap it; the sequence goes on.
    pub fn into_parts(self) -> (Box<dyn Io>, u8) {
        (self.io, self.sequence)
    }

    /// Goes on at a sequence number.
    pub fn at(mut self, sequence: u8) -> Self {
        self.sequence = sequence;
        self
    }

    /// Begins a command: its first packet has the number 0.
    pub fn begin(&mut self) {
        self.sequence = 0;
    }

    /// The next packet, when it is already here.
    pub fn buffered(&mut self) -> Result<Option<BytesMut>> {
        loop {
            let Some(header) = self.arrived.get(..HEADER_BYTES) else { return Ok(None) };
            let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
            let sequence = header[3];
            if self.arrived.len() < HEADER_BYTES + length {
                return Ok(None);
            }
            self.arrived.advance(HEADER_BYTES);
            self.sequence = sequence.wrapping_add(1);
            let part = self.arrived.split_to(length);
            if length < CONTINUED && self.joined.is_empty() {
                return Ok(Some(part));
            }
            if self.joined.len() + length > PACKET_BYTES_MAX + 1 {
                return Err(Error::new(
                    ErrorKind::Data,
                    format!("{} sends a packet of more than {PACKET_BYTES_MAX} bytes", self.place),
                ));
            }
            self.joined.extend_from_slice(&part);
            if length < CONTINUED {
                return Ok(Some(std::mem::take(&mut self.joined)));
            }
        }
    }

    /// Waits for the next packet. May be dropped and called again: nothing is lost.
    pub async fn read(&mut self) -> Result<BytesMut> {
        loop {
            if let Some(packet) = self.buffered()? {
                return Ok(packet);
            }
            self.arrived.reserve(READ_BYTES);
            let read = self.io.read_buf(&mut self.arrived).await;
            match read {
                Ok(0) => {
                    return Err(Error::new(ErrorKind::Unavailable, format!("{} closed the connection", self.place)));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(
                        Error::new(ErrorKind::Unavailable, format!("reading from {}", self.place)).with_source(error)
                    );
                }
            }
        }
    }

    /// Sends a packet, which is shorter than 16 MiB.
    pub async fn write(&mut self, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len()).ok().filter(|&length| (length as usize) < CONTINUED);
        let length = length.ok_or_else(|| Error::bug("a packet of ours is longer than 16 MiB"))?;
        let mut packet = Vec::with_capacity(HEADER_BYTES + payload.len());
        packet.extend_from_slice(&length.to_le_bytes()[..3]);
        packet.push(self.sequence);
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        let sent = async {
            self.io.write_all(&packet).await?;
            self.io.flush().await
        };
        sent.await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("writing to {}", self.place)).with_source(error)
        })
    }

    /// Sends a command and expects "done".
    ///
    /// # Errors
    /// The server's refusal, as `error::failed` reads it.
    pub async fn command(&mut self, payload: &[u8]) -> Result<()> {
        self.begin();
        self.write(payload).await?;
        let answer = self.read().await?;
        match answer.first() {
            Some(0) => Ok(()),
            Some(0xff) => Err(self.refused(server_error(&answer))),
            _ => Err(Error::bug("a statement before the binary log returned rows")),
        }
    }

    /// A refusal as an error.
    pub fn refused(&self, refusal: ServerRefusal) -> Error {
        crate::mysql::error::failed(refusal.into(), format!("connecting to {}", self.place))
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// Closes the stream; a server that is gone is no error.
    pub async fn close(mut self) {
        if let Err(error) = self.io.shutdown().await {
            tracing::debug!(%error, "the binary log's connection was already gone");
        }
    }
}
