//! Events that name transactions: MySQL's and MariaDB's GTID events, and what came before a file.

use aqueduct_model::Result;
use uuid::Uuid;

use super::bytes::{Bytes, Decoded, Malformed};
use super::gtid_set::{GtidSource, MysqlGtid, MysqlGtidSet, parse_tag};
use super::mariadb_gtid::{MariadbGtid, MariadbGtidPos};

/// The start of a MySQL transaction that has a GTID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GtidEvent {
    /// The transaction; `None` in an anonymous one.
    pub gtid: Option<MysqlGtid>,
    /// When the server that is read from committed it: microseconds since 1970; 0 where the server does not say.
    pub committed_us: u64,
}

/// "Two logical timestamps follow."
const LOGICAL_CLOCK: u8 = 2;
/// The original commit timestamp follows, too.
const TIMESTAMP_SPLIT: u64 = 1 << 55;

impl GtidEvent {
    /// Reads the body of GTID and ANONYMOUS_GTID events.
    ///
    /// # Errors
    /// When the bytes are too few.
    pub fn parse(body: &[u8], anonymous: bool) -> Decoded<Self> {
        let mut bytes = Bytes(body);
        let _flags = bytes.u8()?;
        let server = Uuid::from_bytes(bytes.array()?);
        let number = bytes.u64()?;
        let mut committed_us = 0;
        if !bytes.is_empty() && bytes.u8()? == LOGICAL_CLOCK {
            bytes.take(16)?;
            if bytes.len() >= 7 {
                committed_us = bytes.uint_le(7)? & !TIMESTAMP_SPLIT;
            }
        }
        let source = GtidSource { server, tag: String::new() };
        Ok(Self { gtid: (!anonymous).then_some(MysqlGtid { source, number }), committed_us })
    }

    /// Reads the body of a GTID_TAGGED_LOG event (MySQL 8.3 and later; the server's serialization library).
    ///
    /// # Errors
    /// When the bytes do not follow the format, or a field that must not be skipped is not known.
    pub fn parse_tagged(body: &[u8]) -> Result<Self> {
        let mut bytes = Bytes(body);
        let _version = varlen(&mut bytes)?;
        let size = usize::try_from(varlen(&mut bytes)?).map_err(|_| Malformed("a GTID event is too long"))?;
        let last_needed = varlen(&mut bytes)?;
        let taken = body.len() - bytes.len();
        let fields = size.checked_sub(taken).ok_or(Malformed("a GTID event is shorter than its head"))?;
        let mut fields = Bytes(bytes.take(fields)?);
        let (mut server, mut tag, mut number, mut committed_us) = (None, String::new(), None, 0);
        while !fields.is_empty() {
            match varlen(&mut fields)? {
                0 => drop(varlen(&mut fields)?),
                1 => server = Some(varlen_uuid(&mut fields)?),
                2 => number = Some(varlen_signed(&mut fields)?),
                3 => tag = varlen_tag(&mut fields)?,
                // Logical clock.
                4 | 5 => drop(varlen_signed(&mut fields)?),
                6 => committed_us = varlen(&mut fields)?,
                7..=11 => drop(varlen(&mut fields)?),
                unknown if unknown <= last_needed => {
                    return Err(Malformed("a GTID event has a field that is not known and may not be skipped").into());
                }
                _ => break,
            }
        }
        let server = server.ok_or(Malformed("a GTID event names no server"))?;
        let number = number.ok_or(Malformed("a GTID event has no number"))?;
        Ok(Self { gtid: Some(MysqlGtid { source: GtidSource { server, tag }, number }), committed_us })
    }
}

/// A number of one to nine bytes: as many low bits set as bytes follow the first.
fn varlen(bytes: &mut Bytes<'_>) -> Decoded<u64> {
    let first = *bytes.0.first().ok_or(Malformed("a GTID event ends inside a number"))?;
    let more = first.trailing_ones() as usize;
    if more == 8 {
        bytes.take(1)?;
        return bytes.u64();
    }
    Ok(bytes.uint_le(more + 1)? >> (more + 1))
}

