//! The records of one batch: all of the same number of cells, all valid UTF-8.

use super::tokenizer::Cell;

/// Cells by record and column.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    text: &'a str,
    copied: &'a str,
    cells: &'a [Cell],
    width: usize,
}

impl<'a> Records<'a> {
    /// Records of `width` cells each.
    pub(super) fn new(text: &'a str, copied: &'a str, cells: &'a [Cell], width: usize) -> Self {
        Self { text, copied, cells, width }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    /// The cells of one column, from the first record to the last: text, and whether it was quoted.
    pub(super) fn column(self, column: usize) -> impl ExactSizeIterator<Item = (&'a str, bool)> + 'a {
        (0..self.len()).map(move |record| {
            let cell = self.cells[record * self.width + column];
            let text = if cell.is_copied() { &self.copied[cell.range()] } else { &self.text[cell.range()] };
            (text, cell.is_quoted())
        })
    }

    /// The cells of one record.
    pub(super) fn record(self, record: usize) -> impl Iterator<Item = &'a str> {
        self.cells[record * self.width..(record + 1) * self.width]
            .iter()
            .map(move |cell| if cell.is_copied() { &self.copied[cell.range()] } else { &self.text[cell.range()] })
    }
}
