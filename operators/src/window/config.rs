//! The settings of `Window`.

use aqueduct_model::{ByteSize, Error, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use super::frame::Frame;
use crate::event_time::{at_least_one_ms, whole_ms};
use crate::group::{By, Parsed, check_memory, state_memory};
use crate::mapping::Ordered;
use crate::sql::Expression;

/// The columns in front of the groups: where a window begins, and where the next thing begins.
pub(super) const START: &str = "window_start";
/// See [`START`].
pub(super) const END: &str = "window_end";

/// Windows over event time, and what is computed in each.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// The event time: a column or an SQL expression that gives a timestamp or a date; the same as in the `Watermark`
    /// before it.
    pub time: String,
    /// Windows side by side, so long each: `1m`. Give one of `tumble`, `hop` and `session`.
    #[serde(default)]
    pub tumble: Option<HumanDuration>,
    /// Windows that overlap: `{ size: 10m, slide: 1m }` begins one of ten minutes every minute.
    #[serde(default)]
    pub hop: Option<Hop>,
    /// Windows of rows that belong together: one ends when its group has no row for so long.
    #[serde(default)]
    pub session: Option<HumanDuration>,
    /// How far the edges of windows are moved; without it those of a day are at midnight UTC (`offset: 16h`: at
    /// midnight in Shanghai).
    #[serde(default)]
    pub offset: Option<HumanDuration>,
    /// What makes a group inside a window: columns (`[region]`) or names with SQL expressions
    /// (`[{ kind: "upper(kind)" }]`). Without it there is one row per window.
    #[serde(default)]
    pub by: Vec<By>,
    /// The totals by name, as those of `Group`: `count(*)`, `sum(x)`, `avg(x)`, `min(x)`, `max(x)`, `count(distinct x)`,
    /// each also with `filter (where …)`.
    pub totals: Ordered<String>,
    /// How long a window waits for late rows after the watermark has passed its end.
    #[serde(default = "no_lateness")]
    pub lateness: HumanDuration,
    /// What becomes of rows whose window is closed.
    #[serde(default)]
    pub late: Late,
    /// True when the input has updates and deletes (with their whole old rows). Then every value of `min` and `max` is
    /// remembered while its window is open, so that it can be taken back.
    #[serde(default)]
    pub changes: bool,
    /// The name of the output table; by default the task's id.
    #[serde(default)]
    pub table: Option<String>,
    /// About how much state is held in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

/// Windows that overlap.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hop {
    /// How long a window is.
    pub size: HumanDuration,
    /// How long after one window the next begins; at most the size.
    pub slide: HumanDuration,
}

/// What becomes of rows whose window is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// They are bad rows: the task's `on_bad_row` says whether the flow stops, or they are dropped or kept.
    #[default]
    Refuse,
    /// They leave by the port `late`, as they came.
    Port,
}

fn no_lateness() -> HumanDuration {
    HumanDuration::from_millis(0)
}

/// The settings, read.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The groups, with the event time behind them.
    pub(super) parsed: Parsed,
    pub(super) frame: Frame,
    pub(super) lateness_ms: i64,
}

impl WindowConfig {
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn parse(&self) -> Result<Settings> {
        check_memory(self.state_memory)?;
        let offset = self.offset.map_or(0, whole_ms);
        let frame = match (self.tumble, self.hop, self.session) {
            (Some(size), None, None) => Frame::tumble(at_least_one_ms(size, "tumble")?, offset),
            (None, Some(hop), None) => {
                let (size, slide) = (at_least_one_ms(hop.size, "hop.size")?, at_least_one_ms(hop.slide, "hop.slide")?);
                if slide > size {
                    return Err(Error::config("windows with gaps between them would lose rows")
                        .with_setting("hop.slide")
                        .with_hint("let `slide` be at most `size`; leave rows out with a `Filter`"));
                }
                Frame::hop(size, slide, offset)
            }
            (None, None, Some(gap)) if self.offset.is_none() => Frame::session(at_least_one_ms(gap, "session")?),
            (None, None, Some(_)) => {
                return Err(Error::config("sessions have no edges that could be moved").with_setting("offset"));
            }
            _ => {
                return Err(Error::config("one of `tumble`, `hop` and `session` says what the windows are")
                    .with_setting("tumble")
                    .with_hint("write for example `tumble: 1m`"));
            }
        };
        let mut parsed = Parsed::new(&self.by, &self.totals)?;
        let names = parsed.by.iter().map(|(name, _)| name).chain(parsed.totals.iter().map(|(name, _)| name));
        if let Some(taken) = names.into_iter().find(|name| [START, END].contains(&name.as_str())) {
            return Err(Error::config(format!("{taken} is the name of a window's own column")).with_setting("totals"));
        }
        let time = Expression::parse(&self.time).map_err(|error| error.with_setting("time"))?;
        parsed.by.push((START.to_owned(), time));
        Ok(Settings { parsed, frame, lateness_ms: whole_ms(self.lateness) })
    }
}
