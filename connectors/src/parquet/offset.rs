//! Where a `ParquetInput` stands.

use aqueduct_model::{Error, ErrorKind, Position, Result};
use serde::{Deserialize, Serialize};

/// Next to read: a row of a row group of a file, or the end behind all files.
///
/// Ordered by `done_files`, then `row_group`, then `row`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ParquetOffset {
    /// Files that are read to their end.
    pub(super) done_files: usize,
    /// A hash of the identities of those files, in order.
    pub(super) done_hash: u64,
    /// The file being read; none at the end.
    pub(super) file: Option<FileIdentity>,
    /// The row group in it.
    pub(super) row_group: usize,
    /// The row in the row group, counted before any filter.
    pub(super) row: usize,
}

/// Tells whether a file is still the one that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileIdentity {
    /// The path, as the settings lead to it.
    pub(super) path: String,
    /// The size.
    pub(super) bytes: u64,
    /// The time of the last change: nanoseconds since 1970 UTC.
    pub(super) modified_ns: u64,
    /// A hash of the footer, which holds every size, offset and statistic of the file.
    pub(super) footer_hash: u64,
}

impl ParquetOffset {
    /// Reads a position; the empty one is the beginning.
    pub(super) fn from_position(position: &Position) -> Result<Option<Self>> {
        if position.0.is_empty() {
            return Ok(None);
        }
        let offset = position.offset("").filter(|_| position.0.len() == 1).cloned();
        let offset = offset.and_then(|offset| serde_json::from_value(offset).ok());
        offset.map(Some).ok_or_else(|| lost("the position is not one of ParquetInput"))
    }

    pub(super) fn to_position(&self) -> Result<Position> {
        let offset =
            serde_json::to_value(self).map_err(|error| Error::bug("cannot write a position").with_source(error))?;
        Ok(Position::single("", offset))
    }
}

/// The position leads nowhere any more.
pub(super) fn lost(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::LostPosition, what).with_hint(
        "restore the files as they were, or reset the flow's checkpoint (`aqueduct checkpoint reset`) to read them anew",
    )
}

/// Adds a file to the hash over the files that are done.
pub(super) fn chain_hash(before: u64, file: &FileIdentity) -> u64 {
    let text = format!("{before:x} {} {} {} {:x}", file.path, file.bytes, file.modified_ns, file.footer_hash);
    xxhash_rust::xxh3::xxh3_64(text.as_bytes())
}
