//! MySQL's compressed transactions (`binlog_transaction_compression`).

use std::io::{Cursor, Read};

use aqueduct_model::Result;
use zstd::stream::read::Decoder;

use super::bytes::{Bytes, Decoded, Malformed};
use super::header::{Checksum, HEADER_BYTES, RawEvent, split_event};
use super::inflate::EVENT_BYTES_MAX;

const FIELD_END: u64 = 0;
const FIELD_SIZE: u64 = 1;
const FIELD_COMPRESSION: u64 = 2;
const FIELD_UNCOMPRESSED_SIZE: u64 = 3;

const COMPRESSION_ZSTD: u64 = 0;
const COMPRESSION_NONE: u64 = 255;

/// The largest window that is accepted, as a power of two: 8 MiB, which zstd uses at its highest normal levels.
const WINDOW_LOG_MAX: u32 = 23;

/// The body of a TRANSACTION_PAYLOAD event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Payload<'a> {
    /// Bytes of all events together, before compression.
    pub uncompressed_bytes: u64,
    compressed: bool,
    data: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Reads the fields before the data (MySQL, "Transaction_payload_event").
    ///
    /// # Errors
    /// When a field is missing or the compression is unknown.
    pub fn parse(body: &'a [u8]) -> Decoded<Self> {
        let mut bytes = Bytes(body);
        let (mut size, mut compression, mut uncompressed) = (None, None, None);
        loop {
            let field = bytes.packed()?;
            if field == FIELD_END {
                break;
            }
            let mut value = Bytes(bytes.packed_bytes()?);
            match field {
                FIELD_SIZE => size = Some(value.packed_len()?),
                FIELD_COMPRESSION => compression = Some(value.packed()?),
                FIELD_UNCOMPRESSED_SIZE => uncompressed = Some(value.packed()?),
                // Fields are made to be skipped.
                _ => {}
            }
        }
        let data = bytes.take(size.ok_or(Malformed("a compressed transaction does not say how long it is"))?)?;
        let compressed = match compression {
            Some(COMPRESSION_ZSTD) => true,
            Some(COMPRESSION_NONE) => false,
            _ => return Err(Malformed("a compressed transaction has an unknown compression")),
        };
        let uncompressed_bytes = uncompressed.unwrap_or(data.len() as u64);
        Ok(Self { uncompressed_bytes, compressed, data })
    }

    /// The events inside, one after the other. Keeps its own copy of the compressed bytes, so that the event that they
    /// came in may go.
    ///
    /// # Errors
    /// When the decompressor cannot be set up.
    pub fn events(&self) -> Result<PayloadEvents> {
        let data = Cursor::new(self.data.to_vec());
        let stream = if self.compressed {
            let broken = |_| Malformed("a compressed transaction does not decompress");
            let mut decoder = Decoder::with_buffer(data).map_err(broken)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(broken)?;
            Stream::Zstd(Box::new(decoder))
        } else {
            Stream::Plain(data)
        };
        Ok(PayloadEvents { stream, left: self.uncompressed_bytes, event: Vec::new() })
    }
}

/// The bytes of a payload; decompressed as they are read.
enum Stream {
    Zstd(Box<Decoder<'static, Cursor<Vec<u8>>>>),
    Plain(Cursor<Vec<u8>>),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Zstd(decoder) => decoder.read(into),
            Self::Plain(data) => data.read(into),
        }
    }
}

/// Events of a compressed transaction, decompressed one at a time: a transaction of any size takes the memory of its
/// compressed bytes and of one event.
pub(crate) struct PayloadEvents {
    stream: Stream,
    /// Bytes that are still to come.
    left: u64,
    event: Vec<u8>,
}

impl std::fmt::Debug for PayloadEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PayloadEvents").field("left", &self.left).finish_non_exhaustive()
    }
}

impl PayloadEvents {
    /// The next event; `None` behind the last one. Events in a payload have no checksum of their own.
    ///
    /// # Errors
    /// `Data` when the bytes do not decompress, or are more or fewer than was said.
    pub fn next_event(&mut self) -> Result<Option<RawEvent<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.event.clear();
        self.read(HEADER_BYTES)?;
        let size = self.event.get(9..13).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let size = size.ok_or(Malformed("a compressed transaction ends inside a header"))? as usize;
        if !(HEADER_BYTES..=EVENT_BYTES_MAX).contains(&size) || size as u64 > self.left {
            return Err(Malformed("an event in a compressed transaction has an impossible length").into());
        }
        self.read(size - HEADER_BYTES)?;
        self.left -= size as u64;
        Ok(Some(split_event(&self.event, Checksum::None)?))
    }

    /// Reads `n` more bytes into the event; memory grows with what comes, not with what was promised.
    fn read(&mut self, n: usize) -> Decoded<()> {
        let got = (&mut self.stream).take(n as u64).read_to_end(&mut self.event);
        match got {
            Ok(read) if read == n => Ok(()),
            Ok(_) => Err(Malformed("a compressed transaction ends before its last event")),
            Err(_) => Err(Malformed("a compressed transaction does not decompress")),
        }
    }
}
