//! The settings of `Filter`.

use schemars::JsonSchema;
use serde::Deserialize;

/// A condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// The condition as an SQL expression: `amount > 100 and status = 'paid'`. Rows for which it is false or NULL are
    /// left out.
    #[serde(rename = "where")]
    pub condition: String,
}
