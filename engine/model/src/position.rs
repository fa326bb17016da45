//! Where a source stands, and what is safe: positions, epochs, fencing tokens, cuts.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One independently positioned part of a source: a partition, a file, a table, or `""` for a source of one part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SplitId(pub String);

impl From<&str> for SplitId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// Where to go on reading in one split: always "next to read", opaque to everyone but its source.
///
/// It must tell apart several rows that share one log position. It is JSON and not bytes so that
/// `aqueduct checkpoint show` and a sink's own ledger stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub serde_json::Value);

/// Where a source stands: the offset of each of its splits. Empty means "from the beginning".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub BTreeMap<SplitId, Offset>);

impl Position {
    /// A position of one split.
    pub fn single(split: impl Into<SplitId>, offset: serde_json::Value) -> Self {
        Self(BTreeMap::from([(split.into(), Offset(offset))]))
    }

    /// The offset of one split, where there is one.
    pub fn offset(&self, split: &str) -> Option<&serde_json::Value> {
        self.0.get(&SplitId(split.to_owned())).map(|offset| &offset.0)
    }
}

/// The positions of several sources, by task id.
pub type Positions = BTreeMap<String, Position>;

/// The number of a checkpoint. Epoch 0 is "nothing committed yet"; the first checkpoint is 1.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The fencing token: rises by one with every start of a flow. A sink refuses a writer whose token is not the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

impl Token {
    /// The token of the next start.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An epoch's edge: everything before `positions` belongs to `epoch` or an earlier one, nothing after it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// The epoch that ends here.
    pub epoch: Epoch,
    /// For each source upstream, by task id, what it reads next.
    pub positions: Positions,
}
