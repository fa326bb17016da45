//! Changes of tables as JSON: the model's type is not meant to be stored.

use aqueduct_model::{Change, RelationName};
use serde::{Deserialize, Serialize};

/// A change of a table as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeptChange {
    CreateTable,
    AddColumns(Vec<String>),
    DropColumns(Vec<String>),
    RenameColumn { from: String, to: String },
    AlterColumns(Vec<String>),
    DropTable,
    RenameTable { from: RelationName },
    Truncate,
}

impl KeptChange {
    /// `None` for a kind that this version does not know.
    pub(super) fn of(change: &Change) -> Option<Self> {
        Some(match change.clone() {
            Change::CreateTable => Self::CreateTable,
            Change::AddColumns(names) => Self::AddColumns(names),
            Change::DropColumns(names) => Self::DropColumns(names),
            Change::RenameColumn { from, to } => Self::RenameColumn { from, to },
            Change::AlterColumns(names) => Self::AlterColumns(names),
            Change::DropTable => Self::DropTable,
            Change::RenameTable { from } => Self::RenameTable { from },
            Change::Truncate => Self::Truncate,
            _ => return None,
        })
    }

    pub(super) fn change(self) -> Change {
        match self {
            Self::CreateTable => Change::CreateTable,
            Self::AddColumns(names) => Change::AddColumns(names),
            Self::DropColumns(names) => Change::DropColumns(names),
            Self::RenameColumn { from, to } => Change::RenameColumn { from, to },
            Self::AlterColumns(names) => Change::AlterColumns(names),
            Self::DropTable => Change::DropTable,
            Self::RenameTable { from } => Change::RenameTable { from },
            Self::Truncate => Change::Truncate,
        }
    }
}
