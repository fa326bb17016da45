//! QUERY events: statements, mostly DDL and BEGIN.

use std::borrow::Cow;

use super::bytes::{Bytes, Decoded, Malformed};
use super::charset::Charset;
use super::inflate::inflate;

/// A statement as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    /// The connection that ran it.
    pub thread_id: u32,
    /// 0, or the number of the error that it ended with.
    pub error_code: u16,
    /// The default database; empty when there was none.
    pub database: String,
    /// The statement in `charset`.
    pub text: Cow<'a, [u8]>,
    /// What text and settings of the session change its meaning.
    pub session: QuerySession,
}

/// Settings of the session that a statement's meaning depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QuerySession {
    /// `sql_mode`, as bits.
    pub sql_mode: u64,
    /// The id of `character_set_client`'s collation.
    pub client_collation: Option<u16>,
    /// The id of `collation_server`.
    pub server_collation: Option<u16>,
    /// The id of the default database's collation, where it is not the server's.
    pub database_collation: Option<u16>,
}

const SQL_MODE_ANSI_QUOTES: u64 = 0x4;
const SQL_MODE_NO_BACKSLASH_ESCAPES: u64 = 0x10_0000;

impl QuerySession {
    /// True when `"x"` is a name and not a string.
    pub fn ansi_quotes(&self) -> bool {
        self.sql_mode & SQL_MODE_ANSI_QUOTES != 0
    }

    /// True when a backslash in a string is a backslash.
    pub fn no_backslash_escapes(&self) -> bool {
        self.sql_mode & SQL_MODE_NO_BACKSLASH_ESCAPES != 0
    }
}

impl<'a> Query<'a> {
    /// Reads the body of a QUERY event, or of MariaDB's compressed one.
    ///
    /// # Errors
    /// When lengths do not fit.
    pub fn parse(body: &'a [u8], compressed: bool) -> Decoded<Self> {
        let mut bytes = Bytes(body);
        let thread_id = bytes.u32()?;
        let _seconds = bytes.u32()?;
        let database_length = usize::from(bytes.u8()?);
        let error_code = bytes.u16()?;
        let status_length = usize::from(bytes.u16()?);
        let session = session(bytes.take(status_length)?);
        let database = bytes.take(database_length)?;
        let database = String::from_utf8(database.to_vec()).map_err(|_| Malformed("a database's name is not UTF-8"))?;
        bytes.take(1)?;
        let text = if compressed { Cow::Owned(inflate(&mut bytes)?) } else { Cow::Borrowed(bytes.rest()) };
        Ok(Self { thread_id, error_code, database, text, session })
    }

    /// The statement as text; characters that its charset does not know are replaced, for names are what counts.
    pub fn sql(&self) -> Cow<'_, str> {
        let charset = self.session.client_collation.and_then(Charset::of_collation).unwrap_or(Charset::Utf8);
        match charset {
            Charset::Utf8 | Charset::Ascii | Charset::Binary => String::from_utf8_lossy(&self.text),
            other => {
                let mut text = String::new();
                match other.decode(&self.text, &mut text) {
                    Ok(()) => Cow::Owned(text),
                    Err(_) => String::from_utf8_lossy(&self.text),
                }
            }
        }
    }
}

/// Reads the status variables up to the first one that is not known (they come in no fixed order, but those that are
/// needed here come before all that were added later).
fn session(bytes: &[u8]) -> QuerySession {
    let mut session = QuerySession::default();
    let mut bytes = Bytes(bytes);
    while let Ok(true) = status_variable(&mut bytes, &mut session) {}
    session
}

/// Reads one variable; false when there is none, or one of unknown length.
fn status_variable(bytes: &mut Bytes<'_>, session: &mut QuerySession) -> Decoded<bool> {
    if bytes.is_empty() {
        return Ok(false);
    }
    match bytes.u8()? {
        // Flags2, auto increment, master data written.
        0 | 3 | 10 => drop(bytes.take(4)?),
        1 => session.sql_mode = bytes.u64()?,
        // Catalog with a zero behind it.
        2 => {
            let length = usize::from(bytes.u8()?);
            bytes.take(length + 1)?;
        }
        4 => {
            session.client_collation = Some(bytes.u16()?);
            bytes.u16()?;
            session.server_collation = Some(bytes.u16()?);
        }
        // Time zone, catalog.
        5 | 6 => {
            let length = usize::from(bytes.u8()?);
            bytes.take(length)?;
        }
        // Names of days.
        7 => drop(bytes.take(2)?),
        8 => session.database_collation = Some(bytes.u16()?),
        // Tables of a multi-table update; the id of a DDL's transaction.
        9 | 17 => drop(bytes.take(8)?),
        // Invoker: user and host.
        11 => {
            for _ in 0..2 {
                let length = usize::from(bytes.u8()?);
                bytes.take(length)?;
            }
        }
        // Names of the databases that are updated.
        12 => {
            let count = bytes.u8()?;
            // 254 means "too many to name".
            for _ in 0..if count == 254 { 0 } else { count } {
                while bytes.u8()? != 0 {}
            }
        }
        // Microseconds; both servers.
        13 | 128 => drop(bytes.take(3)?),
        // Explicit defaults for timestamp, primary key required, table encryption.
        16 | 19 | 20 => drop(bytes.take(1)?),
        18 => drop(bytes.take(2)?),
        // MariaDB: the id of a DDL's transaction.
        129 => drop(bytes.take(8)?),
        _ => return Ok(false),
    }
    Ok(true)
}
