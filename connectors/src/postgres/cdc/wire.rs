//! A connection in replication mode: login, the command that begins to stream, and messages as they come.
//!
//! PostgreSQL 18 manual, 54.4 "Streaming Replication Protocol". The client library has no replication mode.

use std::io;

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::backend::{ErrorFields, Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::login;
use super::mark::Lsn;
use super::socket::Socket;
use crate::postgres::address::Address;
use crate::postgres::error::Refusal;
use crate::postgres::tls::{TlsMode, TlsSession};

/// Room for what one read of the socket brings.
const READ_BYTES: usize = 64 << 10;
/// New room is made when there is less.
const READ_BYTES_MIN: usize = READ_BYTES / 4;
/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

/// A socket, encrypted or not.
pub(super) trait Line: AsyncRead + AsyncWrite + Send + Unpin {
    /// Leaves the socket alone until it is read or written again: what arrives wakes nobody.
    ///
    /// # Errors
    /// Those of the system; then the socket is gone.
    fn rest(&mut self) -> io::Result<()>;
}

impl Line for Socket<TcpStream> {
    fn rest(&mut self) -> io::Result<()> {
        Socket::rest(self)
    }
}

impl Line for Socket<UnixStream> {
    fn rest(&mut self) -> io::Result<()> {
        Socket::rest(self)
    }
}

impl Line for TlsSession<Socket<TcpStream>> {
    fn rest(&mut self) -> io::Result<()> {
        self.line().rest()
    }
}

/// See the module.
pub(super) struct Wire {
    pub(super) line: Box<dyn Line>,
    pub(super) received: BytesMut,
    pub(super) sent: BytesMut,
    /// What the server sends while it streams.
    doing: String,
}

/// What one read of the socket brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    pub(super) bytes: usize,
    /// All the room was filled: more may be waiting.
    pub(super) is_full: bool,
}

/// What the server sends while it streams.
#[derive(Debug)]
pub(super) enum Streamed {
    /// A message of the output plugin.
    Data(Bytes),
    /// Everything before was sent; `reply`: an answer is wanted.
    Keepalive { end: Lsn, reply: bool },
    /// It has stopped.
    End,
}

