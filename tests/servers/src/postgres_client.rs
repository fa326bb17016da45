//! PostgreSQL's simple query protocol, as far as an administrator who is trusted needs it.
//!
//! PostgreSQL 15 manual, 55.2 "Message Flow": start-up, simple query, several statements in one message.

use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::client::{Rows, SqlError};

/// The longest that a statement of a test may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(900);
const PROTOCOL: i32 = 196_608;

/// A session over a socket file.
#[derive(Debug)]
pub(crate) struct PostgresClient {
    stream: UnixStream,
}

impl PostgresClient {
    /// Opens a session as `postgres`, who is trusted on the socket.
    pub(crate) fn connect(socket: &Path, database: &str) -> Result<Self, SqlError> {
        let open = || -> IoResult<Self> {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            let mut start = PROTOCOL.to_be_bytes().to_vec();
            for text in ["user", "postgres", "database", database, "client_encoding", "UTF8"] {
                start.extend(text.as_bytes());
                start.push(0);
            }
            start.push(0);
            stream.write_all(&(start.len() as i32 + 4).to_be_bytes())?;
            stream.write_all(&start)?;
            Ok(Self { stream })
        };
        let mut client = open().map_err(|error| SqlError::broken(&error))?;
        client.results()?;
        Ok(client)
    }

    /// Runs statements; rows of the last one that has any.
    pub(crate) fn run(&mut self, sql: &str) -> Result<Rows, SqlError> {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat())?;
        self.results()
    }

    /// Reads until the server is ready for the next query.
    fn results(&mut self) -> Result<Rows, SqlError> {
        let (mut rows, mut refused) = (Rows::new(), None);
        loop {
            let (kind, body) = self.read()?;
            match kind {
                b'Z' => return refused.map_or(Ok(rows), Err),
                b'T' => rows = Rows::new(),
                b'D' => rows.push(row(&body)),
                b'E' => {
                    let error = refusal(&body);
                    // Before a session there is no "ready": the server hangs up.
                    if error.code.starts_with("28") || error.code.starts_with("57P") || error.code.starts_with("3D") {
                        return Err(error);
                    }
                    refused = Some(error);
                }
                b'R' if body != [0, 0, 0, 0] => return Err(unexpected("a password is asked for")),
                b'G' => self.send(b'f', b"COPY FROM STDIN is not for this client\0")?,
                _ => {}
            }
        }
    }

    fn send(&mut self, kind: u8, body: &[u8]) -> Result<(), SqlError> {
        let mut message = vec![kind];
        message.extend((body.len() as i32 + 4).to_be_bytes());
        message.extend(body);
        self.stream.write_all(&message).map_err(|error| SqlError::broken(&error))
    }

    fn read(&mut self) -> Result<(u8, Vec<u8>), SqlError> {
        let mut read = || -> IoResult<(u8, Vec<u8>)> {
            let mut head = [0; 5];
            self.stream.read_exact(&mut head)?;
            let length = i32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; usize::try_from(length - 4).unwrap_or_default()];
            self.stream.read_exact(&mut body)?;
            Ok((head[0], body))
        };
        read().map_err(|error| SqlError::broken(&error))
    }
}

fn unexpected(what: &str) -> SqlError {
    SqlError::broken(&Error::new(ErrorKind::InvalidData, what.to_owned()))
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let columns = usize::from(u16::from_be_bytes([body[0], body[1]]));
    let mut at = 2;
    let mut value = || {
        let length = i32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        at += 4;
        let length = usize::try_from(length).ok()?;
        at += length;
        Some(String::from_utf8_lossy(&body[at - length..at]).into_owned())
    };
    (0..columns).map(|_| value()).collect()
}

fn refusal(body: &[u8]) -> SqlError {
    let field = |wanted: u8| {
        let found = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&wanted));
        found.map(|field| String::from_utf8_lossy(&field[1..]).into_owned()).unwrap_or_default()
    };
    SqlError { code: field(b'C'), message: field(b'M') }
}
