//! One open file: a window of its text, and the records in it.

use std::ops::Range;

use aqueduct_model::{Error, ErrorKind, Result};

use super::bytes::TextFile;
use super::cell::{COLUMNS_MAX, Cells, Scan, Scanner};
use super::records::Records;
use super::refused::{self, Refused};

/// Text that is kept ready, at least.
const WINDOW_BYTES: usize = 256 << 10;

/// How far one read goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// At most this many records.
    pub(crate) rows: usize,
    /// About this many bytes of text.
    pub(crate) bytes: usize,
    /// Not behind this offset, which is where a record begins.
    pub(crate) until: Option<u64>,
    /// The file does not grow any more: what stands at its end is its last record.
    pub(crate) last: bool,
    /// The number of cells that records must have; `None` takes any.
    pub(crate) width: Option<usize>,
    /// Longest record in bytes.
    pub(crate) line_bytes: usize,
}

/// Reads the records of one file in order.
pub(crate) struct Reader<S> {
    path: String,
    scanner: S,
    text: TextFile,
    window: Vec<u8>,
    /// What comes next is at this place of the window.
    at: usize,
    line: u64,
    row: u64,
    cells: Cells,
    /// The records found by the last read.
    found: Vec<Range<usize>>,
    /// The first line of the last read.
    first_line: u64,
    refused_at: Vec<(Range<usize>, String)>,
    refused: Vec<Refused>,
}

