//! The settings of `Function`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mapping::{Column, Ordered};
use crate::sql::Expression;

/// Which columns are computed, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionConfig {
    /// The columns, by name, in this order: an SQL expression, or `{ value: …, type: … }`. Each may use the ones before
    /// it; one with the name of a column replaces it for those behind it too.
    pub columns: Ordered<Column>,
    /// What happens to a row for which an expression cannot be computed.
    #[serde(default)]
    pub on_error: OnError,
}

/// What happens to a row for which an expression cannot be computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// It is a bad row.
    #[default]
    Reject,
    /// The column is NULL.
    SetNull,
}

impl FunctionConfig {
    /// The expressions.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn expressions(&self) -> Result<Vec<(String, Expression)>> {
        if self.columns.is_empty() {
            return Err(Error::config("no column is computed")
                .with_setting("columns")
                .with_hint("write `columns: { total: \"price * quantity\" }`"));
        }
        let mut read = Vec::with_capacity(self.columns.0.len());
        for (name, column) in &self.columns.0 {
            let expression = column.expression().map_err(|error| error.with_setting(format!("columns.{name}")))?;
            read.push((name.clone(), expression));
        }
        Ok(read)
    }
}
