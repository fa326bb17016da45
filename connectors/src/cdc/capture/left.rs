//! The tables that this capture once had: what the target holds of them is old when one of the name comes again.
//!
//! A table leaves when it is dropped, or when `tables` no longer asks for it; a target may keep its rows either way. The
//! list is a file beside the checkpoint, durable before a position behind which a table has left. A position says how many
//! have: what is beyond that number was undone by a crash, and what is missing tells that the file is not the right one.

use std::collections::HashSet;
use std::sync::Arc;

use aqueduct_model::{Error, ErrorKind, RelationName, Result};
use serde::{Deserialize, Serialize};

use super::disk::Disk;

const FILE: &str = "left";
const DRAFT: &str = "draft-left";
/// The list is no longer than this; the one that left first is then forgotten, with a warning.
const LEFT_MAX: usize = 10_000;
/// A list of that length is smaller.
const BYTES_MAX: u64 = 64 << 20;

/// A table that was captured and is not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeftTable {
    name: RelationName,
    /// How many left before it.
    number: u64,
    /// The version of its last columns: those of a table that comes again are newer.
    pub(super) version: u32,
    /// By `schema_change` the target keeps its rows, also when one of the name comes again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) stays: bool,
}

/// The list, the latest last.
pub(super) struct Left {
    disk: Arc<dyn Disk>,
    tables: Vec<LeftTable>,
}

impl Left {
    /// The list on that disk, empty where there is none.
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, tables: Vec::new() }
    }

    /// Reads the list as it was when `count` tables had left.
    ///
    /// # Errors
    /// `LostPosition` when it is gone, `State` when it is damaged.
    pub(super) async fn load(&mut self, count: u64) -> Result<()> {
        let length = self.disk.length(FILE).await?.unwrap_or_default();
        if let Some(text) = self.disk.read(FILE, 0, length.min(BYTES_MAX) as usize).await? {
            self.tables = serde_json::from_slice(&text).map_err(|error| {
                Error::new(ErrorKind::State, "the list of tables that this flow captured before is damaged")
                    .with_hint(RESTORE)
                    .with_source(error)
            })?;
        }
        self.tables.retain(|table| table.number < count);
        if self.tables.last().map_or(0, |table| table.number + 1) != count {
            let text = "which tables this flow captured before is not known any more";
            return Err(Error::new(ErrorKind::LostPosition, text).with_hint(RESTORE));
        }
        // Only now: a crash may have undone the later ones.
        let mut known = HashSet::new();
        let mut tables: Vec<LeftTable> = std::mem::take(&mut self.tables);
        tables.reverse();
        tables.retain(|table| known.insert(table.name.clone()));
        tables.reverse();
        self.tables = tables;
        Ok(())
    }

    /// The table of that name, if it was captured before.
    pub(super) fn find(&self, name: &RelationName) -> Option<&LeftTable> {
        self.tables.iter().rev().find(|table| table.name == *name)
    }

    /// Notes that tables have left, the first one as the `number`th; durable when this returns.
    pub(super) async fn add(&mut self, leaving: Vec<(RelationName, u32)>, number: u64, stays: bool) -> Result<()> {
        if leaving.is_empty() {
            return Ok(());
        }
        for ((name, version), number) in leaving.into_iter().zip(number..) {
            self.tables.push(LeftTable { name, number, version, stays });
        }
        let surplus = self.tables.len().saturating_sub(LEFT_MAX);
        for table in self.tables.drain(..surplus) {
            let text =
                "a table that left long ago is forgotten: if one of its name comes again, the target keeps its rows";
            tracing::warn!(table = %table.name, "{text}");
        }
        let text = serde_json::to_vec(&self.tables)
            .map_err(|error| Error::bug("the list of tables that left cannot be written").with_source(error))?;
        self.disk.remove(DRAFT).await?;
        self.disk.append(DRAFT, text).await?;
        self.disk.publish(DRAFT, FILE).await
    }
}

const RESTORE: &str =
    "restore the checkpoint folder with its `sources` folder, or start over with `aqueduct checkpoint reset`";
