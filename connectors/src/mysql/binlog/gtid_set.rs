//! Sets of MySQL's global transaction identifiers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aqueduct_model::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest tag (MySQL 8.3: 32 characters, a-z 0-9 _).
const TAG_BYTES_MAX: usize = 32;

/// Who numbers transactions: a server, and since MySQL 8.3 a tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GtidSource {
    /// The server's uuid.
    pub server: Uuid,
    /// The tag; empty for none.
    pub tag: String,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MysqlGtid {
    /// Who numbered it.
    pub source: GtidSource,
    /// Its number, from 1.
    pub number: u64,
}

impl fmt::Display for MysqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source.server)?;
        if !self.source.tag.is_empty() {
            write!(f, ":{}", self.source.tag)?;
        }
        write!(f, ":{}", self.number)
    }
}

/// A set of transactions: `uuid:1-5:7,uuid:tag:1-3`, as `gtid_executed` has it.
///
/// Kept as sorted ranges that neither overlap nor touch, gaps and all: a gap is a transaction that was not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct MysqlGtidSet(BTreeMap<GtidSource, Vec<Range>>);

/// First and last number, both in the set.
type Range = (u64, u64);

impl MysqlGtidSet {
    /// True when no transaction is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one transaction.
    pub fn add(&mut self, gtid: &MysqlGtid) {
        self.add_range(gtid.source.clone(), (gtid.number, gtid.number));
    }

    /// Adds the numbers `first..=last` of one source; nothing when the range is empty.
    pub fn add_range(&mut self, source: GtidSource, (first, last): Range) {
        if first == 0 || first > last {
            return;
        }
        let ranges = self.0.entry(source).or_default();
        // Those before `at` end too early to touch the new one.
        let at = ranges.partition_point(|range| range.1.saturating_add(1) < first);
        let end = at + ranges[at..].partition_point(|range| range.0 <= last.saturating_add(1));
        let merged = if at == end { (first, last) } else { (first.min(ranges[at].0), last.max(ranges[end - 1].1)) };
        ranges.splice(at..end, [merged]);
    }

    /// True when the transaction is in the set.
    pub fn contains(&self, gtid: &MysqlGtid) -> bool {
        self.covers(&gtid.source, (gtid.number, gtid.number))
    }

    /// True when every transaction of this set is in `other`.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.iter().all(|(source, ranges)| ranges.iter().all(|range| other.covers(source, *range)))
    }

    fn covers(&self, source: &GtidSource, (first, last): Range) -> bool {
        self.0.get(source).is_some_and(|ranges| {
            let at = ranges.partition_point(|range| range.1 < first);
            ranges.get(at).is_some_and(|range| range.0 <= first && last <= range.1)
        })
    }

    /// Every source with its ranges, both ends in the set, in order.
    pub fn sources(&self) -> impl Iterator<Item = (&GtidSource, &[(u64, u64)])> {
        self.0.iter().map(|(source, ranges)| (source, ranges.as_slice()))
    }
}

impl fmt::Display for MysqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<Uuid> = None;
        for (source, ranges) in &self.0 {
            // Tags of one server follow it: `uuid:1-3:tag:5`.
            match before {
                Some(server) if server == source.server => {}
                Some(_) => write!(f, ",{}", source.server)?,
                None => write!(f, "{}", source.server)?,
            }
            before = Some(source.server);
            if !source.tag.is_empty() {
                write!(f, ":{}", source.tag)?;
            }
            for (first, last) in ranges {
                if first == last { write!(f, ":{first}")? } else { write!(f, ":{first}-{last}")? }
            }
        }
        Ok(())
    }
}

impl FromStr for MysqlGtidSet {
    type Err = Error;

    /// Reads what the server prints, white space allowed, in any order.
    fn from_str(text: &str) -> Result<Self> {
        let mut set = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut pieces = part.split(':').map(str::trim);
            let server = pieces.next().and_then(|uuid| Uuid::try_parse(uuid).ok()).ok_or_else(invalid)?;
            let mut tag = String::new();
            let mut seen = false;
            for piece in pieces {
                if piece.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
                    tag = parse_tag(piece)?;
                    continue;
                }
                let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
                let range = (parse_number(first)?, parse_number(last)?);
                seen = true;
                set.add_range(GtidSource { server, tag: tag.clone() }, range);
            }
            if !seen {
                return Err(invalid());
            }
        }
        Ok(set)
    }
}

/// Checks a tag and makes it lower case, as the server does.
pub(super) fn parse_tag(tag: &str) -> Result<String> {
    let valid = tag.len() <= TAG_BYTES_MAX && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if valid { Ok(tag.to_ascii_lowercase()) } else { Err(invalid()) }
}

fn parse_number(text: &str) -> Result<u64> {
    match text.trim().parse() {
        Ok(number) if number > 0 && number < i64::MAX as u64 => Ok(number),
        _ => Err(invalid()),
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::State, "a set of MySQL GTIDs cannot be read")
        .with_hint("it has the form `uuid:1-5:7,uuid:tag:1-3`, as SELECT @@gtid_executed gives it")
}

impl From<MysqlGtidSet> for String {
    fn from(set: MysqlGtidSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for MysqlGtidSet {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}
