//! Places in the binary log, and what a chunk shows of it.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cdc::capture::Shown;
use crate::mysql::binlog::{MariadbGtid, MariadbGtidPos, MysqlGtid, MysqlGtidSet};

/// A byte of a log file: where an event begins, or will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPlace {
    /// The file's name, without its folder.
    pub file: String,
    /// Bytes from its beginning; more than four gigabytes are possible.
    pub position: u64,
}

impl LogPlace {
    pub(crate) fn new(file: impl Into<String>, position: u64) -> Self {
        Self { file: file.into(), position }
    }

    /// The number at the end of the file's name: files of one server are ordered by it.
    pub(crate) fn file_number(&self) -> u64 {
        file_number(&self.file)
    }
}

/// The number at the end of a log file's name (`binlog.000012`); it grows a digit after `999999`.
pub(crate) fn file_number(file: &str) -> u64 {
    file.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

impl PartialOrd for LogPlace {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LogPlace {
    /// The order in the log of one server.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.file_number(), self.position, &self.file).cmp(&(other.file_number(), other.position, &other.file))
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}

/// Transactions by their global identifiers, in either system's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gtids {
    /// A set.
    MySql(MysqlGtidSet),
    /// The last one of each domain.
    MariaDb(MariadbGtidPos),
}

/// One transaction's global identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gtid {
    MySql(MysqlGtid),
    MariaDb(MariadbGtid),
}

impl Gtids {
    /// Reads the text of a set: MariaDB's has no colon.
    pub(crate) fn parse(text: &str) -> aqueduct_model::Result<Self> {
        if text.contains(':') { text.parse().map(Self::MySql) } else { text.parse().map(Self::MariaDb) }
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(set), Self::MySql(other)) => set.is_subset(other),
            (Self::MariaDb(position), Self::MariaDb(other)) => position.is_subset(other),
            // An empty text has no form.
            (Self::MariaDb(position), Self::MySql(_)) => position.is_empty(),
            (Self::MySql(set), Self::MariaDb(_)) => set.is_empty(),
        }
    }

    pub(crate) fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), Gtid::MySql(gtid)) => set.contains(gtid),
            (Self::MariaDb(position), Gtid::MariaDb(gtid)) => position.contains(gtid),
            _ => false,
        }
    }

    /// Adds one transaction; the empty set takes its form.
    pub(crate) fn add(&mut self, gtid: &Gtid) {
        match (&mut *self, gtid) {
            (Self::MySql(set), Gtid::MySql(gtid)) => set.add(gtid),
            (Self::MariaDb(position), Gtid::MariaDb(gtid)) => position.add(*gtid),
            (_, Gtid::MySql(gtid)) => {
                let mut set = MysqlGtidSet::default();
                set.add(gtid);
                *self = Self::MySql(set);
            }
            (_, Gtid::MariaDb(gtid)) => {
                let mut position = MariadbGtidPos::default();
                position.add(*gtid);
                *self = Self::MariaDb(position);
            }
        }
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(set) => set.fmt(f),
            Self::MariaDb(position) => position.fmt(f),
        }
    }
}

/// An XA transaction that was prepared before a mark and is neither committed nor rolled back there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prepared {
    /// Both parts of its identifier, in hexadecimal digits.
    pub xid: String,
    /// Where its rows begin; `None` when it has none of captured tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<LogPlace>,
}

/// A place in a server's log, next to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MysqlMark {
    /// Whose log: see `Server::identity`.
    pub server: String,
    /// Where in that server's log.
    #[serde(flatten)]
    pub place: LogPlace,
    /// Every transaction before the place; it may hold some behind it, which are then to be skipped. Empty without GTIDs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gtids: String,
    /// XA transactions that are open here; their rows are read again from where they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<Prepared>,
}

impl MysqlMark {
    /// True when everything before `other` is before this one.
    pub(crate) fn is_at_or_behind(&self, other: &Self) -> bool {
        if self.server == other.server {
            return self.place >= other.place;
        }
        match (Gtids::parse(&self.gtids), Gtids::parse(&other.gtids)) {
            (Ok(own), Ok(other_set)) if !other.gtids.is_empty() => other_set.is_subset(&own),
            _ => false,
        }
    }
}

impl fmt::Display for MysqlMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if !self.gtids.is_empty() {
            write!(f, " (GTIDs {})", self.gtids)?;
        }
        Ok(())
    }
}

/// What a chunk shows of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sight {
    /// Whose log the places are in.
    pub server: String,
    /// Every transaction that begins before this place was committed before the chunk was read.
    pub yes_before: LogPlace,
    /// No transaction that begins at or behind this place was.
    pub no_from: LogPlace,
    /// Transactions that were committed before, as a set; empty without GTIDs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub committed: String,
    /// Transactions that may have been; empty without GTIDs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub maybe: String,
}

