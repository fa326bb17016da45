//! The settings of `RowToColumn`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The most columns that are made.
const COLUMNS_MAX: usize = 1_000;

/// Which rows become columns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowToColumnConfig {
    /// The column with the names. Where the table has a key it is part of it, and the rest of the key is the key of the
    /// rows that are made.
    pub name_column: String,
    /// The column with the values.
    pub value_column: String,
    /// The names that become columns, in this order.
    pub columns: Vec<String>,
    /// The columns of which equal values make one row; only for a table without a key.
    #[serde(default)]
    pub by: Vec<String>,
    /// What becomes of a row with another name.
    #[serde(default)]
    pub others: Others,
    /// When rows are given.
    #[serde(default)]
    pub emit: Emit,
}

/// What becomes of a row with a name that is not in the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// It is a bad row.
    #[default]
    Reject,
    /// It is left out.
    Drop,
}

/// When rows are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// With every change, as inserts, updates and deletes.
    #[default]
    Changes,
    /// When the input ends, as inserts.
    AtEnd,
}

impl RowToColumnConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        if self.columns.is_empty() || self.columns.len() > COLUMNS_MAX {
            return Err(Error::config(format!("`columns` does not have 1 to {COLUMNS_MAX} names"))
                .with_setting("columns")
                .with_hint("write the names that become columns: `columns: [january, february]`"));
        }
        for (i, column) in self.columns.iter().enumerate() {
            if self.columns[..i].contains(column) {
                return Err(Error::config(format!("{column} is named twice"))
                    .with_setting(format!("columns[{i}]"))
                    .with_hint("name it once"));
            }
        }
        if self.name_column == self.value_column {
            return Err(Error::config("`name_column` and `value_column` are the same")
                .with_setting("value_column")
                .with_hint("name the column with the values"));
        }
        Ok(())
    }
}
