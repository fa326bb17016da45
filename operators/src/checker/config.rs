//! The settings of `Checker`.

use aqueduct_model::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::duplicate::state_memory;

/// What rows have to keep.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerConfig {
    /// The rules. All of them are looked at for every row.
    pub rules: Vec<Rule>,
    /// The further column of port `rejected`, with all reasons of a row, `; ` between them.
    #[serde(default = "reasons")]
    pub reasons_column: String,
    /// About how much of what `unique` and `reference` remember is held in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

/// One rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What stands in front of the reason, and what the rule is called in metrics: `adult` makes `adult: age is below 18`.
    #[serde(default)]
    pub name: Option<String>,
    /// The column that is checked; not with `expression` and `row_count`.
    #[serde(default)]
    pub column: Option<String>,
    /// Several columns that are checked together, for `unique` and `reference`: `[tenant, email]`.
    #[serde(default)]
    pub columns: Vec<String>,
    /// What it is checked for: `not_null`, `unique`, `{ range: { min: 0 } }`, `{ expression: "a < b" }`,
    /// `{ reference: { input: customers, in: [id] } }`. NULL keeps every rule but `not_null`.
    pub check: Check,
}

/// What a column or a row is checked for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum Check {
    /// The value is not NULL.
    NotNull,
    /// The value is not below or above a bound.
    Range(Range),
    /// The value is one of these texts, numbers or booleans.
    Set(Vec<Value>),
    /// The value, as text, has a match of this regular expression; write `^` and `$` to match the whole text.
    Regex(String),
    /// The value, as text, has a number of characters.
    Length(Length),
    /// The value can be converted to this SQL type: `bigint`, `decimal(12,2)`, `date`, `timestamp`.
    Type(String),
    /// An SQL expression over the row's columns is not false: `starts_at <= ends_at`.
    Expression(String),
    /// The value, a time, is not much older than another time of the same row.
    Freshness(Freshness),
    /// No other row of the table that was let through has the same values.
    Unique,
    /// A row of another input of the task, which is read to its end first, has these values.
    Reference(Reference),
    /// The table has a number of rows; if it has not, the flow fails.
    RowCount(RowCount),
}

/// Bounds, both of them allowed values.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least value: a number, or a text such as `2024-01-01` for a date.
    #[serde(default)]
    pub min: Option<Value>,
    /// The greatest value.
    #[serde(default)]
    pub max: Option<Value>,
}

/// How many characters.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// The fewest.
    #[serde(default)]
    pub min: Option<u32>,
    /// The most.
    #[serde(default)]
    pub max: Option<u32>,
}

/// How old a value may be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// How much older: `15m`, `1d`.
    pub within: HumanDuration,
    /// The column with the time that it is compared with, such as when the row was received.
    pub against: String,
}

/// Where values have to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The input with the values, one of the task's `from`.
    pub input: String,
    /// Its columns, in the order of `columns`; by default they have the same names.
    #[serde(default, rename = "in")]
    pub in_columns: Vec<String>,
}

/// How many rows.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// The fewest, when the input has ended.
    #[serde(default)]
    pub min: Option<u64>,
    /// The most, at any time.
    #[serde(default)]
    pub max: Option<u64>,
}

fn reasons() -> String {
    "reasons".to_owned()
}
