//! The settings of `Split`.

use aqueduct_model::{Error, Result};
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::parts::Cutter;

/// Which column is split, and how.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitConfig {
    /// The column that is split.
    pub column: String,
    /// What it is split by: `{ delimiter: "," }`, `{ regex: "[,;]\\s*" }`, or `array` for the elements of an array.
    pub by: By,
    /// The column of the parts; by default they replace the column that is split.
    #[serde(default)]
    pub into: Option<String>,
    /// The column with the place of a part, counted from 1. It becomes part of the key.
    #[serde(default = "position")]
    pub position: String,
    /// Takes white space away at both ends of each part; not with `array`.
    #[serde(default)]
    pub trim: bool,
    /// Leaves empty parts out, and counts places without them; not with `array`.
    #[serde(default)]
    pub skip_empty: bool,
    /// What becomes of a row without parts: NULL, an empty array, or nothing left by `skip_empty`.
    #[serde(default)]
    pub empty: Empty,
}

/// What a column is split by.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum By {
    /// A text.
    Delimiter(String),
    /// Matches of a regular expression.
    Regex(String),
    /// The elements of an array.
    Array,
}

/// What becomes of a row without parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// One row, of which the part is NULL and the place 1.
    #[default]
    Keep,
    /// No row.
    Drop,
}

fn position() -> String {
    "position".to_owned()
}

impl SplitConfig {
    /// How texts are cut.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn cutter(&self) -> Result<Cutter> {
        match &self.by {
            By::Delimiter(delimiter) if delimiter.is_empty() => Err(Error::config("the delimiter is empty")
                .with_setting("by.delimiter")
                .with_hint("write the text between the parts: `by: { delimiter: \",\" }`")),
            By::Delimiter(delimiter) => Ok(Cutter::Delimiter(delimiter.clone())),
            By::Regex(pattern) => Regex::new(pattern).map(Cutter::Regex).map_err(|error| {
                Error::config("the pattern is not a regular expression")
                    .with_source(error)
                    .with_setting("by.regex")
                    .with_hint("the syntax is that of https://docs.rs/regex")
            }),
            By::Array if self.trim || self.skip_empty => {
                Err(Error::config("`trim` and `skip_empty` are about texts, not about the elements of an array")
                    .with_setting("by")
                    .with_hint("remove them"))
            }
            By::Array => Ok(Cutter::Array),
        }
    }
}
