//! A string column under construction: pieces are copied once, straight to where Arrow keeps them.

use std::sync::Arc;

use aqueduct_model::{Error, Result};
use arrow::array::{ArrayRef, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

/// Builds one string column without nulls: `push` pieces, `end` each value.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
}

impl Text {
    /// An empty column with room for `rows` values of about `width` bytes.
    pub(super) fn with_capacity(rows: usize, width: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(rows * width), offsets }
    }

    /// Adds a piece to the value under construction.
    pub(super) fn push(&mut self, piece: &str) {
        self.bytes.extend_from_slice(piece.as_bytes());
    }

    /// Adds a number in decimal.
    pub(super) fn push_number(&mut self, number: u64) {
        self.push_digits(number, 1);
    }

    /// Adds a number in decimal with leading zeros up to `width` digits (at most 20).
    pub(super) fn push_digits(&mut self, mut number: u64, width: usize) {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while number > 0 {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        let at = at.min(digits.len() - width.min(digits.len()));
        self.bytes.extend_from_slice(&digits[at..]);
    }

    /// The value under construction is complete.
    pub(super) fn end(&mut self) {
        // A batch is bounded by its byte budget; 2 GiB of one column is out of its reach.
        self.offsets.push(self.bytes.len() as i32);
    }

    /// Adds a whole value.
    pub(super) fn value(&mut self, value: &str) {
        self.push(value);
        self.end();
    }

    /// The finished column.
    pub(super) fn finish(self) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let array = StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)
            .map_err(|error| Error::bug("a generated column is not text").with_source(error))?;
        Ok(Arc::new(array))
    }
}
