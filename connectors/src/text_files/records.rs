//! The records of one batch: all of the same number of cells, all valid UTF-8.

use super::cell::Cell;

/// Cells by record and column.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    text: &'a str,
    copied: &'a str,
    cells: &'a [Cell],
    width: usize,
}

impl<'a> Records<'a> {
    /// Records of `width` cells each.
    pub(crate) fn new(text: &'a str, copied: &'a str, cells: &'a [Cell], width: usize) -> Self {
        Self { text, copied, cells, width }
    }

    /// The number of records.
    pub(crate) fn len(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    /// The cells of one column, from the first record to the last: text, and whether it was quoted.
    pub(crate) fn column(self, column: usize) -> impl ExactSizeIterator<Item = (&'a str, bool)> + 'a {
        (0..self.len()).map(move |record| {
            let cell = self.cells[record * self.width + column];
            let text = if cell.is_copied() { &self.copied[cell.range()] } else { &self.text[cell.range()] };
            (text, cell.is_quoted())
        })
    }

    /// Other cells of the same text.
    pub(crate) fn with_cells<'b>(self, cells: &'b [Cell], width: usize) -> Records<'b>
    where
        'a: 'b,
    {
        Records { cells, width, ..self }
    }

    /// The cells of one record, as they are.
    pub(crate) fn cells(self, record: usize) -> &'a [Cell] {
        &self.cells[record * self.width..(record + 1) * self.width]
    }

    /// The texts of one record.
    pub(crate) fn record(self, record: usize) -> impl Iterator<Item = &'a str> {
        self.cells[record * self.width..(record + 1) * self.width]
            .iter()
            .map(move |cell| if cell.is_copied() { &self.copied[cell.range()] } else { &self.text[cell.range()] })
    }
}