/// A transaction, for [`Sight::shown`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TransactionId {
    /// Whose log it was read from.
    pub server: String,
    /// Where its first event is (for XA: where its commit is).
    pub start: LogPlace,
    pub gtid: Option<Gtid>,
}

impl Sight {
    /// Whether a chunk shows a transaction.
    pub(crate) fn shown(&self, transaction: &TransactionId) -> Shown {
        let is_in = |set: &str| {
            let gtid = transaction.gtid.as_ref()?;
            (!set.is_empty()).then(|| Gtids::parse(set).is_ok_and(|set| set.contains(gtid)))
        };
        if transaction.server == self.server {
            if transaction.start < self.yes_before {
                return Shown::Yes;
            }
            if transaction.start >= self.no_from {
                return Shown::No;
            }
            return if is_in(&self.committed) == Some(true) { Shown::Yes } else { Shown::Unknown };
        }
        // After a failover places mean nothing.
        if is_in(&self.committed) == Some(true) {
            Shown::Yes
        } else if is_in(&self.maybe) == Some(false) {
            Shown::No
        } else {
            Shown::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(server: &str, file: &str, position: u64, gtids: &str) -> MysqlMark {
        MysqlMark { server: server.into(), place: LogPlace::new(file, position), gtids: gtids.into(), prepared: vec![] }
    }

    const A: &str = "58f6683c-e6c6-11f1-993c-02fc00000001";

    #[test]
    fn places_are_ordered_by_number() {
        assert!(LogPlace::new("binlog.1000000", 4) > LogPlace::new("binlog.999999", 9_000));
        assert!(LogPlace::new("binlog.000002", 5_000_000_000) > LogPlace::new("binlog.000002", 4));
    }

    #[test]
    fn marks_of_another_server_are_compared_by_gtids() {
        let here = mark("a", "b.000009", 4, &format!("{A}:1-9"));
        let there = mark("b", "b.000001", 4, &format!("{A}:1-9"));
        assert!(here.is_at_or_behind(&there) && there.is_at_or_behind(&here));
        let further = mark("b", "b.000001", 99, &format!("{A}:1-10"));
        assert!(!here.is_at_or_behind(&further) && further.is_at_or_behind(&here));
        assert!(!mark("a", "b.000009", 4, "").is_at_or_behind(&mark("b", "b.000001", 4, "")));
        assert!(mark("a", "x.1", 4, "0-1-12,1-1-5").is_at_or_behind(&mark("b", "x.1", 4, "0-2-11")));
    }

    #[test]
    fn marks_keep_their_text_form() {
        let mark = MysqlMark {
            prepared: vec![Prepared { xid: "'x'".into(), at: Some(LogPlace::new("b.000001", 7)) }],
            ..mark("a", "b.000002", 4, "")
        };
        let text = serde_json::to_string(&mark).expect("serializes");
        assert_eq!(
            text,
            r#"{"server":"a","file":"b.000002","position":4,"prepared":[{"xid":"'x'","at":{"file":"b.000001","position":7}}]}"#
        );
        assert_eq!(serde_json::from_str::<MysqlMark>(&text).expect("reads back"), mark);
    }

    #[test]
    fn what_a_chunk_shows() {
        let sight = Sight {
            server: "a".into(),
            yes_before: LogPlace::new("b.000001", 100),
            no_from: LogPlace::new("b.000001", 300),
            committed: format!("{A}:1-5"),
            maybe: format!("{A}:1-8"),
        };
        let gtid = |number| Gtids::parse(&format!("{A}:{number}")).map(|_| Gtid::MySql(gtid_of(number)));
        let transaction = |server: &str, position, number| TransactionId {
            server: server.into(),
            start: LogPlace::new("b.000001", position),
            gtid: gtid(number).ok(),
        };
        for (server, position, number, expected) in [
            ("a", 99, 9, Shown::Yes),
            ("a", 100, 5, Shown::Yes),
            ("a", 200, 6, Shown::Unknown),
            ("a", 300, 8, Shown::No),
            ("b", 1, 5, Shown::Yes),
            ("b", 1, 6, Shown::Unknown),
            ("b", 1, 9, Shown::No),
        ] {
            assert_eq!(sight.shown(&transaction(server, position, number)), expected, "{server} {position} {number}");
        }
    }

    fn gtid_of(number: u64) -> MysqlGtid {
        let server = uuid::Uuid::try_parse(A).expect("a uuid");
        MysqlGtid { source: crate::mysql::binlog::GtidSource { server, tag: String::new() }, number }
    }
}
