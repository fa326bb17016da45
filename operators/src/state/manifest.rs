//! What a checkpoint says of a store: `u32 length of the head · head (JSON) · the entries that no file has yet`.

use std::collections::BTreeMap;

use aqueduct_model::{Error, ErrorKind, Result, State};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::run::{Entries, RunName, Value, push};

const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    next: u64,
    runs: Vec<RunName>,
    entries: usize,
    digest: u64,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Manifest {
    /// The number of the next file.
    pub(super) next: u64,
    /// The files, the oldest first.
    pub(super) runs: Vec<RunName>,
    /// What no file has yet.
    pub(super) rest: BTreeMap<Vec<u8>, Value>,
}

impl Manifest {
    /// As the bytes of a checkpoint.
    pub(super) fn state(&self) -> Result<State> {
        let mut rest = Vec::new();
        for (key, value) in &self.rest {
            push(&mut rest, key, value.as_deref())?;
        }
        let head = Head {
            version: VERSION,
            next: self.next,
            runs: self.runs.clone(),
            entries: self.rest.len(),
            digest: xxh3_64(&rest),
        };
        let head =
            serde_json::to_vec(&head).map_err(|error| Error::bug("a state cannot be written").with_source(error))?;
        let mut bytes = (head.len() as u32).to_le_bytes().to_vec();
        bytes.extend(head);
        bytes.extend(rest);
        Ok(State(bytes))
    }

    /// Out of the bytes of a checkpoint; those of an operator that remembered nothing are empty.
    ///
    /// # Errors
    /// `State` when they are damaged or of a later version.
    pub(super) fn parse(state: &State) -> Result<Self> {
        if state.0.is_empty() {
            return Ok(Self::default());
        }
        let (length, rest) = state.0.split_at_checked(4).ok_or_else(damaged)?;
        let length = length.try_into().map(u32::from_le_bytes).map_err(|_| damaged())? as usize;
        let (head, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let head: Head = serde_json::from_slice(head).map_err(|error| damaged().with_source(error))?;
        if head.version != VERSION || head.digest != xxh3_64(rest) {
            return Err(damaged());
        }
        let entries: BTreeMap<_, _> =
            Entries::new(rest).map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
        if entries.len() != head.entries {
            return Err(damaged());
        }
        Ok(Self { next: head.next, runs: head.runs, rest: entries })
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::State, "the operator's state in the checkpoint is damaged, or of another version")
        .with_hint("start the version that wrote it, restore the checkpoint folder, or start over with `aqueduct checkpoint reset`")
}
