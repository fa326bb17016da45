//! The settings of `Checker`.

use aqueduct_model::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// What rows have to keep.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckerConfig {
    /// The rules. All of them are looked at for every row.
    pub rules: Vec<Rule>,
    /// The further column of port `rejected`, with all reasons of a row, `; ` between them.
    #[serde(default = "reasons")]
    pub reasons_column: String,
}

/// One rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What stands in front of the reason: `adult` makes `adult: age is below 18`.
    #[serde(default)]
    pub name: Option<String>,
    /// The column that is checked; not with `expression`.
    #[serde(default)]
    pub column: Option<String>,
    /// What it is checked for: `not_null`, `{ range: { min: 0 } }`, `{ expression: "a < b" }`. NULL keeps every rule but
    /// `not_null`.
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

fn reasons() -> String {
    "reasons".to_owned()
}
