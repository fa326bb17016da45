//! The first event of a log: who writes it, and how its events end.

use aqueduct_model::{Error, ErrorKind, Result};

use super::bytes::{Bytes, Malformed};
use super::header::{Checksum, EventHeader, HEADER_BYTES, verify};
use super::kind;

/// Which server writes the log; the numbers of events and types overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// MySQL, Percona Server and their like.
    #[default]
    MySql,
    /// MariaDB.
    MariaDb,
}

/// What a FORMAT_DESCRIPTION event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    /// The server's version text, as `SELECT VERSION()` gives it.
    pub server_version: String,
    /// Which server it is.
    pub flavor: Flavor,
    /// How the events behind this one end.
    pub checksum: Checksum,
    /// Seconds since 1970 when the server opened the log at its start; 0 otherwise, or when sent after a reconnect.
    pub created: u32,
}

/// The only log version since MySQL 5.0.
const BINLOG_VERSION: u16 = 4;
const SERVER_VERSION_BYTES: usize = 50;
/// Algorithm and checksum, at the end.
const TAIL_BYTES: usize = 5;
/// "The log is open": set in the file, not counted in the checksum.
const FLAG_IN_USE: u16 = 0x1;
/// Where the flags stand in the common header.
const FLAGS_AT: usize = 17;

impl Format {
    /// Reads the event: its header, and everything behind it.
    ///
    /// # Errors
    /// `Data` for bytes of another format or a wrong checksum; `Config` for a server older than 5.6 (MariaDB 5.3).
    pub fn parse(header: &EventHeader, body: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(body);
        if bytes.u16()? != BINLOG_VERSION {
            return Err(Malformed("the log is not of version 4").into());
        }
        let version = bytes.take(SERVER_VERSION_BYTES)?;
        let version = version.split(|&byte| byte == 0).next().unwrap_or_default();
        let server_version = String::from_utf8_lossy(version).into_owned();
        let created = bytes.u32()?;
        if usize::from(bytes.u8()?) != HEADER_BYTES {
            return Err(Malformed("events have a header of another length").into());
        }
        let lengths_and_tail = bytes.rest();
        let lengths = lengths_and_tail.len().checked_sub(TAIL_BYTES).ok_or(Malformed("a format event is too short"))?;
        let length_of = |event: u8| lengths_and_tail[..lengths].get(usize::from(event) - 1).copied();
        if length_of(kind::TABLE_MAP) != Some(8) || length_of(kind::WRITE_ROWS_V1) != Some(8) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("the binary log was written by a server that is too old ({server_version})"),
            )
            .with_hint("capture from MySQL 5.6 or later, or MariaDB 10.0 or later"));
        }
        let checksum = match lengths_and_tail[lengths] {
            0 => Checksum::None,
            1 => Checksum::Crc32,
            _ => return Err(Malformed("the checksum algorithm is unknown").into()),
        };
        if checksum == Checksum::Crc32 {
            verify_format(header, body)?;
        }
        let flavor = if server_version.contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql };
        Ok(Self { server_version, flavor, checksum, created })
    }
}

/// Verifies the event's own checksum, for which the bit "in use" counts as 0.
fn verify_format(header: &EventHeader, body: &[u8]) -> Result<()> {
    let (body, stored) = body.split_last_chunk::<4>().ok_or(Malformed("an event is shorter than its checksum"))?;
    let mut covered = Vec::with_capacity(HEADER_BYTES + body.len());
    covered.extend_from_slice(&header.timestamp.to_le_bytes());
    covered.push(header.event_type);
    covered.extend_from_slice(&header.server_id.to_le_bytes());
    covered.extend_from_slice(&header.size.to_le_bytes());
    covered.extend_from_slice(&header.next_position.to_le_bytes());
    debug_assert_eq!(covered.len(), FLAGS_AT);
    covered.extend_from_slice(&(header.flags & !FLAG_IN_USE).to_le_bytes());
    covered.extend_from_slice(body);
    verify(&covered, u32::from_le_bytes(*stored), header)
}
