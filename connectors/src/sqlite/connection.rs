//! Opening database files, and what SQLite's result codes mean to us.

use std::path::Path;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How many prepared statements a connection keeps.
const STATEMENTS_KEPT: usize = 128;

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads; the file may even be on a read-only disk.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// Opens an existing database file.
///
/// # Errors
/// `Config` when the file does not exist or is no SQLite database; `Auth` when the system forbids it; `Unavailable`
/// when it is locked for longer than `busy_timeout`.
pub(crate) fn open(path: &Path, access: Access, busy_timeout: Duration) -> Result<Connection> {
    if !path.is_file() {
        return Err(Error::config(format!("there is no database file {}", path.display()))
            .with_setting("path")
            .with_hint("correct `path`, or create the database first; it is never created by a source"));
    }
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match access {
            Access::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
    let opening = || format!("cannot open {}", path.display());
    let connection = Connection::open_with_flags(path, flags).map_err(|e| failed(opening(), e))?;
    connection.busy_timeout(busy_timeout).map_err(|e| failed(opening(), e))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A query of a flow file must not reach other files.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(|e| failed(opening(), e))?;
    // The header is read lazily: without this a text file would be noticed only by the first real query.
    connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .map_err(|e| failed(opening(), e).with_setting("path"))?;
    Ok(connection)
}

/// Turns an error of SQLite into ours: the kind from the result code, the original kept as the cause.
pub(crate) fn failed(doing: impl Into<String>, error: rusqlite::Error) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            Some("another process holds a lock on the database for long; end it, or raise `busy_timeout`"),
        ),
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::DiskFull | ErrorCode::OutOfMemory) => {
            (ErrorKind::Unavailable, None)
        }
        Some(ErrorCode::NotADatabase) => {
            (ErrorKind::Config, Some("the file is not an SQLite database (or it is encrypted); correct `path`"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            (ErrorKind::Auth, Some("give this user write access to the database file and to its folder"))
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::State, Some("the database file is damaged; look at it with `PRAGMA integrity_check`"))
        }
        _ => (ErrorKind::Bug, None),
    };
    let error = Error::new(kind, doing).with_source(error);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// True when the database was only locked by someone else: trying again is all there is to do.
pub(crate) fn is_busy(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<rusqlite::Error>())
        .and_then(rusqlite::Error::sqlite_error_code)
        .is_some_and(|code| matches!(code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Writes an identifier so that any name is safe inside a statement.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
