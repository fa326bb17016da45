//! The settings of `Group`.

use std::collections::BTreeMap;

use aqueduct_model::{ByteSize, Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::mapping::Ordered;
use crate::sql::{AggregateCall, Expression};

/// The least memory for state that is worth having.
pub(crate) const STATE_MEMORY_MIN: u64 = 1 << 20;

/// Groups, and what is computed per group.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// What makes a group: the columns of the key of the output, each a column of the input (`[region]`) or a name with
    /// an SQL expression (`[region, { day: "date_trunc('day', created_at)" }]`).
    pub by: Vec<By>,
    /// The totals by name, each a call: `count(*)`, `count(x)`, `count(distinct x)`, `sum(x)`, `avg(x)`, `min(x)`,
    /// `max(x)`, where x is an SQL expression; with `filter (where …)` for some rows only.
    pub totals: Ordered<String>,
    /// The name of the output table; by default the task's id.
    #[serde(default)]
    pub table: Option<String>,
    /// True when updates and deletes carry the whole old row: SQLite, MySQL and MariaDB with `binlog_row_image=FULL`,
    /// PostgreSQL with `REPLICA IDENTITY FULL`. Otherwise the columns that are used are remembered for every row that
    /// has a key, so that they can be taken back.
    #[serde(default)]
    pub whole_images: bool,
    /// About how much state is held in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

/// One column of the groups' key.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum By {
    /// A column of the input.
    Column(String),
    /// A name and an SQL expression.
    Computed(BTreeMap<String, String>),
}

/// What is held in memory by default.
pub(crate) fn state_memory() -> ByteSize {
    ByteSize(64 << 20)
}

/// The settings, read.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) by: Vec<(String, Expression)>,
    pub(crate) totals: Vec<(String, AggregateCall)>,
}

impl GroupConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn parse(&self) -> Result<Parsed> {
        if self.by.is_empty() {
            return Err(Error::config("nothing says what a group is")
                .with_setting("by")
                .with_hint("write `by: [region]`; for one total of everything `by: [{ all: \"true\" }]`"));
        }
        check_memory(self.state_memory)?;
        Parsed::new(&self.by, &self.totals)
    }
}

/// # Errors
/// `Config` when state has less memory than is worth having.
pub(crate) fn check_memory(state_memory: ByteSize) -> Result<()> {
    if state_memory.0 < STATE_MEMORY_MIN {
        return Err(Error::config("less than 1 MiB for state").with_setting("state_memory").with_hint("write `64MiB`"));
    }
    Ok(())
}

impl Parsed {
    /// Reads groups and totals.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(crate) fn new(groups: &[By], calls: &Ordered<String>) -> Result<Self> {
        if calls.0.is_empty() {
            return Err(Error::config("no total is computed")
                .with_setting("totals")
                .with_hint("write `totals: { orders: \"count(*)\" }`"));
        }
        let mut by: Vec<(String, Expression)> = Vec::new();
        for part in groups {
            match part {
                By::Column(column) => by.push((column.clone(), Expression::column(column))),
                By::Computed(columns) => {
                    for (name, text) in columns {
                        let failed = |error: Error| error.with_setting(format!("by.{name}"));
                        by.push((name.clone(), Expression::parse(text).map_err(failed)?));
                    }
                }
            }
        }
        let mut totals = Vec::new();
        for (name, text) in &calls.0 {
            let failed = |error: Error| error.with_setting(format!("totals.{name}"));
            totals.push((name.clone(), AggregateCall::parse(text).map_err(failed)?));
        }
        let names: Vec<&String> = by.iter().map(|(name, _)| name).chain(totals.iter().map(|(name, _)| name)).collect();
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            return Err(Error::config(format!("two columns are named {}", twice.1)).with_setting("totals"));
        }
        Ok(Self { by, totals })
    }
}
