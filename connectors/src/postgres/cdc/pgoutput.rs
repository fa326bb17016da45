//! The messages of the plugin `pgoutput`, versions 1 and 2 of its protocol.
//!
//! PostgreSQL 18 manual, 54.9 "Logical Replication Message Formats". Nothing is copied out of the message but names.

use aqueduct_model::{Error, RelationName, Result};

/// Microseconds from 1970 to 2000, where PostgreSQL's clock begins.
const EPOCH_2000_US: i64 = 946_684_800_000_000;

/// One message.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    /// A transaction that has committed follows.
    Begin {
        xid: u32,
        commit_lsn: u64,
        committed_at_us: i64,
    },
    /// It ends; the next one may begin at `end_lsn`.
    Commit {
        end_lsn: u64,
    },
    /// The transaction came from elsewhere.
    Origin,
    /// `pg_logical_emit_message`.
    Logical {
        sub: Option<u32>,
    },
    /// A table's columns: before its first row, and again when they have changed.
    Relation {
        sub: Option<u32>,
        relation: Relation,
    },
    /// The name of a type that is not built in.
    Type {
        sub: Option<u32>,
    },
    Insert {
        sub: Option<u32>,
        oid: u32,
        new: Tuple<'a>,
    },
    Update {
        sub: Option<u32>,
        oid: u32,
        old: Option<OldRow<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        sub: Option<u32>,
        oid: u32,
        old: OldRow<'a>,
    },
    Truncate {
        sub: Option<u32>,
        oids: Vec<u32>,
    },
    /// A part of a transaction that still runs follows.
    StreamStart {
        xid: u32,
    },
    StreamStop,
    /// A transaction that was sent in parts has committed.
    StreamCommit {
        xid: u32,
        commit_lsn: u64,
        end_lsn: u64,
        committed_at_us: i64,
    },
    /// A transaction that was sent in parts was rolled back, or a part of it.
    StreamAbort {
        xid: u32,
        subtransaction: u32,
    },
}

/// A table as the log describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    /// `d`, `n`, `f` or `i`, as in `pg_class.relreplident`.
    pub identity: u8,
    pub columns: Vec<Column>,
}

/// A column as the log describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub type_oid: u32,
    pub type_modifier: i32,
    /// It is part of what identifies old rows.
    pub in_key: bool,
}

/// The row before a change.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OldRow<'a> {
    /// The columns of the key; the others are NULL whatever they were.
    Key(Tuple<'a>),
    Full(Tuple<'a>),
}

/// A row's cells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuple<'a> {
    columns: usize,
    /// Checked when the message was read.
    bytes: &'a [u8],
}

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell<'a> {
    Null,
    /// Stored apart and not touched by the change, so that it is not in the log.
    Unchanged,
    Text(&'a [u8]),
    Binary(&'a [u8]),
}

impl Message<'_> {
    /// The number of the subtransaction, for messages between `StreamStart` and `StreamStop`.
    pub(crate) fn subtransaction(&self) -> Option<u32> {
        match self {
            Self::Logical { sub }
            | Self::Relation { sub, .. }
            | Self::Type { sub }
            | Self::Insert { sub, .. }
            | Self::Update { sub, .. }
            | Self::Delete { sub, .. }
            | Self::Truncate { sub, .. } => *sub,
            _ => None,
        }
    }
}

impl Relation {
    /// The table's name.
    pub(crate) fn table_name(&self) -> RelationName {
        RelationName { catalog: None, schema: Some(self.schema.clone()), table: self.name.clone() }
    }

    /// True when that is the table's name.
    pub(crate) fn is_named(&self, name: &RelationName) -> bool {
        name.table == self.name && name.schema.as_ref() == Some(&self.schema)
    }

    /// Old rows are sent whole.
    pub(crate) fn is_full(&self) -> bool {
        self.identity == b'f'
    }
}

impl<'a> Tuple<'a> {
    /// The number of cells.
    pub(crate) fn len(&self) -> usize {
        self.columns
    }

    /// The cells in order.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        let mut rest = Bytes(self.bytes);
        std::iter::from_fn(move || rest.cell().ok())
    }
}

