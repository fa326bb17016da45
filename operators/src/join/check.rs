//! Which settings of `Join` go together.

use aqueduct_model::{Error, Result};

use super::config::{JoinConfig, Kind, Mode};
use super::times::{AsOf, Interval};
use crate::sql::Expression;
use crate::sql::config::check;
use crate::window::Late;

impl JoinConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn check(&self) -> Result<()> {
        check(self.memory, &self.columns)?;
        if self.pairs().is_empty() {
            return Err(Error::config("nothing says which rows belong together")
                .with_setting("on")
                .with_hint("write `on: [customer_id]` or `on: [{ customer_id: id }]`"));
        }
        if let Some(condition) = &self.condition {
            Expression::parse(condition).map_err(|error| error.with_setting("where"))?;
        }
        match (&self.interval, &self.as_of) {
            (Some(_), Some(_)) => {
                return Err(Error::config("a join goes by `interval` or by `as_of`")
                    .with_setting("as_of")
                    .with_hint("keep one of them; two joins are two tasks"));
            }
            (Some(interval), None) => self.check_interval(interval)?,
            (None, Some(as_of)) => self.check_as_of(as_of)?,
            (None, None) => self.check_untimed()?,
        }
        if self.left.is_some() && self.left == self.right {
            return Err(Error::config("a table cannot be joined with itself here")
                .with_setting("right")
                .with_hint("use a task `SQL`: `select … from t as a join t as b on …`"));
        }
        Ok(())
    }

    fn check_untimed(&self) -> Result<()> {
        if self.late == Late::Port || self.lateness.is_some() {
            let setting = if self.lateness.is_some() { "lateness" } else { "late" };
            return Err(Error::config("rows are late for event time, by which this join does not go")
                .with_setting(setting)
                .with_hint(format!("add `interval` or `as_of`, or remove `{setting}`")));
        }
        match self.mode() {
            Mode::Changelog => {
                self.check_key()?;
                if self.columns.is_empty() {
                    return Ok(());
                }
                Err(Error::config("tables that change say themselves what their columns are")
                    .with_setting("columns")
                    .with_hint("remove `columns`; those of the output are chosen by `select: […]`"))
            }
            Mode::Bounded if self.select.is_some() => Err(Error::config("a bounded join gives all columns")
                .with_setting("select")
                .with_hint("choose columns with a task `Mapping` behind it")),
            Mode::Bounded => Ok(()),
        }
    }

    fn check_interval(&self, interval: &Interval) -> Result<()> {
        self.check_timed("interval")?;
        let (from, to) = interval.bounds();
        if from > to {
            return Err(Error::config("no time lies between `from` and `to`, because `from` is the later one")
                .with_setting("interval.from")
                .with_hint("write for example `from: -10m, to: 1h`"));
        }
        parse_times("interval", [&interval.left, &interval.right])
    }

    fn check_as_of(&self, as_of: &AsOf) -> Result<()> {
        self.check_timed("as_of")?;
        if !matches!(self.kind, Kind::Inner | Kind::Left) {
            return Err(Error::config("a join by `as_of` gives rows of the left table, each with one of the right")
                .with_setting("type")
                .with_hint(
                    "write `type: inner` or `type: left`; put the other table on the left with `left` and `right`",
                ));
        }
        if self.condition.is_some() {
            return Err(Error::config("a join by `as_of` takes the last row of its time, whatever else it says")
                .with_setting("where")
                .with_hint("leave rows out before the join, or behind it, with a task `Filter`"));
        }
        parse_times("as_of", [&as_of.left, &as_of.right])
    }

    fn check_timed(&self, by: &str) -> Result<()> {
        if self.mode.is_some() {
            return Err(Error::config(format!("with `{by}` event time says when rows are joined"))
                .with_setting("mode")
                .with_hint("remove `mode`"));
        }
        self.check_key()
    }

    fn check_key(&self) -> Result<()> {
        if self.key.is_none() {
            return Ok(());
        }
        Err(Error::config("the key of a join that goes row by row follows from those of its tables")
            .with_setting("key")
            .with_hint("remove `key`"))
    }
}

fn parse_times(by: &str, times: [&String; 2]) -> Result<()> {
    for (time, side) in times.into_iter().zip(["left", "right"]) {
        Expression::parse(time).map_err(|error| error.with_setting(format!("{by}.{side}")))?;
    }
    Ok(())
}
