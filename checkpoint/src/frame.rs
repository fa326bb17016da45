//! The envelope of everything that is written: says what it is, in which format, how long, and whether it is intact.
//!
//! ```text
//! offset  0   4 bytes   "AQCR" a record, "AQCT" a token
//!         4   u32 LE    format
//!         8   u64 LE    length of the payload in bytes
//!        16   u32 LE    CRC-32 (IEEE) of bytes 0..16 and the payload
//!        20             payload; nothing follows it
//! ```
//! Invariant: this envelope never changes, whatever format the payload has. That is how an old program can tell a
//! newer folder from a damaged one.

use std::io;

use aqueduct_model::{Error, ErrorKind};

use crate::fault;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

const HEADER_BYTES: usize = 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Record,
    Token,
}

impl Content {
    fn magic(self) -> [u8; 4] {
        match self {
            Self::Record => *b"AQCR",
            Self::Token => *b"AQCT",
        }
    }
}

/// Why something that was written cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is not there.
    Missing,
    /// It is not what was written.
    Damaged(String),
    /// It is intact, and in a format that a later version introduced.
    Newer(u32),
    /// The disk refused to read it.
    Io(io::Error),
}

impl Unreadable {
    pub(crate) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Io(error) }
    }
}

/// The refusal to read what a later version wrote.
pub(crate) fn newer_version(format: u32) -> Error {
    Error::new(
        ErrorKind::State,
        format!("the checkpoint was written by a newer version (format {format}, this one reads up to {FORMAT})"),
    )
    .with_hint("run the version that wrote it, or a later one")
}

/// Puts a payload into its envelope.
pub(crate) fn encode(content: Content, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.extend_from_slice(&content.magic());
    frame.extend_from_slice(&FORMAT.to_le_bytes());
    frame.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let sum = checksum(&frame, payload);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// Takes a payload out of its envelope; allocates nothing, whatever the length field says.
pub(crate) fn decode(content: Content, frame: &[u8]) -> Result<&[u8], Unreadable> {
    let Some((header, payload)) = frame.split_at_checked(HEADER_BYTES) else {
        return Err(Unreadable::damaged("shorter than a header"));
    };
    if header[..4] != content.magic() {
        return Err(Unreadable::damaged("wrong magic"));
    }
    if number(&header[8..16]) != payload.len() as u64 {
        return Err(Unreadable::damaged("wrong length"));
    }
    let intact = u64::from(checksum(&header[..16], payload)) == number(&header[16..20]);
    if !intact && !fault::planted("mutant.ckpt_no_journal_crc") {
        return Err(Unreadable::damaged("wrong checksum"));
    }
    match number(&header[4..8]) {
        format if format == u64::from(FORMAT) => Ok(payload),
        format if format > u64::from(FORMAT) => Err(Unreadable::Newer(format as u32)),
        _ => Err(Unreadable::damaged("unknown format")),
    }
}

fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_intact_frame_of_a_later_format_is_newer_and_a_bit_flip_in_the_format_is_damage() {
        let mut frame = encode(Content::Record, b"payload");
        frame[4] = 2;
        assert!(matches!(decode(Content::Record, &frame), Err(Unreadable::Damaged(_))));
        let sum = checksum(&frame[..16], b"payload");
        frame[16..20].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(decode(Content::Record, &frame), Err(Unreadable::Newer(2))));
    }

    #[test]
    fn a_token_is_not_a_record() {
        assert!(decode(Content::Record, &encode(Content::Token, b"x")).is_err());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(payload: Vec<u8>) {
            let frame = encode(Content::Token, &payload);
            prop_assert_eq!(decode(Content::Token, &frame).expect("intact"), &payload[..]);
        }

        #[test]
        fn one_changed_bit_is_noticed(payload: Vec<u8>, at: prop::sample::Index, bit in 0..8u8) {
            let mut frame = encode(Content::Record, &payload);
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            prop_assert!(matches!(decode(Content::Record, &frame), Err(Unreadable::Damaged(_))));
        }

        #[test]
        fn a_cut_frame_is_noticed(payload: Vec<u8>, keep: prop::sample::Index) {
            let frame = encode(Content::Record, &payload);
            prop_assert!(decode(Content::Record, &frame[..keep.index(frame.len())]).is_err());
        }

        #[test]
        fn noise_is_refused(noise: Vec<u8>) {
            prop_assert!(decode(Content::Record, &noise).is_err());
        }
    }
}