impl<S: Scanner> Reader<S> {
    /// Reads a file from where `text` stands, its beginning.
    pub(crate) fn new(path: &str, scanner: S, text: TextFile) -> Self {
        Self {
            path: path.to_owned(),
            scanner,
            text,
            window: Vec::new(),
            at: 0,
            line: 1,
            row: 0,
            cells: Cells::default(),
            found: Vec::new(),
            first_line: 1,
            refused_at: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Offset, line and row of the next record.
    pub(crate) fn place(&self) -> (u64, u64, u64) {
        (self.text.offset() - (self.window.len() - self.at) as u64, self.line, self.row)
    }

    /// Goes to a place that was this reader's before.
    ///
    /// # Errors
    /// `LostPosition` when the text ends before it.
    pub(crate) fn go_to(&mut self, offset: u64, line: u64, row: u64) -> Result<()> {
        (self.line, self.row) = (line, row);
        if self.place().0 > offset {
            return Err(self.shorter());
        }
        while self.text.offset() < offset {
            self.window.clear();
            let (sought, before) = (self.text.seek(offset)?, self.text.offset());
            if sought && before < offset || !sought && self.text.read(WINDOW_BYTES, false, &mut self.window)? == 0 {
                return Err(self.shorter());
            }
        }
        self.at = self.window.len() - (self.text.offset() - offset) as usize;
        Ok(())
    }

    /// Reads one record whatever its width: a header. `None` when there is none (yet).
    ///
    /// # Errors
    /// `Schema` when it is not a record; and those of [`Reader::read`].
    pub(crate) fn first_record(&mut self, limits: &Limits) -> Result<Option<Vec<String>>> {
        self.read(&Limits { rows: 1, bytes: usize::MAX, width: None, until: None, ..*limits })?;
        if let Some(refused) = self.refused.first() {
            return Err(Error::new(
                ErrorKind::Schema,
                format!("{} line {}: {}", self.path, refused.line, refused.reason),
            )
            .with_setting("encoding")
            .with_hint("check `encoding`, `quote` and `delimiter`, or mend the file's first line"));
        }
        if self.found.is_empty() {
            return Ok(None);
        }
        let records = self.records(self.cells.cells.len())?;
        Ok(Some(records.record(0).map(str::to_owned).collect()))
    }

    fn shorter(&self) -> Error {
        Error::new(ErrorKind::LostPosition, format!("{} no longer has the text that was read of it", self.path))
            .with_setting("path")
            .with_hint("put the file back as it was, or reset the flow's checkpoint to read all files again")
    }

    /// Reads records until a limit or the end of the text. False when it is the end; there may be records then, too.
    ///
    /// # Errors
    /// `Data` for a line longer than allowed; `LostPosition` when no record begins at `until`; and those of reading.
    pub(crate) fn read(&mut self, limits: &Limits) -> Result<bool> {
        self.window.drain(..self.at);
        self.at = 0;
        self.cells.clear();
        self.found.clear();
        self.refused_at.clear();
        self.refused.clear();
        self.first_line = self.line;
        let base = self.text.offset() - self.window.len() as u64;
        let mut at = 0;
        let mut more = true;
        let mut ended = false;
        while self.found.len() + self.refused_at.len() < limits.rows && at < limits.bytes {
            if limits.until.is_some_and(|until| base + at as u64 >= until) {
                break;
            }
            let is_last = ended && limits.last;
            let before = (self.cells.cells.len(), self.cells.copied.len());
            let next = match self.scanner.scan(&self.window, at, is_last, &mut self.cells) {
                Scan::Skip { end } => end,
                Scan::Record { end, cells } => {
                    self.keep(at..end, cells, before, limits);
                    end
                }
                Scan::Bad { end, reason } => {
                    self.refused_at.push((at..end, reason));
                    end
                }
                Scan::Incomplete { in_quotes } => {
                    let pending = self.window.len() - at;
                    if pending <= limits.line_bytes && !ended {
                        let added = self.text.read(pending.max(WINDOW_BYTES), limits.last, &mut self.window)?;
                        ended = added == 0;
                        continue;
                    }
                    let too_long = pending > limits.line_bytes;
                    let is_over = too_long || (in_quotes && limits.last);
                    if !is_over {
                        more = false;
                        break;
                    }
                    self.give_up(at, in_quotes, too_long)?
                }
            };
            if limits.until.is_some_and(|until| base + next as u64 > until) {
                return Err(self.shorter());
            }
            at = next;
        }
        self.row += (self.found.len() + self.refused_at.len()) as u64;
        self.line += S::line_breaks(&self.window[..at]);
        self.at = at;
        self.refuse_malformed();
        Ok(more)
    }

    fn keep(&mut self, record: Range<usize>, cells: usize, before: (usize, usize), limits: &Limits) {
        let reason = if record.len() > limits.line_bytes {
            format!("it is longer than the {} bytes that max_line_bytes allows", limits.line_bytes)
        } else if cells > COLUMNS_MAX {
            format!("it has {cells} cells; at most {COLUMNS_MAX} are possible")
        } else if let Some(width) = limits.width.filter(|&width| width != cells) {
            format!("it has {cells} cells instead of {width}")
        } else {
            self.found.push(record);
            return;
        };
        self.cells.cells.truncate(before.0);
        self.cells.copied.truncate(before.1);
        self.refused_at.push((record, reason));
    }

    /// A record without an end: refuses its first line, so that what follows is not lost with it.
    fn give_up(&mut self, at: usize, in_quotes: bool, too_long: bool) -> Result<usize> {
        let end = self.window[at..].iter().position(|&byte| byte == b'\n').map(|length| at + length + 1);
        if !in_quotes || (too_long && end.is_none()) {
            let line = self.line + S::line_breaks(&self.window[..at]);
            return Err(Error::new(ErrorKind::Data, format!("{} line {line} is too long", self.path))
                .with_setting("max_line_bytes")
                .with_hint(S::TOO_LONG));
        }
        let end = end.unwrap_or(self.window.len());
        self.refused_at.push((at..end, "a quote is opened in it that is never closed".to_owned()));
        Ok(end)
    }

    /// Refuses records that are not UTF-8 and overwrites what is wrong with them, so that the rest can be used as text.
    fn refuse_malformed(&mut self) {
        let malformed = refused::malformed(&self.window[..self.at]);
        let mut bad: Vec<usize> = Vec::new();
        for bytes in &malformed {
            let record = self.found.partition_point(|record| record.end <= bytes.start);
            let is_in = self.found.get(record).is_some_and(|found| found.contains(&bytes.start));
            if is_in && bad.last() != Some(&record) {
                self.refused_at.push((self.found[record].clone(), "it is not valid in the file's encoding".to_owned()));
                bad.push(record);
            }
        }
        self.describe_refused();
        for bytes in malformed {
            self.window[bytes].fill(b'?');
        }
        if bad.is_empty() {
            return;
        }
        for bytes in refused::malformed(&self.cells.copied) {
            self.cells.copied[bytes].fill(b'?');
        }
        let width = self.cells.cells.len() / self.found.len();
        let mut cell = 0;
        self.cells.cells.retain(|_| {
            cell += 1;
            bad.binary_search(&((cell - 1) / width)).is_err()
        });
        let mut record = 0;
        self.found.retain(|_| {
            record += 1;
            bad.binary_search(&(record - 1)).is_err()
        });
    }

    fn describe_refused(&mut self) {
        self.refused_at.sort_by_key(|(range, _)| range.start);
        let refused = std::mem::take(&mut self.refused_at);
        self.refused = self.describe(refused.into_iter());
    }

    fn describe(&self, refused: impl Iterator<Item = (Range<usize>, String)>) -> Vec<Refused> {
        let (mut counted, mut line) = (0, self.first_line);
        let mut described = Vec::new();
        for (range, reason) in refused {
            line += S::line_breaks(&self.window[counted..range.start]);
            counted = range.start;
            described.push(Refused { relation: None, line, text: refused::printable(&self.window[range]), reason });
        }
        described
    }

    /// The records of the last read: none of those that were refused.
    ///
    /// # Errors
    /// `Bug` when they were not checked.
    pub(crate) fn records(&self, width: usize) -> Result<Records<'_>> {
        let broken = |error| Error::bug("text was not checked").with_source(error);
        let text = std::str::from_utf8(&self.window[..self.at]).map_err(broken)?;
        let copied = std::str::from_utf8(&self.cells.copied).map_err(broken)?;
        Ok(Records::new(text, copied, &self.cells.cells, width))
    }

    /// What the last read refused, in the order of the file.
    pub(crate) fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    /// Describes records of the last read, by their rising numbers, that are refused for their cells.
    pub(crate) fn refuse(&self, records: Vec<(usize, String)>) -> Vec<Refused> {
        self.describe(records.into_iter().map(|(record, reason)| (self.found[record].clone(), reason)))
    }
}
