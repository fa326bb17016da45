//! Places in a write-ahead log.

use std::fmt;
use std::str::FromStr;

use aqueduct_model::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::postgres::server::LogIdentity;

/// A byte of the write-ahead log, written as PostgreSQL writes it: `16/B374D848`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lsn(pub u64);

/// The end of a transaction's commit record (or of what was read without one), in the log of one server, as one slot
/// sees it: transactions that end at or before `lsn` were handed out.
///
/// Rows are not told apart by it: a position is always between transactions, and several rows of one transaction (or a
/// next transaction that begins at this very place) are never cut by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PostgresMark {
    /// The place.
    pub lsn: Lsn,
    /// Whose log.
    #[serde(flatten)]
    pub log: LogIdentity,
    /// The slot that keeps the log from here on.
    pub slot: String,
    /// The publication's number: one that is dropped and made again has another, and what was written in between is not
    /// sent by it.
    pub publication: u32,
}

impl PostgresMark {
    /// Another place of the same log.
    pub(crate) fn at(&self, lsn: Lsn) -> Self {
        Self { lsn, ..self.clone() }
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

impl FromStr for Lsn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let half = |digits: &str| match digits.len() {
            1..=8 if digits.bytes().all(|digit| digit.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok(),
            _ => None,
        };
        text.split_once('/')
            .and_then(|(high, low)| Some(Self(half(high)? << 32 | half(low)?)))
            .ok_or_else(|| Error::config("a place in the write-ahead log is not of the form 16/B374D848"))
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_both_ways() {
        for (text, value) in [("0/0", 0), ("16/B374D848", 0x16_B374_D848), ("FFFFFFFF/FFFFFFFF", u64::MAX), ("0/A", 10)]
        {
            assert_eq!(text.parse::<Lsn>().unwrap(), Lsn(value));
            assert_eq!(Lsn(value).to_string(), text);
        }
        for wrong in ["", "0", "/", "0/", "/0", "0/1/2", "+1/0", "123456789/0", "0/ 1", "g/0"] {
            assert!(wrong.parse::<Lsn>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_mark_is_flat_json() {
        let log = LogIdentity { system: "7".into(), timeline: 2 };
        let mark = PostgresMark { lsn: Lsn(256), log, slot: "s".into(), publication: 5 };
        let json = serde_json::to_string(&mark).unwrap();
        assert_eq!(json, r#"{"lsn":"0/100","system":"7","timeline":2,"slot":"s","publication":5}"#);
        assert_eq!(serde_json::from_str::<PostgresMark>(&json).unwrap(), mark);
    }
}
