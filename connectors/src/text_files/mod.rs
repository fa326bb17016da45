//! What all inputs of text files share: from bytes to Arrow, exact to the row.
//!
//! Reading goes in four steps, each in its own file: [`bytes`] opens, decompresses and decodes, a [`cell::Scanner`] of the
//! kind of file finds records and cells without copying, [`reader`] keeps a window of the text and its offset, [`decode`]
//! makes typed columns. Around them [`inventory`] knows whether a file is still the same one, and [`source`] goes from
//! file to file.
//!
//! A position holds one split per file. What cannot be read is refused with file and line, never skipped. A read may find
//! rows of several tables; until all of them are handed out there is no position, so that no epoch parts them.
//!
//! What it does not do: it knows no syntax and no table; see [`format::TextFormat`].

mod bytes;
mod cell;
mod column_type;
mod decode;
mod defaults;
mod files;
mod format;
mod infer;
mod inventory;
mod number;
mod offset;
mod parse;
mod reader;
mod records;
mod refused;
mod settings;
mod source;

pub(crate) use bytes::{Format, TextFile};
pub(crate) use cell::{COLUMNS_MAX, COPIED, Cell, Cells, QUOTED, Scan, Scanner};
pub(crate) use column_type::{ColumnType, TypedColumns};
pub(crate) use decode::{Shape, decode};
pub(crate) use defaults::{infer_rows, max_decompressed_bytes, max_files, max_line_bytes, utf8};
pub(crate) use files::open as open_file;
pub(crate) use format::{Opened, ReadSize, Taken, TextFormat, stem};
pub(crate) use infer::Guess;
pub(crate) use offset::Progress;
pub(crate) use parse::CellRules;
pub(crate) use reader::{Limits, Reader};
pub(crate) use records::Records;
pub(crate) use refused::Refused;
pub(crate) use settings::{Compression, FileSettings, Paths, encoding_of, watch_interval, wrong};
pub(crate) use source::TextSource;
