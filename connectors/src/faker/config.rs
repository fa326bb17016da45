//! Settings of `FakerInput`.

use aqueduct_model::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;

/// Most rows of one run: ids and event times stay within what the column types hold.
const ROWS_MAX: u64 = 1 << 50;

/// What to generate, how much of it and how fast.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FakerConfig {
    /// What to generate.
    pub(crate) dataset: DatasetName,
    /// How many rows (with `changes`: how many changes; of datasets with several tables: over all of them). Absent
    /// means without end.
    #[serde(default)]
    pub(crate) rows: Option<u64>,
    /// How many Nexmark events, the usual name of `rows` there. Give one of the two.
    #[serde(default)]
    pub(crate) events: Option<u64>,
    /// Another seed gives other rows; the same seed gives the same rows on every machine.
    #[serde(default)]
    pub(crate) seed: u64,
    /// At most this many rows per second. Absent means as fast as the tasks behind take them.
    #[serde(default)]
    pub(crate) rate: Option<f64>,
    /// The language of names, places and products.
    #[serde(default)]
    pub(crate) locale: Locale,
    /// Instead of inserts alone: about 60 % inserts, 30 % updates (old and new row) and 10 % deletes. Only tables
    /// with a key have changes: `orders`, `customers`, `shop`, `people`.
    #[serde(default)]
    pub(crate) changes: bool,
}

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DatasetName {
    /// Orders of a shop.
    Orders,
    /// Customers of a shop.
    Customers,
    /// Both: one customer, then four orders, and so on; every order's customer exists.
    Shop,
    /// Persons with address, ID card, phone, bank card and e-mail.
    People,
    /// The Nexmark auction: `person`, `auction` and `bid` events in the proportion 1 : 3 : 46.
    Nexmark,
    /// Three narrow columns, the cheapest rows there are.
    Numbers,
}

/// A language for words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Locale {
    /// English.
    #[default]
    En,
    /// Chinese as written in mainland China.
    ZhCn,
}

impl FakerConfig {
    /// How many events there are in all; `None`: endless.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.rows.or(self.events)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `Config`, naming the setting.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.rows.is_some() && self.events.is_some() {
            return Err(Error::config("rows and events say the same thing")
                .with_setting("events")
                .with_hint("give one of the two"));
        }
        if self.events.is_some() && self.dataset != DatasetName::Nexmark {
            return Err(Error::config("events belongs to the dataset nexmark")
                .with_setting("events")
                .with_hint("use `rows` instead"));
        }
        if self.limit().is_some_and(|rows| rows > ROWS_MAX) {
            return Err(Error::config(format!("more than {ROWS_MAX} rows"))
                .with_setting("rows")
                .with_hint("leave `rows` out for a stream without end"));
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(Error::config("rate is not a number of rows per second above zero")
                .with_setting("rate")
                .with_hint("write for example `rate: 1000`"));
        }
        let keyed = !matches!(self.dataset, DatasetName::Nexmark | DatasetName::Numbers);
        if self.changes && !keyed {
            return Err(Error::config("this dataset has no changes")
                .with_setting("changes")
                .with_hint("use one of the datasets orders, customers, shop, people"));
        }
        Ok(())
    }
}
