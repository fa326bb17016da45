//! The common header of events, and their checksum.

use aqueduct_model::{Error, ErrorKind, Result};
use flate2::Crc;

use super::bytes::{Bytes, Decoded, Malformed};

/// Length of the common header of a version 4 log, the only one there is since MySQL 5.0.
pub(crate) const HEADER_BYTES: usize = 19;

/// The event may be skipped by a reader that does not know its type.
const FLAG_IGNORABLE: u16 = 0x80;

/// The event was made up by the server for this connection and stands in no file.
const FLAG_ARTIFICIAL: u16 = 0x20;

const CHECKSUM_BYTES: usize = 4;

/// What every event starts with (MySQL internals, "Binlog Event Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventHeader {
    /// Seconds since 1970 at the server that ran the statement first.
    pub timestamp: u32,
    /// The number of the event's type; see [`super::kind`].
    pub event_type: u8,
    /// The server that ran the statement first.
    pub server_id: u32,
    /// Length of the whole event in bytes, header and checksum counted.
    pub size: u32,
    /// Where the next event starts, modulo 4 GiB; 0 in events that stand in no file.
    pub next_position: u32,
    /// Bits.
    pub flags: u16,
}

impl EventHeader {
    /// Reads the header.
    ///
    /// # Errors
    /// When the bytes are too few.
    pub fn parse(bytes: &mut Bytes<'_>) -> Decoded<Self> {
        Ok(Self {
            timestamp: bytes.u32()?,
            event_type: bytes.u8()?,
            server_id: bytes.u32()?,
            size: bytes.u32()?,
            next_position: bytes.u32()?,
            flags: bytes.u16()?,
        })
    }

    /// True when a reader that does not know the event may go on.
    pub fn is_ignorable(&self) -> bool {
        self.flags & FLAG_IGNORABLE != 0
    }

    /// True when the event stands in no file: its position counts for nothing.
    pub fn is_artificial(&self) -> bool {
        self.flags & FLAG_ARTIFICIAL != 0
    }
}

/// How events end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// `binlog_checksum = NONE`: with the last byte of the body.
    #[default]
    None,
    /// `binlog_checksum = CRC32`: with four bytes over everything before them.
    Crc32,
}

/// One event, its checksum verified and cut off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawEvent<'a> {
    /// The common header.
    pub header: EventHeader,
    /// Everything between header and checksum.
    pub body: &'a [u8],
}

/// Takes the bytes of one event apart.
///
/// A format description event says itself what its checksum is and needs no help; the first event of a connection, a
/// made-up rotation, has the checksum that was asked for with `@source_binlog_checksum`.
///
/// # Errors
/// `Data` when the checksum is wrong or the length is not the one that the header names.
pub(crate) fn split_event(bytes: &[u8], checksum: Checksum) -> Result<RawEvent<'_>> {
    let mut cursor = Bytes(bytes);
    let header = EventHeader::parse(&mut cursor)?;
    if header.size as usize != bytes.len() {
        return Err(Malformed("an event has another length than its header says").into());
    }
    let body = cursor.rest();
    if header.event_type == super::kind::FORMAT_DESCRIPTION {
        // Verified by `Format::parse`, which knows where the algorithm stands.
        return Ok(RawEvent { header, body });
    }
    match checksum {
        Checksum::None => Ok(RawEvent { header, body }),
        Checksum::Crc32 => {
            let (body, stored) =
                body.split_last_chunk::<CHECKSUM_BYTES>().ok_or(Malformed("an event is shorter than its checksum"))?;
            verify(&bytes[..HEADER_BYTES + body.len()], u32::from_le_bytes(*stored), &header)?;
            Ok(RawEvent { header, body })
        }
    }
}

/// Compares a checksum.
///
/// # Errors
/// `Data` when it is not that of the bytes.
pub(super) fn verify(covered: &[u8], stored: u32, header: &EventHeader) -> Result<()> {
    let mut crc = Crc::new();
    crc.update(covered);
    if crc.sum() == stored {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Data,
        format!(
            "an event of the binary log has a wrong checksum: type {}, ending at position {}",
            header.event_type, header.next_position
        ),
    )
    .with_hint(
        "the log file or the way to it is damaged: check the file with `mysqlbinlog --verify-binlog-checksum`, and the \
         server's disk; when the file is sound, start the flow again",
    ))
}
