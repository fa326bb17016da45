//! The settings of `Watermark`.

use aqueduct_model::HumanDuration;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where event time is, and how much out of order rows may be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatermarkConfig {
    /// The event time: a column or an SQL expression that gives a timestamp or a date (`created_at`,
    /// `to_timestamp_millis(ts)`).
    pub time: String,
    /// How far behind the latest event time a row may come and still be in time; by default not at all.
    #[serde(default = "in_order")]
    pub out_of_order: HumanDuration,
    /// After so long without a row the input no longer holds back windows that have other inputs too; by default it
    /// always does. Clock time decides here, so rows that come later may be late in one run and not in another.
    #[serde(default)]
    pub idle: Option<HumanDuration>,
}

fn in_order() -> HumanDuration {
    HumanDuration::from_millis(0)
}
