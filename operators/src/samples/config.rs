//! The settings of `Samples`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// The most rows that are held until the input ends, of one table.
pub(super) const HELD_ROWS_MAX: usize = 100_000;

/// Which rows are taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SamplesConfig {
    /// How rows are chosen, for each table by itself: `{ first: 100 }`, `{ every: 10 }`, `{ bernoulli: { percent: 5 } }`,
    /// `{ reservoir: { rows: 1000 } }`, `{ stratified: { by: [city], rows: 10 } }`.
    pub take: Take,
    /// Another seed takes other rows; the same one takes the same rows of the same input.
    #[serde(default)]
    pub seed: u64,
}

/// How rows are chosen.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::described::variants)]
pub enum Take {
    /// The first n rows. For inserts only.
    First(u64),
    /// One row of n, beginning with the first. For inserts only.
    Every(u64),
    /// Each row with a chance that follows from its key, so a row's updates and its delete go where its insert went.
    Bernoulli(Bernoulli),
    /// n rows, each with the same chance; given when the input ends. For inserts only.
    Reservoir(Reservoir),
    /// n rows of each group, each with the same chance; given when the input ends. For inserts only.
    Stratified(Stratified),
}

/// A chance for each key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bernoulli {
    /// The chance, in percent: above 0, up to 100.
    pub percent: f64,
    /// The columns that decide; by default the key, or all columns of a table without a key. Of a table with a key only
    /// key columns can: the others may change. Tables sampled by the same column, seed and percent fit together.
    #[serde(default)]
    pub by: Vec<String>,
}

/// A number of rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservoir {
    /// How many rows: 1 to 100000.
    pub rows: usize,
}

/// A number of rows of each group.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stratified {
    /// The columns of which equal values make a group; NULL is a value.
    pub by: Vec<String>,
    /// How many rows of each group. All groups of a table together hold at most 100000 rows.
    pub rows: usize,
}

impl Take {
    /// True when rows are decided upon at the end of the input only.
    pub(super) fn needs_end(&self) -> bool {
        matches!(self, Self::Reservoir(_) | Self::Stratified(_))
    }

    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::First(0) | Self::Every(0) => {
                Err(Error::config("a sample of 0 rows").with_setting("take").with_hint("write a number above 0"))
            }
            Self::First(_) | Self::Every(_) => Ok(()),
            Self::Bernoulli(bernoulli) if !(bernoulli.percent > 0.0 && bernoulli.percent <= 100.0) => {
                Err(Error::config("`percent` is not above 0 and up to 100")
                    .with_setting("take.bernoulli.percent")
                    .with_hint("write for example `percent: 5`"))
            }
            Self::Bernoulli(_) => Ok(()),
            Self::Reservoir(reservoir) => held("take.reservoir.rows", reservoir.rows),
            Self::Stratified(stratified) if stratified.by.is_empty() => Err(Error::config("`by` names no column")
                .with_setting("take.stratified.by")
                .with_hint("name the columns of the groups, or use `reservoir`")),
            Self::Stratified(stratified) => held("take.stratified.rows", stratified.rows),
        }
    }
}

fn held(setting: &str, rows: usize) -> Result<()> {
    if (1..=HELD_ROWS_MAX).contains(&rows) {
        return Ok(());
    }
    Err(Error::config(format!("`rows` is not between 1 and {HELD_ROWS_MAX}"))
        .with_setting(setting)
        .with_hint("they are held in memory and in every checkpoint; use `bernoulli` for larger samples"))
}
