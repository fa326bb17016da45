//! What a kind of file adds to reading files of text.

use aqueduct_model::{Batch, Result};

use super::cell::Scanner;
use super::offset::Progress;
use super::reader::Reader;
use super::refused::Refused;
use super::settings::FileSettings;

/// A file that is ready to be read from its first record.
pub(crate) struct Opened<S, L> {
    /// Stands at the first record.
    pub(crate) reader: Reader<S>,
    /// The number of cells that records must have; `None` takes any.
    pub(crate) width: Option<usize>,
    /// Where columns are in this file.
    pub(crate) layout: L,
}

/// How much one read takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadSize {
    /// At most this many records.
    pub(crate) rows: usize,
    /// About this many bytes of text.
    pub(crate) bytes: usize,
}

/// What one read found.
pub(crate) struct Taken {
    /// Rows, in the order in which they go out.
    pub(crate) batches: Vec<Batch>,
    /// Records that are not taken.
    pub(crate) refused: Vec<Refused>,
}

/// A kind of file: how records are found, and which tables they belong to.
pub(crate) trait TextFormat: Send {
    /// Finds records.
    type Scanner: Scanner;
    /// Where columns are.
    type Layout: Send;

    /// Which files are read.
    fn settings(&self) -> &FileSettings;

    /// How much one read takes whatever the engine asks for, where the order of rows depends on that; a replay must give
    /// the same order.
    fn fixed_size(&self) -> Option<ReadSize> {
        None
    }

    /// Opens a file and finds its columns, noting types that it infers. `None` when there is nothing (yet) to tell them
    /// from.
    ///
    /// # Errors
    /// `Schema` when its columns are not its table's; and those of reading.
    fn open(&mut self, path: &str, progress: &mut Progress) -> Result<Option<Opened<Self::Scanner, Self::Layout>>>;

    /// Takes what the last read of a file found.
    ///
    /// # Errors
    /// `Bug` when a type was not checked.
    fn take(&mut self, opened: &mut Opened<Self::Scanner, Self::Layout>) -> Result<Taken>;
}

/// A file's name without folder, compression and extension.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn stems() {
        for (path, expected) in [
            ("in/orders.csv", "orders"),
            ("orders.csv.gz", "orders"),
            ("/a.b/c.d.csv.zst", "c.d"),
            (".csv", ".csv"),
            ("orders", "orders"),
        ] {
            assert_eq!(stem(path), expected, "{path}");
        }
    }
}