/// Reads a message. `in_stream`: it stands between `StreamStart` and `StreamStop`.
///
/// # Errors
/// `Bug` for a message that is unknown or broken off: never a skip.
pub(crate) fn parse(message: &[u8], in_stream: bool) -> Result<Message<'_>> {
    let mut bytes = Bytes(message);
    let kind = bytes.u8()?;
    let has_sub = in_stream && matches!(kind, b'M' | b'R' | b'Y' | b'I' | b'U' | b'D' | b'T');
    let sub = if has_sub { Some(bytes.u32()?) } else { None };
    let message = match kind {
        b'B' => {
            let (commit_lsn, committed_at_us) = (bytes.u64()?, bytes.time()?);
            Message::Begin { commit_lsn, committed_at_us, xid: bytes.u32()? }
        }
        b'C' => {
            bytes.take(1 + 8)?;
            let end_lsn = bytes.u64()?;
            bytes.time()?;
            Message::Commit { end_lsn }
        }
        b'O' => Message::Origin,
        b'M' => Message::Logical { sub },
        b'R' => Message::Relation { sub, relation: bytes.relation()? },
        b'Y' => Message::Type { sub },
        b'I' => {
            let oid = bytes.u32()?;
            bytes.expect(b'N')?;
            Message::Insert { sub, oid, new: bytes.tuple()? }
        }
        b'U' => bytes.update(sub)?,
        b'D' => {
            let oid = bytes.u32()?;
            let old = bytes.u8()?;
            Message::Delete { sub, oid, old: bytes.old(old)? }
        }
        b'T' => {
            let count = bytes.u32()?;
            bytes.take(1)?;
            Message::Truncate { sub, oids: (0..count).map(|_| bytes.u32()).collect::<Result<_>>()? }
        }
        b'S' => {
            let xid = bytes.u32()?;
            // Whether it is the transaction's first part.
            bytes.u8()?;
            Message::StreamStart { xid }
        }
        b'E' => Message::StreamStop,
        b'c' => {
            let xid = bytes.u32()?;
            bytes.take(1)?;
            let (commit_lsn, end_lsn) = (bytes.u64()?, bytes.u64()?);
            Message::StreamCommit { xid, commit_lsn, end_lsn, committed_at_us: bytes.time()? }
        }
        b'A' => Message::StreamAbort { xid: bytes.u32()?, subtransaction: bytes.u32()? },
        other => {
            return Err(Error::bug(format!("the log holds a message of the unknown kind {:?}", char::from(other))));
        }
    };
    // What is left over would be of a protocol that was not asked for; some ends are of no interest here.
    if bytes.0.is_empty() || matches!(kind, b'O' | b'M' | b'Y' | b'A') { Ok(message) } else { Err(broken()) }
}

/// What of a message is not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(broken)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Microseconds since 1970.
    fn time(&mut self) -> Result<i64> {
        self.array().map(|bytes| i64::from_be_bytes(bytes).saturating_add(EPOCH_2000_US))
    }

    fn expect(&mut self, wanted: u8) -> Result<()> {
        if self.u8()? == wanted { Ok(()) } else { Err(broken()) }
    }

    fn text(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(broken)?;
        let text = std::str::from_utf8(self.take(end)?).map_err(|error| broken().with_source(error))?;
        self.take(1)?;
        Ok(text.to_owned())
    }

    fn relation(&mut self) -> Result<Relation> {
        let (oid, schema, name, identity) = (self.u32()?, self.text()?, self.text()?, self.u8()?);
        let count = u16::from_be_bytes(self.array()?);
        let mut columns = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let in_key = self.u8()? & 1 == 1;
            let (name, type_oid, modifier) = (self.text()?, self.u32()?, self.array()?);
            columns.push(Column { name, type_oid, type_modifier: i32::from_be_bytes(modifier), in_key });
        }
        Ok(Relation { oid, schema, name, identity, columns })
    }

    fn update(&mut self, sub: Option<u32>) -> Result<Message<'a>> {
        let oid = self.u32()?;
        let old = match self.u8()? {
            b'N' => None,
            kind => {
                let old = self.old(kind)?;
                self.expect(b'N')?;
                Some(old)
            }
        };
        Ok(Message::Update { sub, oid, old, new: self.tuple()? })
    }

    fn old(&mut self, kind: u8) -> Result<OldRow<'a>> {
        match kind {
            b'K' => self.tuple().map(OldRow::Key),
            b'O' => self.tuple().map(OldRow::Full),
            _ => Err(broken()),
        }
    }

    fn tuple(&mut self) -> Result<Tuple<'a>> {
        let columns = usize::from(u16::from_be_bytes(self.array()?));
        let all = self.0;
        for _ in 0..columns {
            self.cell()?;
        }
        Ok(Tuple { columns, bytes: &all[..all.len() - self.0.len()] })
    }

    fn cell(&mut self) -> Result<Cell<'a>> {
        let kind = self.u8()?;
        match kind {
            b'n' => Ok(Cell::Null),
            b'u' => Ok(Cell::Unchanged),
            b't' | b'b' => {
                let length = self.u32()? as usize;
                let bytes = self.take(length)?;
                Ok(if kind == b't' { Cell::Text(bytes) } else { Cell::Binary(bytes) })
            }
            _ => Err(broken()),
        }
    }
}

fn broken() -> Error {
    Error::bug("a message of the log is broken off or of an unknown form")
}
