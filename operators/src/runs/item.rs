//! A row that is worked on.

use aqueduct_model::{Batch, Result, cell_text};
use arrow::array::Array;
use xxhash_rust::xxh3::Xxh3;

use super::ItemEnd;

/// How far an item has come.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    /// It waits for its turn.
    Waiting,
    /// Its runs are under way.
    Running,
    /// It has ended, and no snapshot says so yet.
    Ended(ItemEnd),
    /// A snapshot says that it has ended: it is emitted in this epoch.
    Named(ItemEnd),
    /// It was emitted in this epoch.
    Emitted,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) number: u64,
    pub(super) digest: u64,
    /// One row.
    pub(super) row: Batch,
    pub(super) stage: Stage,
}

impl Item {
    /// The name of its runs.
    pub(super) fn name(&self) -> String {
        format!("{:012}-{:016x}", self.number, self.digest)
    }
}

/// The number and the digest in a name of [`Item::name`].
pub(super) fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (number, digest) = name.split_once('-')?;
    Some((number.parse().ok()?, u64::from_str_radix(digest, 16).ok()?))
}

/// A digest of a row: of its relation, and of the names and texts of its values.
pub(super) fn digest(row: &Batch) -> Result<u64> {
    let mut hash = Xxh3::new();
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(row.relation().name().to_string().as_bytes());
    for (field, cells) in row.rows().schema_ref().fields().iter().zip(row.rows().columns()) {
        part(field.name().as_bytes());
        match cells.is_null(0) {
            true => part(&[]),
            false => part(format!("={}", cell_text(cells.as_ref(), 0)?).as_bytes()),
        }
    }
    Ok(hash.digest())
}