impl Wire {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As for `connection::connect`.
    pub(super) async fn connect(address: &Address) -> Result<Self> {
        let doing = format!("cannot connect to PostgreSQL at {address} for replication");
        let attempt = async {
            let (line, end_point) = Self::line(address, &doing).await?;
            let (received, sent) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
            let mut wire = Self { line, received, sent, doing };
            login::run(&mut wire, address, end_point).await?;
            Ok(wire)
        };
        match tokio::time::timeout(address.connect_timeout, attempt).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("PostgreSQL at {address} does not answer"))),
        }
    }

    /// The socket, with the hash of the server's certificate where there is one.
    async fn line(address: &Address, doing: &str) -> Result<(Box<dyn Line>, Option<Vec<u8>>)> {
        let lost = |error: io::Error| Error::new(ErrorKind::Unavailable, doing).with_source(error);
        if address.is_local() {
            let path = format!("{}/.s.PGSQL.{}", address.host, address.port);
            return Ok((Box::new(Socket::new(UnixStream::connect(path).await.map_err(lost)?)), None));
        }
        let socket = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(lost)?;
        socket.set_nodelay(true).map_err(lost)?;
        let mut socket = Socket::new(socket);
        if address.tls.mode == TlsMode::Disable {
            return Ok((Box::new(socket), None));
        }
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        socket.write_all(&request).await.map_err(lost)?;
        if socket.read_u8().await.map_err(lost)? == b'S' {
            let session = address.tls.load()?.handshake(&address.host, socket).await?;
            let end_point = session.end_point().map(<[u8]>::to_vec);
            return Ok((Box::new(session), end_point));
        }
        if address.tls.mode == TlsMode::Prefer {
            return Ok((Box::new(socket), None));
        }
        Err(Error::config(format!("{doing}: the server offers no TLS"))
            .with_setting("url")
            .with_hint("set `ssl = on` at the server, or sslmode=prefer in the address"))
    }

    /// Begins to stream; from now on only [`Wire::streamed`] and [`Wire::status`] are used.
    ///
    /// # Errors
    /// Those of the server, by SQLSTATE.
    pub(super) async fn start(&mut self, command: &str) -> Result<()> {
        self.doing = "cannot read the log".to_owned();
        frontend::query(command, &mut self.sent).map_err(|error| self.lost(error))?;
        self.send().await?;
        loop {
            self.fill_until_frame().await?;
            match self.received[0] {
                b'W' => {
                    self.frame();
                    return Ok(());
                }
                _ => match self.message()? {
                    Message::ErrorResponse(body) => return Err(self.refused(&mut body.fields())),
                    Message::NoticeResponse(_) | Message::ParameterStatus(_) => {}
                    _ => return Err(self.unexpected()),
                },
            }
        }
    }

    /// The next message that is there already; `None` when another read is needed.
    pub(super) fn streamed(&mut self) -> Result<Option<Streamed>> {
        loop {
            if !self.has_frame()? {
                return Ok(None);
            }
            if self.received[0] != b'd' {
                match self.message()? {
                    Message::CopyDone | Message::CommandComplete(_) | Message::ReadyForQuery(_) => {
                        return Ok(Some(Streamed::End));
                    }
                    Message::ErrorResponse(body) => return Err(self.refused(&mut body.fields())),
                    Message::NoticeResponse(_) | Message::ParameterStatus(_) => continue,
                    _ => return Err(self.unexpected()),
                }
            }
            let mut body = self.frame();
            let is_long_enough = |needed: usize| if body.len() < needed { Err(self.unexpected()) } else { Ok(()) };
            is_long_enough(1)?;
            match body[0] {
                b'w' => {
                    is_long_enough(25)?;
                    body.advance(25);
                    return Ok(Some(Streamed::Data(body)));
                }
                b'k' => {
                    is_long_enough(18)?;
                    body.advance(1);
                    let end = Lsn(body.get_u64());
                    body.advance(8);
                    return Ok(Some(Streamed::Keepalive { end, reply: body.get_u8() == 1 }));
                }
                _ => return Err(self.unexpected()),
            }
        }
    }

    /// Reads what the socket has; may be cancelled.
    pub(super) async fn fill(&mut self) -> Result<Filled> {
        if self.received.capacity() - self.received.len() < READ_BYTES_MIN {
            self.received.reserve(READ_BYTES);
        }
        let room = self.received.capacity() - self.received.len();
        match self.line.read_buf(&mut self.received).await {
            Ok(0) => {
                Err(Error::new(ErrorKind::Unavailable, format!("{}: the server closed the connection", self.doing)))
            }
            Ok(bytes) => Ok(Filled { bytes, is_full: bytes == room }),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Nothing wakes us until the next call.
    ///
    /// # Errors
    /// `Unavailable` when the socket is lost.
    pub(super) fn rest(&mut self) -> Result<()> {
        self.line.rest().map_err(|error| self.lost(error))
    }

    /// Tells the server how far we are: what was received, and what is durable.
    pub(super) async fn status(&mut self, received: Lsn, durable: Lsn, wants_reply: bool) -> Result<()> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_us = now.map_or(0, |since| since.as_micros() as i64) - EPOCH_2000_US;
        let mut body = Vec::with_capacity(34);
        body.push(b'r');
        for lsn in [received.max(durable), durable, durable] {
            body.extend_from_slice(&lsn.0.to_be_bytes());
        }
        body.extend_from_slice(&now_us.to_be_bytes());
        body.push(u8::from(wants_reply));
        frontend::CopyData::new(body.as_slice()).map_err(|error| self.lost(error))?.write(&mut self.sent);
        self.send().await
    }

    /// Asks the server to stop.
    pub(super) async fn copy_done(&mut self) -> Result<()> {
        frontend::copy_done(&mut self.sent);
        self.send().await
    }

    /// Ends the session.
    pub(super) async fn terminate(&mut self) -> Result<()> {
        frontend::terminate(&mut self.sent);
        self.send().await
    }

    pub(super) async fn send(&mut self) -> Result<()> {
        let result = async {
            self.line.write_all(&self.sent).await?;
            self.line.flush().await
        };
        let result = result.await;
        self.sent.clear();
        result.map_err(|error| self.lost(error))
    }

    pub(super) async fn fill_until_frame(&mut self) -> Result<()> {
        while !self.has_frame()? {
            self.fill().await?;
        }
        Ok(())
    }

    fn has_frame(&self) -> Result<bool> {
        let header = Header::parse(&self.received).map_err(|error| self.unexpected().with_source(error))?;
        Ok(header.is_some_and(|header| self.received.len() > header.len() as usize))
    }

    /// The body of the frame that is known to be there.
    fn frame(&mut self) -> Bytes {
        let length = u32::from_be_bytes([self.received[1], self.received[2], self.received[3], self.received[4]]);
        let mut frame = self.received.split_to(1 + length as usize).freeze();
        frame.advance(5);
        frame
    }

    pub(super) fn message(&mut self) -> Result<Message> {
        let message = Message::parse(&mut self.received).map_err(|error| self.unexpected().with_source(error))?;
        message.ok_or_else(|| self.unexpected())
    }

    /// The server's refusal, with the line of pg_hba.conf where one is missing.
    pub(super) fn refused(&self, fields: &mut ErrorFields<'_>) -> Error {
        use tokio_postgres::fallible_iterator::FallibleIterator;
        let (mut code, mut message, mut hint) = (String::new(), String::new(), None);
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => code = text,
                b'M' => message = text,
                b'H' => hint = Some(text),
                _ => {}
            }
        }
        let hint = hint.as_deref();
        Refusal { code: &code, message: &message, hint, constraint: None, column: None }.error(&self.doing)
    }

    pub(super) fn unexpected(&self) -> Error {
        Error::bug(format!("{}: the server sent what the protocol does not have here", self.doing))
    }

    pub(super) fn lost(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, self.doing.clone()).with_source(error)
    }
}
