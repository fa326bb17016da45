//! DDL, in band.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Relation, RelationName};

/// What a DDL statement did to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// The table is new to the stream (created, or seen for the first time).
    CreateTable,
    /// Columns were added, by name.
    AddColumns(Vec<String>),
    /// Columns were dropped, by name.
    DropColumns(Vec<String>),
    /// A column has a new name.
    RenameColumn {
        /// The name before.
        from: String,
        /// The name after.
        to: String,
    },
    /// Columns have a new type, nullability or default, by name.
    AlterColumns(Vec<String>),
    /// The table is gone.
    DropTable,
    /// The table has a new name; the relation carries it.
    RenameTable {
        /// The name before.
        from: RelationName,
    },
    /// All rows are gone.
    Truncate,
}

/// A change of a table's shape, placed in the stream where it happened.
#[derive(Debug, Clone)]
pub struct SchemaChange {
    /// The table after the change (before it, for `DropTable`).
    pub relation: Arc<Relation>,
    /// What was done.
    pub change: Change,
    /// The statement as the source gave it, where it did.
    pub statement: Option<String>,
}

impl SchemaChange {
    /// A change without its statement.
    pub fn new(relation: Arc<Relation>, change: Change) -> Self {
        Self { relation, change, statement: None }
    }
}
