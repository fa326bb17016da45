//! Reading a past state of a source, for `verify`.

use std::sync::Arc;

use crate::{Relation, Source, TableChecksum};

/// How a scan reads a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// All rows of it.
    Rows,
    /// Its checksum, computed by the server; the rows where it cannot be.
    Checksum,
    /// Not at all.
    Nothing,
}

/// Says how to read each table.
pub type ChooseReading = Arc<dyn Fn(&Relation) -> Reading + Send + Sync>;

/// A source that yields, as inserts, the rows of its tables as they are (or were) at `PollBudget::until`, and changes
/// nothing at the server.
///
/// The methods here have a default: every table is read by its rows.
pub trait Scan: Source {
    /// Says how each table is to be read; called before `open`, if at all.
    fn choose(&mut self, _choose: ChooseReading) {}

    /// The tables that are not among the rows because they were summed up, as of the `until` of the last poll; empty
    /// before the first one.
    fn checksums(&self) -> Vec<TableChecksum> {
        Vec::new()
    }
}
