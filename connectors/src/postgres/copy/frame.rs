//! The binary COPY format: a header, then per row a count and per cell a length and its bytes.
//!
//! PostgreSQL 18 manual, "COPY", Binary Format. A server sends whole rows per message, but does not promise it.

use aqueduct_model::{Error, ErrorKind, Result};
use bytes::{Buf, Bytes, BytesMut};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the extension.
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// Flags that change how the rest is read.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// The count of cells that ends the rows.
const TRAILER: i16 = -1;
const NULL_LENGTH: i32 = -1;

/// What a message goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A whole row: its bytes behind the count of cells.
    Row(Bytes),
    /// There is no whole row left: another message is needed.
    Incomplete,
    /// The rows have ended.
    End,
}

/// Cuts messages into rows.
#[derive(Debug)]
pub(super) struct Frames {
    /// What is not cut yet.
    pending: Bytes,
    has_header: bool,
    columns: usize,
}

impl Frames {
    /// For rows of so many cells.
    pub(super) fn new(columns: usize) -> Self {
        Self { pending: Bytes::new(), has_header: false, columns }
    }

    /// Takes the next message; what is left of the one before goes in front of it.
    pub(super) fn feed(&mut self, message: Bytes) {
        if self.pending.is_empty() {
            self.pending = message;
        } else {
            let mut joined = BytesMut::with_capacity(self.pending.len() + message.len());
            joined.extend_from_slice(&self.pending);
            joined.extend_from_slice(&message);
            self.pending = joined.freeze();
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// `Bug` for bytes that are not of the format; `Schema` when rows have another number of cells.
    pub(super) fn next(&mut self) -> Result<Frame> {
        if !self.has_header && !self.header()? {
            return Ok(Frame::Incomplete);
        }
        let Some(count) = self.pending.get(..2) else { return Ok(Frame::Incomplete) };
        let count = i16::from_be_bytes([count[0], count[1]]);
        if count == TRAILER {
            return Ok(Frame::End);
        }
        if usize::try_from(count) != Ok(self.columns) {
            return Err(Error::new(ErrorKind::Schema, format!("{count} columns came instead of {}", self.columns)));
        }
        let mut end = 2;
        for _ in 0..self.columns {
            let Some(length) = self.pending.get(end..end + 4) else { return Ok(Frame::Incomplete) };
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            end += 4 + usize::try_from(length).or(if length == NULL_LENGTH { Ok(0) } else { Err(malformed()) })?;
        }
        if self.pending.len() < end {
            return Ok(Frame::Incomplete);
        }
        let mut row = self.pending.split_to(end);
        row.advance(2);
        Ok(Frame::Row(row))
    }

    /// Reads past the header; false when it is not there yet.
    fn header(&mut self) -> Result<bool> {
        if self.pending.len() < HEADER_BYTES {
            return Ok(false);
        }
        let number = |at: usize| {
            let bytes = &self.pending[at..at + 4];
            u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let (flags, extension) = (number(SIGNATURE.len()), number(SIGNATURE.len() + 4) as usize);
        if !self.pending.starts_with(SIGNATURE) || flags & CRITICAL_FLAGS != 0 {
            return Err(malformed());
        }
        if self.pending.len() < HEADER_BYTES + extension {
            return Ok(false);
        }
        self.pending.advance(HEADER_BYTES + extension);
        self.has_header = true;
        Ok(true)
    }
}

/// The cells of a row: `None` for NULL.
pub(super) fn cells(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = row;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (cell, behind) = behind.split_at_checked(length)?;
                rest = behind;
                Some(Some(cell))
            }
            Err(_) => {
                rest = behind;
                Some(None)
            }
        }
    })
}

fn malformed() -> Error {
    Error::bug("the server's rows are not in the binary COPY format")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[0; 8]);
        for value in [b"ab".as_slice(), b""] {
            bytes.extend_from_slice(&2i16.to_be_bytes());
            bytes.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(&(-1i32).to_be_bytes());
        }
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        bytes
    }

    #[test]
    fn rows_are_found_however_the_messages_are_cut() {
        let all = message();
        for size in 1..=all.len() {
            let mut frames = Frames::new(2);
            let mut rows = Vec::new();
            let mut is_over = false;
            for part in all.chunks(size) {
                frames.feed(Bytes::copy_from_slice(part));
                loop {
                    match frames.next().unwrap() {
                        Frame::Row(row) => {
                            rows.push(cells(&row).map(|cell| cell.map(<[u8]>::to_vec)).collect::<Vec<_>>())
                        }
                        Frame::Incomplete => break,
                        Frame::End => {
                            is_over = true;
                            break;
                        }
                    }
                }
            }
            assert!(is_over, "in parts of {size}");
            assert_eq!(rows, [[Some(b"ab".to_vec()), None], [Some(Vec::new()), None]], "in parts of {size}");
        }
    }

    #[test]
    fn what_is_not_of_the_format_is_refused() {
        for (at, byte) in [(0, b'X'), (11, 0xff), (20, 9), (21, 0xf0)] {
            let mut bytes = message();
            bytes[at] = byte;
            let mut frames = Frames::new(2);
            frames.feed(bytes.into());
            assert!(frames.next().is_err(), "byte {at}");
        }
    }
}
