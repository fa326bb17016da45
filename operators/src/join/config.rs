//! The settings of `Join`.

use std::collections::BTreeMap;

use aqueduct_model::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::Deserialize;

use super::times::{AsOf, Interval};
use crate::mapping::Ordered;
use crate::sql::config::memory;
use crate::window::Late;

/// Which rows belong together, and what comes of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinConfig {
    /// When rows are joined: `bounded` by default. With `interval` or `as_of` it is event time that says so.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// Which rows come out.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The columns that are equal in rows that belong together: `[customer_id]` where both tables call it so, or
    /// `[{ customer_id: id }]`, the left table's column first. NULL is equal to nothing.
    pub on: Vec<On>,
    /// What pairs of rows must fulfil too, in SQL: `"orders.placed_at >= customers.since"`. It decides which rows belong
    /// together, not which come out: a left join gives rows of the left table that find no partner all the same.
    #[serde(default, rename = "where")]
    pub condition: Option<String>,
    /// Joins rows whose event times lie close together: `{ left: placed_at, right: paid_at, to: 1h }` joins orders with
    /// what is paid within an hour; with `from: -10m` also with what was paid up to ten minutes before. The inputs may be
    /// endless, and have inserts only.
    #[serde(default)]
    pub interval: Option<Interval>,
    /// Joins each row of the left table with the last row of the right table at its time: `{ left: placed_at, right:
    /// valid_from }` joins orders with the prices of their time; with `tolerance: 7d` a price counts for a week at the most.
    /// The inputs may be endless, and have inserts only.
    #[serde(default)]
    pub as_of: Option<AsOf>,
    /// With `interval` or `as_of`: how long rows are waited for after the watermark has passed their time.
    #[serde(default)]
    pub lateness: Option<HumanDuration>,
    /// With `interval` or `as_of`: what becomes of rows that come behind the watermark (and `lateness`).
    #[serde(default)]
    pub late: Late,
    /// The left table: the id of an input task, or a table's name; by default the first input.
    #[serde(default)]
    pub left: Option<String>,
    /// The right table; by default the second input.
    #[serde(default)]
    pub right: Option<String>,
    /// What stands in front of columns of the right table whose names the left one has too; by default its name and `_`.
    /// A column of `on` that is called the same in both comes out once.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The name of the output table; by default the task's id.
    #[serde(default)]
    pub table: Option<String>,
    /// The key of the output table. By default the left table's where each of its rows comes out once at most (semi and
    /// anti joins, inner and left joins on the whole key of the right table), both keys for other inner joins, else none.
    #[serde(default)]
    pub key: Option<Vec<String>>,
    /// The columns of the output in mode `changelog`, and with `interval` or `as_of`, in this order, named as they come
    /// out; those of its key have to be among them. All by default; but then a new column of one of the tables stops the
    /// flow.
    #[serde(default)]
    pub select: Option<Vec<String>>,
    /// The memory of kept rows; what does not fit is in files. 256 MiB by default.
    #[serde(default = "memory")]
    pub memory: ByteSize,
    /// The columns of tables that may be without any row, with their SQL types:
    /// `columns: { customers: { id: bigint, city: varchar } }`.
    #[serde(default)]
    pub columns: Ordered<Ordered<String>>,
}

/// When rows are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// When both inputs have ended; they take inserts only.
    #[default]
    Bounded,
    /// Row by row: both inputs may be endless and may have updates and deletes, and what comes out changes with them.
    Changelog,
}

/// Which rows come out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Pairs.
    #[default]
    Inner,
    /// Pairs, and rows of the left table without a partner.
    Left,
    /// Pairs, and rows of the right table without a partner.
    Right,
    /// Pairs, and rows of both tables without a partner.
    Full,
    /// Rows of the left table that have a partner, once each.
    Semi,
    /// Rows of the left table that have none.
    Anti,
}

/// Columns that are equal.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum On {
    /// Called the same in both tables.
    Same(String),
    /// The left table's column and the right one's.
    Pair(BTreeMap<String, String>),
}

impl JoinConfig {
    /// When rows are joined, where event time does not say it.
    pub(super) fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// True when rows are joined by event time.
    pub(super) fn is_timed(&self) -> bool {
        self.interval.is_some() || self.as_of.is_some()
    }

    /// The columns that are equal: the left table's and the right one's.
    pub(super) fn pairs(&self) -> Vec<(&str, &str)> {
        let pairs = self.on.iter().flat_map(|on| match on {
            On::Same(column) => vec![(column.as_str(), column.as_str())],
            On::Pair(pairs) => pairs.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect(),
        });
        pairs.collect()
    }
}
