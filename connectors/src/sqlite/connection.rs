//! Opening database files, and what SQLite's result codes mean to us.

use std::path::Path;
use std::time::Duration;

use aqueduct_model::{Error, ErrorKind, Result};
use rusqlite::ffi::{SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK};
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
    let opening = |error| failed(format!("cannot open {}", path.display()), error).with_setting("path");
    let connection = match access {
        Access::ReadOnly => open_to_read(path, busy_timeout),
        Access::ReadWrite => looked_at(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout),
    };
    let connection = connection.map_err(opening)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A query of a flow file must not reach other files.
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(opening)?;
    Ok(connection)
}

/// Opens an existing database file for reading only. What a writer left half done that was killed is rolled back first,
/// which takes write access.
///
/// # Errors
/// Those of SQLite.
pub(super) fn open_to_read(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let read_only = || looked_at(path, OpenFlags::SQLITE_OPEN_READ_ONLY, busy_timeout);
    match read_only() {
        Err(error) if is_half_done(&error) => {
            looked_at(path, OpenFlags::SQLITE_OPEN_READ_WRITE, busy_timeout)?;
            read_only()
        }
        opened => opened,
    }
}

/// Opens a file and reads its header: SQLite does that lazily, and would notice a text file only at the first real query.
fn looked_at(path: &Path, flags: OpenFlags, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    Ok(connection)
}

/// True when a transaction has to be rolled back, or a log to be recovered, and the connection may not write.
fn is_half_done(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code.is_some_and(|code| [SQLITE_READONLY_ROLLBACK, SQLITE_READONLY_RECOVERY].contains(&code))
}

/// Turns an error of SQLite into ours: the kind from the result code, the original kept as the cause.
pub(crate) fn failed(doing: impl Into<String>, error: rusqlite::Error) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        _ if is_half_done(&error) => (
            ErrorKind::Unavailable,
            Some("a writer of the file was killed: give this user write access, so that it is rolled back"),
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_secs(1);

    #[test]
    fn what_a_killed_writer_left_half_done_is_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, left) = (folder.path().join("whole.db"), folder.path().join("left.db"));
        let writer = Connection::open(&whole).unwrap();
        writer
            .execute_batch(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
                 INSERT INTO t SELECT i, printf('%0200d', i) FROM n;
                 PRAGMA cache_size = 5; PRAGMA cache_spill = 1;
                 BEGIN; UPDATE t SET v = v || 'x'",
            )
            .unwrap();
        for suffix in ["", "-journal"] {
            let of = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(of(&whole), of(&left)).unwrap();
        }
        drop(writer);
        let refused = looked_at(&left, OpenFlags::SQLITE_OPEN_READ_ONLY, BUSY).unwrap_err();
        assert!(is_half_done(&refused), "{refused}");
        assert_eq!(failed("reading", refused).kind(), ErrorKind::Unavailable);
        let connection = open(&left, Access::ReadOnly, BUSY).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((count("SELECT count(*) FROM t"), count("SELECT count(*) FROM t WHERE v LIKE '%x'")), (2000, 0));
        assert!(connection.execute("DELETE FROM t", []).is_err(), "it still only reads");
    }
}
