//! The MySQL text protocol, as far as an administrator without a password needs it.
//!
//! MySQL 8.0 manual, "Client/Server Protocol": handshake 10, COM_QUERY with several statements, text result sets.

use std::io::{Error, ErrorKind, Read, Result as IoResult, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::client::{Rows, SqlError};

/// The longest that a statement of a test may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(900);
/// Payload bytes of a packet that is continued by the next.
const PACKET_MAX: usize = 0xff_ffff;
/// utf8mb4_general_ci: known to MariaDB and MySQL alike.
const CHARSET: u8 = 45;
const CONNECT_WITH_DB: u32 = 1 << 3;
/// LONG_PASSWORD, LONG_FLAG, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_STATEMENTS, MULTI_RESULTS, PLUGIN_AUTH.
const CAPABILITIES: u32 = 1 | 1 << 2 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 19;
const MORE_RESULTS: u16 = 0x0008;

/// A session over a socket file.
#[derive(Debug)]
pub(crate) struct MySqlClient {
    stream: UnixStream,
    sequence: u8,
}

enum Answer {
    /// A statement without rows is done; its status flags.
    Done(u16),
    /// Rows with this many columns follow.
    Columns(u64),
    Refused(SqlError),
}

impl MySqlClient {
    /// Opens a session as `root` without a password.
    pub(crate) fn connect(socket: &Path, database: Option<&str>) -> Result<Self, SqlError> {
        let open = || -> IoResult<Self> {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            Ok(Self { stream, sequence: 0 })
        };
        let mut client = open().map_err(|error| SqlError::broken(&error))?;
        client.log_in(database)?;
        Ok(client)
    }

    fn log_in(&mut self, database: Option<&str>) -> Result<(), SqlError> {
        let greeting = self.read()?;
        if greeting.first() == Some(&0xff) {
            return Err(refusal(&greeting));
        }
        let plugin = if greeting.windows(12).any(|part| part == b"caching_sha2") {
            "caching_sha2_password"
        } else {
            "mysql_native_password"
        };
        let mut reply = Vec::new();
        let wants_database = if database.is_some() { CONNECT_WITH_DB } else { 0 };
        reply.extend((CAPABILITIES | wants_database).to_le_bytes());
        reply.extend((1_u32 << 30).to_le_bytes());
        reply.push(CHARSET);
        reply.extend([0; 23]);
        reply.extend(b"root\0");
        reply.push(0); // no password: an empty proof
        for text in database.iter().chain([&plugin]) {
            reply.extend(text.as_bytes());
            reply.push(0);
        }
        self.write(&reply)?;
        loop {
            let packet = self.read()?;
            match packet.first() {
                Some(0) => return Ok(()),
                Some(0xff) => return Err(refusal(&packet)),
                // Another plugin, or "full authentication": without a password both want an empty proof.
                _ => self.write(&[])?,
            }
        }
    }

    /// Runs statements; rows of the last one that has any.
    pub(crate) fn run(&mut self, sql: &str) -> Result<Rows, SqlError> {
        self.sequence = 0;
        let mut command = vec![3];
        command.extend(sql.as_bytes());
        self.write(&command)?;
        let mut rows = Rows::new();
        loop {
            let status = match answer(&self.read()?) {
                Answer::Done(status) => status,
                Answer::Refused(error) => return Err(error),
                Answer::Columns(columns) => {
                    for _ in 0..columns {
                        self.read()?;
                    }
                    self.read()?;
                    let (found, status) = self.rows()?;
                    rows = found;
                    status
                }
            };
            if status & MORE_RESULTS == 0 {
                return Ok(rows);
            }
        }
    }

    fn rows(&mut self) -> Result<(Rows, u16), SqlError> {
        let mut rows = Rows::new();
        loop {
            let packet = self.read()?;
            match packet.first() {
                Some(0xfe) if packet.len() < 9 => return Ok((rows, u16::from_le_bytes([packet[3], packet[4]]))),
                Some(0xff) => return Err(refusal(&packet)),
                _ => rows.push(row(&packet)),
            }
        }
    }

    fn read(&mut self) -> Result<Vec<u8>, SqlError> {
        let mut read = || -> IoResult<Vec<u8>> {
            let mut payload = Vec::new();
            loop {
                let mut head = [0; 4];
                self.stream.read_exact(&mut head)?;
                let length = u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize;
                self.sequence = head[3].wrapping_add(1);
                let start = payload.len();
                payload.resize(start + length, 0);
                self.stream.read_exact(&mut payload[start..])?;
                if length < PACKET_MAX {
                    return Ok(payload);
                }
            }
        };
        read().map_err(|error| SqlError::broken(&error))
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), SqlError> {
        let mut write = || -> IoResult<()> {
            let mut rest = payload;
            loop {
                let part = &rest[..rest.len().min(PACKET_MAX)];
                let length = (part.len() as u32).to_le_bytes();
                self.stream.write_all(&[length[0], length[1], length[2], self.sequence])?;
                self.stream.write_all(part)?;
                self.sequence = self.sequence.wrapping_add(1);
                rest = &rest[part.len()..];
                if part.len() < PACKET_MAX {
                    return Ok(());
                }
            }
        };
        write().map_err(|error| SqlError::broken(&error))
    }
}

fn answer(packet: &[u8]) -> Answer {
    let mut at = 0;
    match packet.first() {
        Some(0xff) => Answer::Refused(refusal(packet)),
        Some(0) => {
            at += 1;
            number(packet, &mut at);
            number(packet, &mut at);
            Answer::Done(u16::from_le_bytes([packet[at], packet[at + 1]]))
        }
        Some(_) => Answer::Columns(number(packet, &mut at).unwrap_or_default()),
        None => Answer::Refused(SqlError::broken(&Error::new(ErrorKind::InvalidData, "an empty packet"))),
    }
}

/// A length-encoded number; `None` is NULL.
fn number(packet: &[u8], at: &mut usize) -> Option<u64> {
    let width = match packet[*at] {
        0xfb => {
            *at += 1;
            return None;
        }
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        small => {
            *at += 1;
            return Some(u64::from(small));
        }
    };
    let mut bytes = [0; 8];
    bytes[..width].copy_from_slice(&packet[*at + 1..*at + 1 + width]);
    *at += 1 + width;
    Some(u64::from_le_bytes(bytes))
}

fn row(packet: &[u8]) -> Vec<Option<String>> {
    let (mut at, mut values) = (0, Vec::new());
    while at < packet.len() {
        let value = number(packet, &mut at).map(|length| {
            let text = String::from_utf8_lossy(&packet[at..at + length as usize]).into_owned();
            at += length as usize;
            text
        });
        values.push(value);
    }
    values
}

fn refusal(packet: &[u8]) -> SqlError {
    let code = u16::from_le_bytes([packet[1], packet[2]]).to_string();
    let text = if packet.get(3) == Some(&b'#') { &packet[9..] } else { &packet[3..] };
    SqlError { code, message: String::from_utf8_lossy(text).into_owned() }
}