/// A signed number, its sign in the lowest bit; none of those that are read may be negative.
fn varlen_signed(bytes: &mut Bytes<'_>) -> Decoded<u64> {
    let value = varlen(bytes)?;
    if value & 1 == 0 { Ok(value >> 1) } else { Err(Malformed("a GTID event has a negative number")) }
}

/// Sixteen numbers of one byte each.
fn varlen_uuid(bytes: &mut Bytes<'_>) -> Decoded<Uuid> {
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = u8::try_from(varlen(bytes)?).map_err(|_| Malformed("a GTID event's uuid is not made of bytes"))?;
    }
    Ok(Uuid::from_bytes(uuid))
}

fn varlen_tag(bytes: &mut Bytes<'_>) -> Result<String> {
    let length = usize::try_from(varlen(bytes)?).map_err(|_| Malformed("a tag is too long"))?;
    let tag = std::str::from_utf8(bytes.take(length)?).map_err(|_| Malformed("a tag is not text"))?;
    parse_tag(tag)
}

/// Reads the body of a PREVIOUS_GTIDS event: everything that earlier files hold.
///
/// # Errors
/// When the bytes are too few or a range is empty.
pub(super) fn previous_gtids(body: &[u8]) -> Result<MysqlGtidSet> {
    let mut bytes = Bytes(body);
    let head = bytes.u64()?;
    // Since MySQL 8.3 the highest byte says that tags follow; the lowest one repeats it.
    let tagged = head >> 56 != 0;
    let sources = if tagged { (head >> 8) & ((1 << 48) - 1) } else { head };
    let mut set = MysqlGtidSet::default();
    for _ in 0..sources {
        let server = Uuid::from_bytes(bytes.array()?);
        let tag = if tagged { varlen_tag(&mut bytes)? } else { String::new() };
        for _ in 0..bytes.u64()? {
            // The end is behind the last one.
            let (first, end) = (bytes.u64()?, bytes.u64()?);
            if first == 0 || end <= first || end > i64::MAX as u64 {
                return Err(Malformed("a set of GTIDs has an impossible range").into());
            }
            set.add_range(GtidSource { server, tag: tag.clone() }, (first, end - 1));
        }
    }
    Ok(set)
}

/// The start of a MariaDB event group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MariadbGtidEvent {
    /// The group's GTID.
    pub gtid: MariadbGtid,
    /// True when one QUERY event follows (DDL) and no commit.
    pub standalone: bool,
    /// True when DDL is in the group.
    pub ddl: bool,
    /// True when the group prepares an XA transaction that is committed, or not, by a later group.
    pub prepared_xa: bool,
    /// True when the group ends an XA transaction that was prepared before.
    pub completed_xa: bool,
}

const FLAG_STANDALONE: u8 = 1;
const FLAG_DDL: u8 = 32;
const FLAG_PREPARED_XA: u8 = 64;
const FLAG_COMPLETED_XA: u8 = 128;

impl MariadbGtidEvent {
    /// Reads the event; the server's number is the one in the common header.
    ///
    /// # Errors
    /// When the bytes are too few.
    pub fn parse(body: &[u8], server: u32) -> Decoded<Self> {
        let mut bytes = Bytes(body);
        let sequence = bytes.u64()?;
        let domain = bytes.u32()?;
        let flags = bytes.u8()?;
        Ok(Self {
            gtid: MariadbGtid { domain, server, sequence },
            standalone: flags & FLAG_STANDALONE != 0,
            ddl: flags & FLAG_DDL != 0,
            prepared_xa: flags & FLAG_PREPARED_XA != 0,
            completed_xa: flags & FLAG_COMPLETED_XA != 0,
        })
    }
}

/// Reads the body of a GTID_LIST event: the last GTIDs before a file.
///
/// # Errors
/// When the bytes are too few.
pub(super) fn gtid_list(body: &[u8]) -> Decoded<MariadbGtidPos> {
    let mut bytes = Bytes(body);
    // The four highest bits are flags.
    let count = bytes.u32()? & 0x0fff_ffff;
    (0..count).map(|_| Ok(MariadbGtid { domain: bytes.u32()?, server: bytes.u32()?, sequence: bytes.u64()? })).collect()
}
