//! The settings of `For`, and the items that they mean.

use aqueduct_model::{Error, HumanDuration, PlacedSource, Result};
use chrono::{NaiveDate, TimeDelta};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// More items are a mistake, or a table.
const ITEMS_MAX: u64 = 10_000_000;

/// One of a list, a range of numbers, days, or what a source reads.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForConfig {
    /// The items: values, or maps of which every key is a column. A text with commas is a list too, so that
    /// `${params.shops}` and `${row.shops}` work.
    #[serde(default)]
    pub items: Option<Items>,
    /// Whole numbers.
    #[serde(default)]
    pub range: Option<Range>,
    /// Days.
    #[serde(default)]
    pub dates: Option<Dates>,
    /// The rows of a source: `{ plugin: PostgresInput, config: { query: "select id from shops", … } }`. It takes the place
    /// of this task, with its checkpoints; nothing else is set beside it.
    #[serde(default)]
    pub query: Option<PlacedSource>,
    /// The column of items that are no maps.
    #[serde(default = "item")]
    pub column: String,
}

/// A list of items.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Items {
    /// One by one.
    List(Vec<Value>),
    /// Separated by commas.
    Text(String),
}

/// Whole numbers from one to another, both included.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The first number.
    pub from: i64,
    /// The last number, if the steps come there.
    pub to: i64,
    /// From one number to the next; may be negative.
    #[serde(default = "one")]
    pub step: i64,
}

/// Days from one to another, both included.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dates {
    /// The first day: `2026-01-31`.
    pub from: String,
    /// The last day, if the steps come there.
    pub to: String,
    /// From one day to the next: whole days.
    #[serde(default = "day")]
    pub step: HumanDuration,
}

fn item() -> String {
    "item".to_owned()
}

fn one() -> i64 {
    1
}

fn day() -> HumanDuration {
    HumanDuration(std::time::Duration::from_secs(DAY_SECONDS))
}

const DAY_SECONDS: u64 = 86_400;

/// What to iterate over.
#[derive(Debug, Clone)]
pub(super) enum Sequence {
    Values(Vec<Value>),
    Range(Range, u64),
    Dates(NaiveDate, i64, u64),
}

impl Sequence {
    /// Reads settings.
    ///
    /// # Errors
    /// `Config` when not exactly one of them is given, or it makes no sense. `Bug` for a query: what it reads is not known
    /// here.
    pub(super) fn of(config: &ForConfig) -> Result<Self> {
        if config.query.is_some() {
            return Err(Error::bug("the source of `query` was not put in the place of For").with_setting("query"));
        }
        let sequence = match (&config.items, config.range, &config.dates) {
            (Some(Items::List(items)), None, None) => Self::Values(items.clone()),
            (Some(Items::Text(text)), None, None) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Self::Values(items.map(Value::from).collect())
            }
            (None, Some(range), None) => Self::Range(range, length_of(range)?),
            (None, None, Some(dates)) => days(dates)?,
            _ => {
                return Err(Error::config("one of `items`, `range`, `dates` and `query` says what to go through").with_hint(
                    "write `items: [a, b]`, `range: { from: 1, to: 9 }`, `dates: { from: 2026-01-01, to: 2026-01-31 }` or \
                     `query: { plugin: SQLiteInput, config: { … } }`",
                ));
            }
        };
        if sequence.len() > ITEMS_MAX {
            return Err(
                Error::config(format!("more than {ITEMS_MAX} items")).with_hint("read them from a table or a file")
            );
        }
        Ok(sequence)
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Values(items) => items.len() as u64,
            Self::Range(_, count) | Self::Dates(_, _, count) => *count,
        }
    }

    /// One item: its columns.
    pub(super) fn item(&self, index: u64, column: &str) -> Map<String, Value> {
        let value = match self {
            Self::Values(items) => items.get(index as usize).cloned().unwrap_or_default(),
            Self::Range(range, _) => Value::from(range.from + range.step * index as i64),
            Self::Dates(from, step, _) => Value::from((*from + TimeDelta::days(step * index as i64)).to_string()),
        };
        match value {
            Value::Object(columns) => columns,
            value => Map::from_iter([(column.to_owned(), value)]),
        }
    }
}

fn length_of(range: Range) -> Result<u64> {
    let Range { from, to, step } = range;
    if step == 0 {
        return Err(Error::config("a step of 0 never comes to an end")
            .with_setting("range.step")
            .with_hint("write `step: 1`"));
    }
    let away = i128::from(to) - i128::from(from);
    if away != 0 && (away > 0) != (step > 0) {
        return Ok(0);
    }
    Ok(u64::try_from(away / i128::from(step)).unwrap_or(u64::MAX).saturating_add(1))
}

fn days(dates: &Dates) -> Result<Sequence> {
    let parse = |name: &str, text: &str| {
        text.parse::<NaiveDate>().map_err(|error| {
            Error::config(format!("`{text}` is no day"))
                .with_setting(format!("dates.{name}"))
                .with_hint("write it as 2026-01-31")
                .with_source(error)
        })
    };
    let (from, to) = (parse("from", &dates.from)?, parse("to", &dates.to)?);
    let seconds = dates.step.0.as_secs();
    if seconds == 0 || !seconds.is_multiple_of(DAY_SECONDS) {
        return Err(Error::config("the step is not of whole days")
            .with_setting("dates.step")
            .with_hint("write `step: 1d`"));
    }
    let step = (seconds / DAY_SECONDS) as i64;
    let away = (to - from).num_days();
    let count = if away < 0 { 0 } else { (away / step) as u64 + 1 };
    Ok(Sequence::Dates(from, step, count))
}
