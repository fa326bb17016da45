//! The settings of `Sort`.

use aqueduct_model::{ByteSize, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sql::Expression;
use crate::sql::config::{check, memory};
use crate::sql::whole::{First, SortKey};
use crate::window::Late;

/// An order of rows.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SortConfig {
    /// What rows are sorted by, the most important first: columns or SQL expressions, each with `asc` (the default) or
    /// `desc`, and `nulls first` or `nulls last` (by default NULLs are the largest). `[amount desc, "lower(city)"]`
    pub by: Vec<String>,
    /// Only so many first rows: of each table, of each group of `per`, of each window of `until`.
    #[serde(default)]
    pub limit: Option<u64>,
    /// True: the rows too that are equal to the last of `limit` in everything that is sorted by.
    #[serde(default)]
    pub ties: bool,
    /// Columns that make a group: rows come out group by group, and `limit` counts in each. `[region]`
    #[serde(default)]
    pub per: Vec<String>,
    /// The end of a row's window, a column or an SQL expression: `window_end` behind a `Window`. Rows of a window come out
    /// when the watermark has passed its end; the input may be endless then.
    #[serde(default)]
    pub until: Option<String>,
    /// What becomes of rows whose window is closed; with `until`.
    #[serde(default)]
    pub late: Late,
    /// The memory for it; what does not fit is in files. 256 MiB by default.
    #[serde(default = "memory")]
    pub memory: ByteSize,
}

/// The settings, read.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) by: Vec<SortKey>,
    pub(super) per: Vec<String>,
    pub(super) first: First,
    /// Where windows end; without it all rows are sorted when the input has ended.
    pub(super) until: Option<Expression>,
    pub(super) late: Late,
    pub(super) memory: ByteSize,
}

impl SortConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn parse(&self) -> Result<Settings> {
        check(self.memory, &Default::default())?;
        if self.by.is_empty() {
            return Err(Error::config("nothing says what rows are sorted by")
                .with_setting("by")
                .with_hint("write `by: [amount desc]`"));
        }
        if self.limit == Some(0) {
            return Err(Error::config("the first 0 rows are none")
                .with_setting("limit")
                .with_hint("write `limit: 10`"));
        }
        if self.ties && self.limit.is_none() {
            return Err(Error::config("without `limit` all rows come out")
                .with_setting("ties")
                .with_hint("add `limit: 1`"));
        }
        if self.late == Late::Port && self.until.is_none() {
            return Err(Error::config("rows are late for a window, and there is none")
                .with_setting("late")
                .with_hint("add `until: window_end`, or remove `late`"));
        }
        let key = |text: &String| SortKey::parse(text).map_err(|error| error.with_setting("by"));
        let until = self.until.as_deref().map(Expression::parse).transpose();
        Ok(Settings {
            by: self.by.iter().map(key).collect::<Result<_>>()?,
            per: self.per.clone(),
            first: First { limit: self.limit, ties: self.ties },
            until: until.map_err(|error| error.with_setting("until"))?,
            late: self.late,
            memory: self.memory,
        })
    }
}
