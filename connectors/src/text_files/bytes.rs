//! The text of one file as UTF-8: opened with care, decompressed, decoded.

use std::fs::File;
use std::io::{BufReader, ErrorKind as IoErrorKind, Read, Seek, SeekFrom};

use aqueduct_model::{Error, ErrorKind, Result};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;

use super::settings::Compression;

/// Bytes read at once, at least.
const READ_BYTES: usize = 256 << 10;
/// Stands for a sequence that is not valid in the file's encoding: no UTF-8 text holds this byte, so the record is
/// refused where all records are checked.
const MALFORMED: u8 = 0xFF;
const UTF8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// How to read a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// How it is compressed.
    pub(crate) compression: Compression,
    /// Its encoding; `None` is UTF-8.
    pub(crate) encoding: Option<&'static Encoding>,
    /// Most that a compressed file may expand to, in bytes.
    pub(crate) max_decompressed: u64,
    /// The file may still be growing: where a compressed one breaks off is its end for now.
    pub(crate) growing: bool,
}

impl Format {
    /// The compression of a file: as set, or by its extension.
    pub(crate) fn compression_of(&self, path: &str) -> Compression {
        match self.compression {
            Compression::Auto if path.ends_with(".gz") => Compression::Gzip,
            Compression::Auto if path.ends_with(".zst") => Compression::Zstd,
            Compression::Auto => Compression::None,
            set => set,
        }
    }
}

enum Bytes {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<File>>>),
}

enum Encoded {
    /// Not enough read to know: these bytes may be the beginning of a byte order mark.
    Unknown(Vec<u8>),
    Utf8,
    Other(Decoder),
}

/// Reads the text of one file.
///
/// Its offsets count the bytes of the file where that is plain UTF-8, and else those of the text in UTF-8.
pub(crate) struct TextFile {
    path: String,
    bytes: Bytes,
    encoded: Encoded,
    format: Format,
    raw: Vec<u8>,
    offset: u64,
    expanded: u64,
    /// The decoder was told of the end.
    finished: bool,
}

