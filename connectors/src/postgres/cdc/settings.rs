//! What a capture of a PostgreSQL database is asked for.

use std::path::PathBuf;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use crate::postgres::address::Address;
use crate::postgres::copy::Unrepresentable;

/// Longest name of a slot or publication, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Of a name that we make: `aqueduct_`, the flow, the task, and sixteen digits that no other flow, task or database has.
const READABLE_BYTES_MAX: usize = 36;

/// See the fields.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The server and the database.
    pub address: Address,
    /// Names or patterns of tables.
    pub tables: Vec<String>,
    /// The flow and the task, of which names are made.
    pub flow: String,
    pub task: String,
    /// The slot; made when it does not exist. `None`: one of our own.
    pub slot: Option<String>,
    /// The publication; made when it does not exist. `None`: one of our own.
    pub publication: Option<String>,
    /// Rows of partitions come as rows of the partitioned table. Where the publication is the user's, what it says counts.
    pub via_root: bool,
    /// What becomes of dates that Arrow cannot hold.
    pub unrepresentable: Unrepresentable,
    /// Write a message into the log this often, so that the slot moves on while nothing else is written to this database.
    pub heartbeat: Option<Duration>,
    /// Warn when the slot keeps back more log than this many bytes.
    pub retained_bytes_warn: u64,
    /// Where large transactions are kept until they commit; `None`: the server keeps them.
    pub spool: Option<PathBuf>,
}

impl Settings {
    /// The slot's name.
    pub(crate) fn slot(&self) -> String {
        self.slot.clone().unwrap_or_else(|| self.own_name())
    }

    /// The publication's name.
    pub(crate) fn publication(&self) -> String {
        self.publication.clone().unwrap_or_else(|| self.own_name())
    }

    /// A name for a slot or publication of our own. Slots are shared by all databases of a server, so that the database is
    /// part of it.
    pub(crate) fn own_name(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let mut name: String = format!("aqueduct_{}_{}", self.flow, self.task).chars().map(plain).collect();
        name.truncate(READABLE_BYTES_MAX);
        let whole =
            [&self.address.database, &self.flow, &self.task].map(|part| format!("{}:{part}", part.len())).concat();
        let name = format!("{name}_{:016x}", xxh3_64(whole.as_bytes()));
        debug_assert!(name.len() <= NAME_BYTES_MAX);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(flow: &str, task: &str, database: &str) -> String {
        let address = Address::parse(&format!("postgres://u@h/{database}")).unwrap();
        Settings {
            address,
            tables: Vec::new(),
            flow: flow.into(),
            task: task.into(),
            slot: None,
            publication: None,
            via_root: true,
            unrepresentable: Unrepresentable::Error,
            heartbeat: None,
            retained_bytes_warn: u64::MAX,
            spool: None,
        }
        .own_name()
    }

    #[test]
    fn names_are_readable_valid_and_never_shared() {
        let name = named("Shop-Orders", "in", "shop");
        assert!(name.starts_with("aqueduct_shop_orders_in_"), "{name}");
        let long = named(&"ü".repeat(100), "x", "d");
        for name in [&name, &long] {
            assert!(name.len() <= NAME_BYTES_MAX);
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
        }
        assert_ne!(named("a_b", "c", "d"), named("a", "b_c", "d"));
        assert_ne!(named("a", "b", "c"), named("a", "b", "d"));
    }
}
