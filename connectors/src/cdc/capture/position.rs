//! Where a capture stands: the log, the journal, and how far each table has come.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Position, RelationName, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{Key, Mark};

/// The position of a capture. It has one split, `""`, whose offset this is as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "", deserialize = ""))]
pub(super) struct State<M: Mark> {
    /// The next to read of the log.
    pub(super) log: M,
    /// The next entry of the journal.
    pub(super) entry: u64,
    /// How much of that entry was handed out: rows, or announcements.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) done: u64,
    /// How many tables have left since the beginning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) left: u64,
    /// The tables that were announced.
    #[serde(with = "pairs")]
    pub(super) tables: BTreeMap<RelationName, TableState<M>>,
}

/// How far one table has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "", deserialize = ""))]
pub(super) struct TableState<M: Mark> {
    /// Its columns in the log, at this position.
    pub(super) shape: ShapeId,
    /// Its columns as they are handed out, where `schema_change` keeps them another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shown_as: Option<ShapeId>,
    /// True when keys are compared here, false when the database compares them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) native_order: bool,
    /// What is happening to it.
    pub(super) phase: Phase<M>,
}

/// Names the columns and key of a table at one time; the words are kept in [`super::shapes`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShapeId {
    /// The version that the relation carries.
    pub(super) version: u32,
    /// The digest of columns and key.
    pub(super) digest: String,
}

/// What is happening to a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, bound(serialize = "", deserialize = ""))]
pub(super) enum Phase<M: Mark> {
    /// Its rows are being read.
    Snapshot {
        /// Everything up to this key was handed out; `None` before the first chunk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<SavedKey>,
        /// The rows are at the target already and come again, as updates.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// Once they are read, they are to be read again as updates: the table gained columns half way.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        then_again: bool,
    },
    /// All changes are handed out.
    Streaming,
    /// Its changes from this place of the log on are withheld until a person approves.
    Parked {
        /// The boundary before the change that needs approval.
        at: M,
        /// It was being read: approval begins it anew.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unfinished: bool,
    },
    /// The changes that were withheld are read, up to the log's own place.
    CatchUp {
        /// The next to read.
        at: M,
        /// The next schema change is the one that was approved; rows before it were handed out already.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        approved: bool,
        /// Behind it the rows are read again: the table gained columns.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        then_again: bool,
    },
    /// It cannot be read; the other tables go on.
    Failed {
        /// Why.
        error: String,
    },
}

impl<M: Mark> Phase<M> {
    /// Nothing is read yet.
    pub(super) const fn snapshot(again: bool) -> Self {
        Self::Snapshot { after: None, again, then_again: false }
    }
}

impl<M: Mark> State<M> {
    /// The position of a capture that stands here.
    pub(super) fn position(&self) -> Position {
        let offset = serde_json::to_value(self).expect("a position is plain data, its map is a list of pairs");
        Position::single("", offset)
    }

    /// Reads a position back.
    ///
    /// # Errors
    /// `State` when it was not made by a capture of this engine.
    pub(super) fn parse(position: &Position) -> Result<Self> {
        let offset = position.offset("").ok_or_else(|| foreign("it has no split \"\""))?;
        serde_json::from_value(offset.clone()).map_err(|error| foreign("it is not understood").with_source(error))
    }
}

fn foreign(why: &str) -> Error {
    Error::new(ErrorKind::State, format!("the recorded position is not one of this capture: {why}"))
        .with_hint("`aqueduct checkpoint reset` starts the flow anew")
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A key that survives JSON exactly: the one row as an Arrow stream, in base64.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SavedKey(pub(super) Key);

impl SavedKey {
    /// Keeps a key, its columns bare of metadata.
    ///
    /// # Errors
    /// `Bug` for more or fewer rows than one.
    pub(super) fn new(key: &Key) -> Result<Self> {
        if key.num_rows() != 1 {
            return Err(Error::bug(format!("a key of {} rows", key.num_rows())));
        }
        let bare = |field: &std::sync::Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
        let columns = Schema::new(key.schema().fields().iter().map(bare).collect::<Vec<_>>());
        RecordBatch::try_new(columns.into(), key.columns().to_vec())
            .map(Self)
            .map_err(|error| Error::bug("a key does not fit its own columns").with_source(error))
    }
}

impl Serialize for SavedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let write = || -> Result<Vec<u8>, arrow::error::ArrowError> {
            let mut writer = StreamWriter::try_new(Vec::new(), &self.0.schema())?;
            writer.write(&self.0)?;
            writer.into_inner()
        };
        serializer.serialize_str(&STANDARD_NO_PAD.encode(write().map_err(ser::Error::custom)?))
    }
}

impl<'de> Deserialize<'de> for SavedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(de::Error::custom)?;
        let mut reader = StreamReader::try_new(bytes.as_slice(), None).map_err(de::Error::custom)?;
        match reader.next() {
            Some(Ok(key)) if key.num_rows() == 1 => Ok(Self(key)),
            _ => Err(de::Error::custom("not a key")),
        }
    }
}

/// A map whose keys are not texts, as a list of pairs.
mod pairs {
    use super::*;

    pub(super) fn serialize<S: Serializer, M: Mark>(
        tables: &BTreeMap<RelationName, TableState<M>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tables)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, M: Mark>(
        deserializer: D,
    ) -> Result<BTreeMap<RelationName, TableState<M>>, D::Error> {
        Ok(Vec::<(RelationName, TableState<M>)>::deserialize(deserializer)?.into_iter().collect())
    }
}
