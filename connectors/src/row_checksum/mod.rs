//! Sums of row digests that every database computes by itself, and that are the same in all of them where the rows are:
//! what `verify` compares before it moves a single row.
//!
//! A row's *text* is the text of each of its columns followed by a comma, in the relation's order. Its *digest* is the
//! first 64 bits of the text's MD5, the first byte the most significant. A table's checksum is the number of its rows
//! and the sum of their digests modulo 2^64.
//!
//! | value                       | its text                                                                      |
//! |-----------------------------|-------------------------------------------------------------------------------|
//! | NULL                        | nothing; `:` in a column of text                                              |
//! | boolean                     | `0` or `1`                                                                    |
//! | integer                     | decimal, `-` in front of a negative one                                       |
//! | decimal                     | all digits of the column's scale: `-0.50`                                     |
//! | date                        | `2024-02-29`                                                                  |
//! | timestamp                   | `2024-02-29 23:59:59.5`, in UTC where it has a zone; no zeros at the end of a fraction, no empty fraction |
//! | time of day                 | `23:59:59.5`, as above                                                        |
//! | duration                    | microseconds                                                                  |
//! | text                        | its length in bytes of UTF-8, `:`, the text                                   |
//! | text padded with blanks     | as a text, without blanks at its end                                          |
//! | bytes                       | their MD5, lower case hexadecimal                                             |
//!
//! Both sides have the same columns of the same types, so a text has one meaning only: none but a text of known length
//! can hold a comma, and no value but NULL has an empty text. Tables with a column that is not in the table above
//! (floating point numbers, JSON, nested types) have no checksum. Dates outside of the years 1 to 9999 are written in
//! several ways, so that checksums differ where rows do not; the reverse cannot be.
//!
//! How each system makes the text is in its own folder (`row_text`); a test there compares it, over a table of values,
//! with what is made here of the Arrow values that the system's reader decodes.

#[cfg(any(feature = "mysql", feature = "postgres"))]
mod batch;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod row;
mod text;

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(crate) use batch::digests;
#[cfg(all(test, any(feature = "mysql", feature = "postgres")))]
pub(crate) use batch::row_texts;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(crate) use row::RowText;
#[cfg(any(feature = "duckdb", feature = "mysql", feature = "postgres"))]
pub(crate) use text::checksum_of;
pub(crate) use text::{CellText, cell_texts};
