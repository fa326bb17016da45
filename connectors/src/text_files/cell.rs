//! Records and cells: where they are in a window of text, and what finds them.

/// Most cells of one record that are kept; a record with more is refused anyway.
pub(crate) const COLUMNS_MAX: usize = 10_000;

/// Where a cell's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    start: u32,
    /// The length in the lower 30 bits, then [`QUOTED`] and [`COPIED`].
    length: u32,
}

/// The text is in the side buffer.
pub(crate) const COPIED: u32 = 1 << 31;
/// The cell stands in quotes.
pub(crate) const QUOTED: u32 = 1 << 30;

impl Cell {
    /// No text, and no place in the text either.
    pub(crate) const ABSENT: Self = Self { start: 0, length: 0 };

    /// A cell of the text from `start` to `end`, with [`QUOTED`] or [`COPIED`] or both.
    pub(crate) fn new(start: usize, end: usize, flags: u32) -> Self {
        // Windows are below 1 GiB by the limits on records and batches.
        Self { start: start as u32, length: (end - start) as u32 | flags }
    }

    /// First and last-plus-one byte.
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + (self.length & (QUOTED - 1)) as usize
    }

    /// The text is in the side buffer, because the file spells it differently.
    pub(crate) fn is_copied(self) -> bool {
        self.length & COPIED != 0
    }

    /// The cell was enclosed in quotes.
    pub(crate) fn is_quoted(self) -> bool {
        self.length & QUOTED != 0
    }
}

/// What begins at a place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scan {
    /// A record of so many cells.
    Record {
        /// Behind its line break.
        end: usize,
        /// The number of its cells, those beyond [`COLUMNS_MAX`] included.
        cells: usize,
    },
    /// An empty line or a comment.
    Skip {
        /// Behind its line break.
        end: usize,
    },
    /// Something that is no record.
    Bad {
        /// Behind it.
        end: usize,
        /// Why.
        reason: String,
    },
    /// The text ends first.
    Incomplete {
        /// It ends inside quotes.
        in_quotes: bool,
    },
}

/// Cells of records, and the side buffer for those that were unescaped.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// All cells, record after record.
    pub(crate) cells: Vec<Cell>,
    /// Text of copied cells.
    pub(crate) copied: Vec<u8>,
}

impl Cells {
    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.cells.clear();
        self.copied.clear();
    }
}

/// Finds the records of a kind of file.
pub(crate) trait Scanner: Send {
    /// What to do about a record that does not end.
    const TOO_LONG: &'static str;

    /// Reads what begins at `at`, adding a record's cells to `out`. With `last` the text is the whole rest of the file.
    ///
    /// What is no record leaves no cells behind.
    fn scan(&mut self, text: &[u8], at: usize, last: bool, out: &mut Cells) -> Scan;

    /// How many line breaks a text holds that begins and ends at record boundaries.
    fn line_breaks(text: &[u8]) -> u64;
}
