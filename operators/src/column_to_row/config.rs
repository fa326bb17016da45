//! The settings of `ColumnToRow`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which columns become rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnToRowConfig {
    /// The columns that become rows, in this order. The others are repeated in every row.
    pub columns: Vec<String>,
    /// The column with the name of the column that a row was made of. It becomes part of the key.
    #[serde(default = "name")]
    pub name_column: String,
    /// The column with the value.
    #[serde(default = "value")]
    pub value_column: String,
    /// The values become text. Needed when the columns have types that no other type holds.
    #[serde(default)]
    pub as_text: bool,
    /// What becomes of NULL.
    #[serde(default)]
    pub nulls: Nulls,
}

/// What becomes of NULL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Nulls {
    /// A row with NULL.
    #[default]
    Keep,
    /// No row.
    Drop,
}

fn name() -> String {
    "name".to_owned()
}

fn value() -> String {
    "value".to_owned()
}

impl ColumnToRowConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        if self.columns.is_empty() {
            return Err(Error::config("no column becomes rows")
                .with_setting("columns")
                .with_hint("write `columns: [january, february]`"));
        }
        for (i, column) in self.columns.iter().enumerate() {
            if self.columns[..i].contains(column) {
                return Err(Error::config(format!("{column} is named twice"))
                    .with_setting(format!("columns[{i}]"))
                    .with_hint("name it once: its rows would have the same key"));
            }
        }
        if self.name_column == self.value_column {
            return Err(Error::config("`name_column` and `value_column` are the same")
                .with_setting("value_column")
                .with_hint("give one of them another name"));
        }
        Ok(())
    }
}
