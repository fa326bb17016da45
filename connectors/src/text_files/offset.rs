//! A position: one split per file, and one for what was inferred.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Offset, Position, Result, SplitId};
use serde::{Deserialize, Serialize};

use super::column_type::ColumnType;

/// The split that holds inferred types; no file has an empty path.
const TYPES: &str = "";

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The device, for people.
    pub(crate) dev: u64,
    /// The inode.
    pub(crate) ino: u64,
    /// XXH3 of the first `head_bytes` bytes.
    #[serde(with = "hex")]
    pub(crate) head: u64,
    /// How much was hashed.
    pub(crate) head_bytes: u64,
}

/// Where to go on in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileOffset {
    /// The next record: in bytes of a plain UTF-8 file, else of its text in UTF-8.
    pub(crate) offset: u64,
    /// The line that it begins in, from 1.
    pub(crate) line: u64,
    /// Records before it, the header not counted.
    pub(crate) row: u64,
    /// The length of the file in bytes when it had been read to its end; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<u64>,
    /// Which file it is.
    #[serde(flatten)]
    pub(crate) identity: Identity,
}

/// The offsets of all files, and the columns of tables that were inferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// By path.
    pub(crate) files: BTreeMap<String, FileOffset>,
    /// By relation: columns with types, in order.
    pub(crate) types: BTreeMap<String, Vec<(String, String)>>,
}

impl Progress {
    /// Reads a position.
    ///
    /// # Errors
    /// `State` when it was not written by this source.
    pub(crate) fn from_position(position: &Position) -> Result<Self> {
        let foreign = |error| {
            Error::new(ErrorKind::State, "the recorded position is not one of files of text")
                .with_source(error)
                .with_hint("reset the flow's checkpoint if the task was another plugin before")
        };
        let mut progress = Self::default();
        for (split, offset) in &position.0 {
            if split.0 == TYPES {
                progress.types = Deserialize::deserialize(&offset.0).map_err(foreign)?;
            } else {
                progress.files.insert(split.0.clone(), Deserialize::deserialize(&offset.0).map_err(foreign)?);
            }
        }
        Ok(progress)
    }

    /// Writes a position.
    pub(crate) fn to_position(&self) -> Position {
        let mut position = Position::default();
        if !self.types.is_empty() {
            position.0.insert(SplitId::from(TYPES), Offset(serde_json::json!(self.types)));
        }
        for (path, offset) in &self.files {
            position.0.insert(SplitId(path.clone()), Offset(serde_json::json!(offset)));
        }
        position
    }

    /// The columns of a table that were inferred before.
    ///
    /// # Errors
    /// `State` when a type is unknown.
    pub(crate) fn columns(&self, table: &str) -> Result<Option<Vec<(String, ColumnType)>>> {
        let Some(columns) = self.types.get(table) else { return Ok(None) };
        let typed = |(name, kind): &(String, String)| {
            let kind = kind.parse().map_err(|cause: String| {
                Error::new(ErrorKind::State, format!("the recorded type of column {name} is unknown: {cause}"))
            })?;
            Ok((name.clone(), kind))
        };
        columns.iter().map(typed).collect::<Result<_>>().map(Some)
    }
}

/// A hash as text: JSON numbers lose bits in many readers.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(hash: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{hash:016x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(de::Error::custom)
    }
}
