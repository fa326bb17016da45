//! Delivery receipts: for every epoch, what went from which source range into which target, chained by hashes.
//!
//! One JSON line per epoch in `receipts.jsonl` beside the checkpoint. A line is durable before its epoch is logged;
//! lines of epochs that were never logged are cut off at the next start, and the replayed epoch writes them again. So a
//! complete file has every epoch exactly once. [`audit`] proves it: each line's hash covers the line before it, each
//! epoch begins where the one before ended, and no target has fewer or more epochs than the file.

mod audit;
mod content;
mod ledger;

use std::collections::BTreeMap;

use aqueduct_model::{Epoch, Positions, Token};
use serde::{Deserialize, Serialize};

pub use audit::{Audit, TargetState, audit};
pub use content::Content;
pub(crate) use content::ContentMeter;
pub(crate) use ledger::Ledger;
pub use ledger::read;

/// What a receipt says of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptKind {
    /// No receipts are written.
    None,
    /// How many rows of each kind.
    #[default]
    Counts,
    /// The same, and a digest of the rows that does not depend on how they were cut into batches.
    Digests,
}

/// One epoch's receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The epoch; rises by one from line to line, except after a reset.
    pub epoch: Epoch,
    /// The token of the start that wrote it: in the target's transaction, epoch and token are its name.
    pub token: Token,
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// Whether a person asked to begin anew: `from` then need not be where the line before ended.
    #[serde(default, skip_serializing_if = "is_false")]
    pub begins: bool,
    /// For each source, by task id, the first position of the epoch.
    pub from: Positions,
    /// For each source, the position behind its last row.
    pub to: Positions,
    /// For each target, by task id, what it was given.
    pub targets: BTreeMap<String, Content>,
    /// The hash of the line before; 64 zeros in the first.
    pub previous: String,
    /// SHA-256, in hexadecimal, of this line with an empty `hash`.
    pub hash: String,
}

impl Receipt {
    /// A receipt that is not in a file yet: the ledger adds where it begins, and the hashes.
    pub(crate) fn new(
        (epoch, token): (Epoch, Token),
        at_ms: u64,
        to: Positions,
        targets: BTreeMap<String, Content>,
    ) -> Self {
        let (from, previous, hash) = (Positions::new(), String::new(), String::new());
        Self { epoch, token, at_ms, begins: false, from, to, targets, previous, hash }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
