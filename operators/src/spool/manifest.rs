//! What a checkpoint says of a spool: `u32 length of the head · head (JSON) · the rows that no file has`.

use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, Relation, Result, State};
use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::segment::{SegmentName, decode, encode};
use crate::kept_relation::KeptRelation;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    next: u64,
    tables: Vec<TableHead>,
    digest: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableHead {
    port: usize,
    relation: KeptRelation,
    segments: Vec<SegmentName>,
    held_bytes: usize,
}

/// What a checkpoint says of one table.
#[derive(Debug, Clone)]
pub(super) struct TableState {
    pub(super) port: usize,
    pub(super) relation: Arc<Relation>,
    pub(super) segments: Vec<SegmentName>,
    pub(super) held: Vec<RecordBatch>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Manifest {
    /// The number of the next file.
    pub(super) next: u64,
    pub(super) tables: Vec<TableState>,
}

impl Manifest {
    /// As the bytes of a checkpoint.
    pub(super) fn state(&self) -> Result<State> {
        let mut rest = Vec::new();
        let mut tables = Vec::new();
        for table in &self.tables {
            let (relation, before) = (&table.relation, rest.len());
            if !table.held.is_empty() {
                encode(relation.columns(), &table.held, &mut rest)?;
            }
            tables.push(TableHead {
                port: table.port,
                relation: KeptRelation::of(relation)?,
                segments: table.segments.clone(),
                held_bytes: rest.len() - before,
            });
        }
        let head = Head { version: VERSION, next: self.next, tables, digest: xxh3_64(&rest) };
        let head = serde_json::to_vec(&head)
            .map_err(|error| Error::bug("the state of kept rows cannot be written").with_source(error))?;
        let mut bytes = (head.len() as u32).to_le_bytes().to_vec();
        bytes.extend(head);
        bytes.extend(rest);
        Ok(State(bytes))
    }

    /// Out of the bytes of a checkpoint; those of an operator that kept nothing are empty.
    ///
    /// # Errors
    /// `State` when they are damaged or of a later version.
    pub(super) fn parse(state: &State) -> Result<Self> {
        if state.0.is_empty() {
            return Ok(Self::default());
        }
        let (length, rest) = state.0.split_at_checked(4).ok_or_else(damaged)?;
        let length = length.try_into().map(u32::from_le_bytes).map_err(|_| damaged())? as usize;
        let (head, mut rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let head: Head = serde_json::from_slice(head).map_err(|error| damaged().with_source(error))?;
        if head.version != VERSION || head.digest != xxh3_64(rest) {
            return Err(damaged());
        }
        let mut tables = Vec::new();
        for table in head.tables {
            let (held, after) = rest.split_at_checked(table.held_bytes).ok_or_else(damaged)?;
            rest = after;
            let held = decode(Buffer::from(held)).map_err(|error| damaged().with_source(error))?;
            let relation = table.relation.relation()?;
            tables.push(TableState { port: table.port, relation, segments: table.segments, held });
        }
        if !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self { next: head.next, tables })
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::State, "the kept rows in the checkpoint are damaged, or of another version").with_hint(
        "start the version that wrote them, restore the checkpoint folder, or start over with `aqueduct checkpoint reset`",
    )
}
