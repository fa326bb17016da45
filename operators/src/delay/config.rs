//! The settings of `Delay`.

use aqueduct_model::{ByteSize, HumanDuration, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::event_time::at_least_one_ms;
use crate::group::{check_memory, state_memory};
use crate::sql::Expression;

/// How long rows are held.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayConfig {
    /// How long: `10s`, `1h`.
    #[serde(rename = "for")]
    pub hold: HumanDuration,
    /// A row's event time: a column or an SQL expression that gives a timestamp or a date; the same as in the `Watermark`
    /// before it. A row then leaves when the watermark is `for` later than it. Without it rows are held by the clock.
    #[serde(default)]
    pub time: Option<String>,
    /// About how much of the held rows is in memory; the rest is on disk. 64 MiB by default.
    #[serde(default = "state_memory")]
    pub state_memory: ByteSize,
}

impl DelayConfig {
    /// For how many milliseconds, and the event time.
    ///
    /// # Errors
    /// `Config` with the setting.
    pub(super) fn parse(&self) -> Result<(i64, Option<Expression>)> {
        check_memory(self.state_memory)?;
        let hold_ms = at_least_one_ms(self.hold, "for")?;
        let time = self.time.as_deref().map(Expression::parse).transpose();
        Ok((hold_ms, time.map_err(|error| error.with_setting("time"))?))
    }
}
