//! The event times of both tables: what the settings say of them, and those of rows.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use aqueduct_model::{Batch, Error, HumanDuration, Relation, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::config::JoinConfig;
use crate::bindings::Bindings;
use crate::event_time::{EventTime, millis, whole_ms};
use crate::sql::Expression;
use crate::verdicts::Refused;

/// Times that lie close together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The event time of the left table: a column or an SQL expression that gives a timestamp or a date; the same as in
    /// the `Watermark` before it.
    pub left: String,
    /// The event time of the right table.
    pub right: String,
    /// How long after the left row the right one may come at the earliest; `-10m`: ten minutes before it. By default
    /// not before it.
    #[serde(default)]
    pub from: Shift,
    /// How long after the left row the right one may come at the latest.
    pub to: Shift,
}

impl Interval {
    /// The least and the greatest time of the right row less that of the left one, in milliseconds.
    pub(super) fn bounds(&self) -> (i64, i64) {
        (self.from.0, self.to.0)
    }
}

/// The last row at a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AsOf {
    /// The event time of the left table: a column or an SQL expression that gives a timestamp or a date; the same as in
    /// the `Watermark` before it.
    pub left: String,
    /// The time from which a row of the right table counts, until the next one with the same values of `on` does.
    pub right: String,
    /// For how long a row of the right table counts at the most; by default without end.
    #[serde(default)]
    pub tolerance: Option<HumanDuration>,
}

/// A span of event time in milliseconds, which may point backwards: `1h`, `-10m`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift(pub(super) i64);

impl FromStr for Shift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (sign, length) = text.strip_prefix('-').map_or((1, text), |length| (-1, length));
        let length: HumanDuration = length.parse().map_err(|_| {
            format!("{text:?} is not a span of time; write for example 500ms, 1h or 2d, and -10m for what lies before")
        })?;
        Ok(Self(sign * whole_ms(length)))
    }
}

impl<'de> Deserialize<'de> for Shift {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Shift {
    fn schema_name() -> Cow<'static, str> {
        "Shift".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time such as `1h` or `500ms`; `-10m` points backwards.",
            "examples": ["1h"],
        })
    }
}

/// Reads the event times of both tables.
pub(super) struct Times {
    sides: [Side; 2],
}

struct Side {
    expression: Expression,
    /// The setting that has the expression.
    setting: &'static str,
    bound: Bindings<Arc<EventTime>>,
}

impl Times {
    /// # Errors
    /// `Config` for what is no expression, and for a join that goes by no event time.
    pub(super) fn new(config: &JoinConfig) -> Result<Self> {
        let (times, settings) = match (&config.interval, &config.as_of) {
            (Some(interval), _) => ([&interval.left, &interval.right], ["interval.left", "interval.right"]),
            (None, Some(as_of)) => ([&as_of.left, &as_of.right], ["as_of.left", "as_of.right"]),
            (None, None) => return Err(Error::bug("a join by event time without event times")),
        };
        let side = |i: usize| {
            let expression = Expression::parse(times[i]).map_err(|error| error.with_setting(settings[i]))?;
            Ok::<_, Error>(Side { expression, setting: settings[i], bound: Bindings::default() })
        };
        Ok(Self { sides: [side(0)?, side(1)?] })
    }

    /// The columns that the event time of a table is made of.
    ///
    /// # Errors
    /// `Config` for unknown columns and for values that are no instants.
    pub(super) fn columns(&mut self, side: usize, relation: &Arc<Relation>) -> Result<Vec<usize>> {
        Ok(self.sides[side].bound(relation)?.0.columns().to_vec())
    }

    /// The event times of rows in milliseconds, and the rows that have none, rising.
    ///
    /// # Errors
    /// As [`Times::columns`]; `Data` when a time is too far away.
    pub(super) fn of(&mut self, side: usize, batch: &Batch) -> Result<(Vec<Option<i64>>, Refused)> {
        let bound = self.sides[side].bound(batch.relation())?;
        let evaluated = bound.0.evaluate_rows(batch.rows())?;
        let ms = millis(&evaluated.values, self.sides[side].setting)?;
        let mut refused = evaluated.failed;
        let without = ms.iter().enumerate().filter(|(_, ms)| ms.is_none()).map(|(i, _)| i);
        let without: Vec<usize> = without.filter(|i| refused.iter().all(|(row, _)| row != i)).collect();
        let setting = self.sides[side].setting;
        refused.extend(without.into_iter().map(|i| (i, format!("it has no event time: `{setting}` is NULL"))));
        refused.sort();
        Ok((ms, refused))
    }
}

impl Side {
    fn bound(&mut self, relation: &Arc<Relation>) -> Result<Arc<EventTime>> {
        let Self { expression, setting, bound } = self;
        let bind = || EventTime::bind(expression, relation, setting).map(Arc::new);
        bound.get(relation, bind).cloned()
    }
}