impl TextFile {
    /// Starts reading an open file from its beginning.
    ///
    /// # Errors
    /// `Unavailable` when the decompressor cannot start.
    pub(crate) fn new(path: &str, file: File, format: Format) -> Result<Self> {
        let bytes = match format.compression_of(path) {
            Compression::Gzip => Bytes::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, file)))),
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(READ_BYTES, file))
                    .map_err(|error| unreadable(path, error))?;
                Bytes::Zstd(Box::new(decoder))
            }
            Compression::Auto | Compression::None => Bytes::Plain(file),
        };
        Ok(Self {
            path: path.to_owned(),
            bytes,
            encoded: Encoded::Unknown(Vec::new()),
            format,
            raw: Vec::new(),
            offset: 0,
            expanded: 0,
            finished: false,
        })
    }

    /// The offset of the next byte that [`TextFile::read`] adds.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Adds more text, at least about `wanted` bytes unless the file ends; 0 at its end. With `last`, what the end cuts
    /// in two is malformed; without, it waits for the rest.
    ///
    /// # Errors
    /// `Data` when a compressed file is damaged or expands beyond its limit; `Unavailable` when reading fails.
    pub(crate) fn read(&mut self, wanted: usize, last: bool, to: &mut Vec<u8>) -> Result<usize> {
        let before = to.len();
        if self.finished {
            return Ok(0);
        }
        loop {
            if let Encoded::Utf8 = self.encoded {
                // The usual case: straight into the window.
                let read = self.read_bytes(wanted, to)?;
                self.offset += read as u64;
                return Ok(read);
            }
            let mut raw = std::mem::take(&mut self.raw);
            raw.clear();
            let read = self.read_bytes(wanted, &mut raw)?;
            let at_end = read == 0;
            self.finished = at_end && last;
            self.decode(&raw, self.finished, to);
            self.raw = raw;
            let added = to.len() - before;
            if added > 0 || at_end {
                return Ok(added);
            }
        }
    }

    /// Goes straight to an offset (or to the end, if that comes first), where the file allows it: in plain UTF-8.
    /// False where the text must be read instead.
    ///
    /// # Errors
    /// `Unavailable` when seeking fails.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<bool> {
        match (&mut self.bytes, &self.encoded) {
            (Bytes::Plain(file), Encoded::Utf8) => {
                let end = file.seek(SeekFrom::End(0)).map_err(|error| unreadable(&self.path, error))?;
                let to = offset.min(end);
                file.seek(SeekFrom::Start(to)).map_err(|error| unreadable(&self.path, error))?;
                self.offset = to;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// One read of decompressed bytes, up to `wanted` of them and at least one unless the file ends.
    fn read_bytes(&mut self, wanted: usize, to: &mut Vec<u8>) -> Result<usize> {
        let wanted = wanted.max(READ_BYTES) as u64;
        let before = to.len();
        let result = match &mut self.bytes {
            Bytes::Plain(file) => file.take(wanted).read_to_end(to),
            Bytes::Gzip(decoder) => decoder.take(wanted).read_to_end(to),
            Bytes::Zstd(decoder) => decoder.take(wanted).read_to_end(to),
        };
        if let Err(error) = result {
            let breaks_off = error.kind() == IoErrorKind::UnexpectedEof && self.format.growing;
            if !breaks_off {
                return Err(unreadable(&self.path, error));
            }
        }
        let read = to.len() - before;
        if !matches!(self.bytes, Bytes::Plain(_)) {
            self.expanded += read as u64;
            if self.expanded > self.format.max_decompressed {
                return Err(Error::new(ErrorKind::Data, format!("{} expands beyond its limit", self.path))
                    .with_setting("max_decompressed_bytes")
                    .with_hint("raise the limit if the file is meant to be that large"));
            }
        }
        Ok(read)
    }

    fn decode(&mut self, raw: &[u8], last: bool, to: &mut Vec<u8>) {
        if let Encoded::Unknown(start) = &mut self.encoded {
            start.extend_from_slice(raw);
            if !last && may_be_mark(start) {
                return;
            }
            let start = std::mem::take(start);
            let (encoded, mark) = encoding_of(&start, self.format.encoding);
            self.encoded = encoded;
            if let Encoded::Utf8 = self.encoded {
                // The mark counts, so that offsets stay those of the file.
                self.offset += start.len() as u64;
                to.extend_from_slice(&start[mark..]);
                return;
            }
            self.transcode(&start[mark..], last, to);
            return;
        }
        self.transcode(raw, last, to);
    }

    fn transcode(&mut self, mut raw: &[u8], last: bool, to: &mut Vec<u8>) {
        let Encoded::Other(decoder) = &mut self.encoded else { return };
        let before = to.len();
        loop {
            let room = decoder.max_utf8_buffer_length_without_replacement(raw.len()).unwrap_or(raw.len() * 3 + 16);
            let start = to.len();
            to.resize(start + room, 0);
            let (result, read, written) = decoder.decode_to_utf8_without_replacement(raw, &mut to[start..], last);
            to.truncate(start + written);
            raw = &raw[read..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => to.push(MALFORMED),
            }
        }
        self.offset += (to.len() - before) as u64;
    }
}

/// True when these first bytes could go on to be a byte order mark.
fn may_be_mark(start: &[u8]) -> bool {
    start.is_empty()
        || [UTF8_MARK, &[0xFF, 0xFE], &[0xFE, 0xFF]]
            .iter()
            .any(|mark| mark.len() > start.len() && mark.starts_with(start))
}

/// The encoding of a text that begins so, and the length of its byte order mark.
fn encoding_of(start: &[u8], set: Option<&'static Encoding>) -> (Encoded, usize) {
    let other = |encoding: &'static Encoding| Encoded::Other(encoding.new_decoder_without_bom_handling());
    match start {
        [0xEF, 0xBB, 0xBF, ..] => (Encoded::Utf8, UTF8_MARK.len()),
        [0xFF, 0xFE, ..] => (other(UTF_16LE), 2),
        [0xFE, 0xFF, ..] => (other(UTF_16BE), 2),
        _ => (set.map_or(Encoded::Utf8, other), 0),
    }
}

/// What a failed read means.
fn unreadable(path: &str, error: std::io::Error) -> Error {
    let damaged =
        matches!(error.kind(), IoErrorKind::InvalidData | IoErrorKind::InvalidInput | IoErrorKind::UnexpectedEof)
            || error.get_ref().is_some();
    if damaged {
        Error::new(ErrorKind::Data, format!("{path} is damaged, cut off or not compressed as its name says"))
            .with_setting("compression")
            .with_hint("test the file with `gzip -t` or `zstd -t`, or set `compression`")
            .with_source(error)
    } else {
        Error::new(ErrorKind::Unavailable, format!("cannot read {path}")).with_source(error)
    }
}
