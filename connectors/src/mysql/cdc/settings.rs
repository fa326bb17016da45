//! What a capture of MySQL or MariaDB is asked for.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::mysql::address::Address;
use crate::mysql::rows::ZeroDates;

/// What becomes of foreign keys with ON DELETE or ON UPDATE CASCADE or SET NULL: MariaDB, and MySQL before 9.6, do not
/// write to the binary log what they do to the child table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cascade {
    /// A captured child table with such a key prevents the start.
    #[default]
    Refuse,
    /// The child's rows that a cascade changes are missed; the log of this program says so at every start.
    Warn,
}

/// What a capture is asked for.
#[derive(Debug, Clone)]
pub(crate) struct MysqlSettings {
    pub address: Address,
    /// Names, or patterns with `*`: `shop.orders`, `shop.item_*`.
    pub tables: Vec<String>,
    pub zero_dates: ZeroDates,
    pub cascade: Cascade,
    /// Our number among the server's replicas; drawn at random without it.
    pub server_id: Option<u32>,
    pub heartbeat: Duration,
}
