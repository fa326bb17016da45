//! MariaDB's compressed records (`log_bin_compress`), inside row and query events.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::bytes::{Bytes, Decoded, Malformed};

/// No event is larger than this, compressed or not: `max_allowed_packet` cannot be.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 30;

/// The most that is set aside before a byte was decompressed: lengths in the log may lie.
const FIRST_RESERVE_BYTES: usize = 1 << 20;

/// Decompresses the rest of an event.
///
/// The record is one byte (bit 7 set, algorithm in bits 4–6, number of length bytes in bits 0–2), the length before
/// compression, most significant byte first, and a zlib stream (MariaDB `binlog_buf_compress`, log_event.cc).
///
/// # Errors
/// When the algorithm is unknown, or the bytes do not decompress to the length that is named.
pub(super) fn inflate(bytes: &mut Bytes<'_>) -> Decoded<Vec<u8>> {
    let head = bytes.u8()?;
    let length_bytes = usize::from(head & 0x07);
    if head & 0x80 == 0 || !(1..=4).contains(&length_bytes) {
        return Err(Malformed("a compressed record has no valid head"));
    }
    if (head & 0x70) >> 4 != 0 {
        return Err(Malformed("a compressed record has an unknown algorithm"));
    }
    let length = bytes.uint_be(length_bytes)? as usize;
    if length > EVENT_BYTES_MAX {
        return Err(Malformed("a compressed record is larger than any event"));
    }
    let mut plain = Vec::with_capacity(length.min(FIRST_RESERVE_BYTES));
    // One more than allowed, so that a record that goes on is noticed.
    let mut stream = ZlibDecoder::new(bytes.rest()).take(length as u64 + 1);
    stream.read_to_end(&mut plain).map_err(|_| Malformed("a compressed record does not decompress"))?;
    if plain.len() != length {
        return Err(Malformed("a compressed record has another length than its head says"));
    }
    Ok(plain)
}
