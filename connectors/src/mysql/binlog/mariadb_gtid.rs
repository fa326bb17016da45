//! MariaDB's global transaction identifiers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aqueduct_model::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

/// One event group: `domain-server-sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MariadbGtid {
    /// A stream of changes that is in order by itself.
    pub domain: u32,
    /// The server that wrote it first.
    pub server: u32,
    /// Its number, rising in its domain.
    pub sequence: u64,
}

impl fmt::Display for MariadbGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

impl FromStr for MariadbGtid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.trim().split('-');
        let gtid = (|| {
            let domain = parts.next()?.parse().ok()?;
            let server = parts.next()?.parse().ok()?;
            let sequence = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { domain, server, sequence })
        })();
        gtid.ok_or_else(|| {
            Error::new(ErrorKind::State, "a MariaDB GTID position cannot be read")
                .with_hint("it has the form `0-1-12,1-1-5`, as SELECT @@gtid_binlog_pos gives it")
        })
    }
}

/// A position: the last GTID of each domain, `0-1-12,1-1-5`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct MariadbGtidPos(BTreeMap<u32, MariadbGtid>);

impl MariadbGtidPos {
    /// True for the beginning of all logs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves on: `gtid` is now the last one of its domain, whatever its number.
    pub fn add(&mut self, gtid: MariadbGtid) {
        self.0.insert(gtid.domain, gtid);
    }

    /// True when the position is at or behind `gtid` in its domain.
    pub fn contains(&self, gtid: &MariadbGtid) -> bool {
        self.0.get(&gtid.domain).is_some_and(|last| last.sequence >= gtid.sequence)
    }

    /// True when `other` is at or behind this position in every domain.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.values().all(|gtid| other.contains(gtid))
    }
}

impl FromIterator<MariadbGtid> for MariadbGtidPos {
    /// The highest number of a domain counts: a GTID_LIST event names several servers of one domain.
    fn from_iter<I: IntoIterator<Item = MariadbGtid>>(gtids: I) -> Self {
        let mut position = Self::default();
        for gtid in gtids {
            if !position.contains(&gtid) {
                position.add(gtid);
            }
        }
        position
    }
}

impl fmt::Display for MariadbGtidPos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, gtid) in self.0.values().enumerate() {
            write!(f, "{}{gtid}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for MariadbGtidPos {
    type Err = Error;

    /// Reads what the server prints; of several GTIDs of one domain the highest counts.
    fn from_str(text: &str) -> Result<Self> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
    }
}

impl From<MariadbGtidPos> for String {
    fn from(position: MariadbGtidPos) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for MariadbGtidPos {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}
