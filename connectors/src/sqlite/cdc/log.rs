//! The change log inside the source database: its tables, and its head.
//!
//! `_aqueduct_changes` holds one row per change, numbered by `seq`. SQLite has one writer at a time, so rows appear in
//! the order of their numbers and a transaction's rows appear together: every number that one read transaction sees as
//! the last is the end of a transaction. A number never comes twice, because the last row is never pruned and SQLite
//! counts on from it. AUTOINCREMENT would not do: a statement that ends by OR FAIL leaves its rows and forgets their
//! numbers (seen in SQLite 3.54).

use aqueduct_model::{Error, ErrorKind, Result, SourceContext};
use rusqlite::{Connection, OptionalExtension};

use crate::sqlite::connection::{failed, quote};

/// The shape of the log; a log of another shape is refused.
const FORMAT: i64 = 1;

/// `op` of a change log row.
pub(super) mod op {
    /// A row was inserted: its image in the first columns.
    pub(in crate::sqlite::cdc) const INSERT: i64 = 0;
    /// A row was changed: its old image in the first columns, the new one behind it.
    pub(in crate::sqlite::cdc) const UPDATE: i64 = 2;
    /// A row was deleted: its image in the first columns.
    pub(in crate::sqlite::cdc) const DELETE: i64 = 3;
    /// A row stands in the way of another that is about to be written: its image, then the other's.
    pub(in crate::sqlite::cdc) const CANDIDATE: i64 = 4;
    /// The table has the named version from here on.
    pub(in crate::sqlite::cdc) const SCHEMA: i64 = 5;
}

/// The names of what belongs to one log.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    /// The names of the log of that name. The default one has none of its own in them.
    pub(crate) fn new(log: &str) -> Self {
        let prefix = if log == crate::cdc::DEFAULT_LOG { "_aqueduct_".to_owned() } else { format!("_aqueduct@{log}_") };
        Self { prefix }
    }

    /// What all triggers of this log start with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// True when a trigger or table of that name belongs to this log.
    pub(super) fn own(&self, name: &str) -> bool {
        name.starts_with(&self.prefix)
    }

    /// A table of the log, unquoted.
    pub(super) fn plain(&self, noun: &str) -> String {
        format!("{}{noun}", self.prefix)
    }

    /// A table of the log, quoted.
    pub(super) fn table(&self, noun: &str) -> String {
        quote(&self.plain(noun))
    }

    /// The changes, quoted.
    pub(super) fn changes(&self) -> String {
        self.table("changes")
    }

    /// The one row about the log itself, quoted.
    pub(super) fn meta(&self) -> String {
        self.table("meta")
    }

    /// The versions of the captured tables, quoted.
    pub(super) fn tables(&self) -> String {
        self.table("tables")
    }

    /// The flows that read the log, quoted.
    pub(super) fn consumers(&self) -> String {
        self.table("consumers")
    }

    /// The tables of a log, unquoted.
    pub(super) fn all(&self) -> [String; 4] {
        ["changes", "meta", "tables", "consumers"].map(|noun| self.plain(noun))
    }
}

/// The state of a log as one read transaction sees it.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// The identity of the log.
    pub(super) log: String,
    /// Changes up to this one are gone.
    pub(super) pruned_to: i64,
    /// `PRAGMA schema_version` when triggers and tables were last known to agree.
    pub(super) synced_cookie: i64,
    /// The last change at that time.
    pub(super) synced_seq: i64,
    /// `PRAGMA schema_version` now.
    pub(super) cookie: i64,
    /// The last change; the end of a transaction.
    pub(super) last_seq: i64,
}

impl Head {
    /// Reads the head; `None` when there is no such log.
    pub(super) fn read(connection: &Connection, names: &Names) -> Result<Option<Self>> {
        let doing = "cannot read the head of the change log";
        let cookie = schema_version(connection)?;
        let sql = format!(
            "SELECT format, log, pruned_to, cookie, synced_seq, coalesce((SELECT max(seq) FROM {}), 0) FROM {} WHERE id = 1",
            names.changes(),
            names.meta()
        );
        let mut statement = match connection.prepare_cached(&sql) {
            Ok(statement) => statement,
            Err(_) if !exists(connection, names)? => return Ok(None),
            Err(e) => return Err(failed(doing, e)),
        };
        let head = statement
            .query_row([], |row| {
                let head = Self {
                    log: row.get(1)?,
                    pruned_to: row.get(2)?,
                    synced_cookie: row.get(3)?,
                    synced_seq: row.get(4)?,
                    cookie,
                    last_seq: row.get(5)?,
                };
                Ok((row.get::<_, i64>(0)?, head))
            })
            .optional()
            .map_err(|e| failed(doing, e))?;
        match head {
            None => Ok(None),
            Some((FORMAT, head)) => Ok(Some(head)),
            Some((format, _)) => Err(Error::new(
                ErrorKind::State,
                format!("the change log has format {format}; this program reads format {FORMAT}"),
            )
            .with_hint("remove the capture with the version that made it, or use another `log`")),
        }
    }

    /// Checks that reading can go on at `seq` of the log `log`.
    ///
    /// # Errors
    /// `LostPosition`, saying what became of the changes.
    pub(super) fn reaches(&self, log: &str, seq: i64) -> Result<()> {
        if self.log != log {
            return Err(lost("the change log is another one than before: it was removed, or the file was replaced"));
        }
        if seq <= self.pruned_to {
            return Err(lost(format!("changes up to {} are pruned, change {seq} is read next", self.pruned_to)));
        }
        if seq > self.last_seq + 1 {
            return Err(lost(format!(
                "the change log ends at {}, change {seq} is read next: an older copy of the file was put back",
                self.last_seq
            )));
        }
        Ok(())
    }
}

/// An error of kind `LostPosition` with what can be done about it.
pub(super) fn lost(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::LostPosition, format!("the position to resume from is lost: {why}"))
        .with_setting("on_lost_position")
        .with_hint("set `on_lost_position: resnapshot` to empty the target tables and read everything again")
}

/// `PRAGMA schema_version`: changes with every DDL statement and every VACUUM.
pub(super) fn schema_version(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("PRAGMA schema_version")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(|e| failed("cannot read the schema version", e))
}

/// True when the log's own table is there.
pub(super) fn exists(connection: &Connection, names: &Names) -> Result<bool> {
    connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1",
            [names.plain("meta")],
            |row| row.get::<_, i64>(0),
        )
        .map(|count| count > 0)
        .map_err(|e| failed("cannot look for the change log", e))
}

/// Makes the tables of a log. The caller holds a write transaction.
pub(super) fn create(connection: &Connection, names: &Names) -> rusqlite::Result<()> {
    // No affinity on the value columns: a cell keeps its storage class bit by bit.
    connection.execute_batch(&format!(
        "CREATE TABLE {changes}(seq INTEGER PRIMARY KEY, tbl INTEGER NOT NULL, version INTEGER NOT NULL, \
           op INTEGER NOT NULL, rid0 INTEGER, rid1 INTEGER);\
         CREATE TABLE {meta}(id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, log TEXT NOT NULL, \
           pruned_to INTEGER NOT NULL, cookie INTEGER NOT NULL, synced_seq INTEGER NOT NULL);\
         CREATE TABLE {tables}(id INTEGER NOT NULL, version INTEGER NOT NULL, from_seq INTEGER NOT NULL, \
           reread INTEGER NOT NULL, change TEXT NOT NULL, definition TEXT NOT NULL, PRIMARY KEY (id, version));\
         CREATE TABLE {consumers}(flow TEXT NOT NULL, task TEXT NOT NULL, durable_seq INTEGER NOT NULL, \
           PRIMARY KEY (flow, task));",
        changes = names.changes(),
        meta = names.meta(),
        tables = names.tables(),
        consumers = names.consumers(),
    ))?;
    connection.execute(
        &format!("INSERT INTO {} VALUES (1, ?1, ?2, 0, -1, 0)", names.meta()),
        (FORMAT, uuid::Uuid::new_v4().to_string()),
    )?;
    Ok(())
}

/// Makes the log wide enough for `images` old-and-new pairs of the widest table.
pub(super) fn widen(connection: &Connection, names: &Names, cells: usize) -> rusqlite::Result<()> {
    let present: u32 = connection.query_row(
        "SELECT count(*) FROM pragma_table_info(?1) WHERE name GLOB 'c[0-9]*'",
        [names.plain("changes")],
        |row| row.get(0),
    )?;
    for i in present as usize..cells {
        connection.execute_batch(&format!("ALTER TABLE {} ADD COLUMN c{i}", names.changes()))?;
    }
    Ok(())
}

/// Notes that a flow reads the log and still needs everything behind `durable_seq`.
pub(super) fn register(
    connection: &Connection,
    names: &Names,
    reader: &SourceContext,
    durable_seq: i64,
) -> rusqlite::Result<()> {
    connection.execute(
        &format!(
            "INSERT INTO {}(flow, task, durable_seq) VALUES (?1, ?2, ?3) \
             ON CONFLICT (flow, task) DO UPDATE SET durable_seq = excluded.durable_seq",
            names.consumers()
        ),
        (&reader.flow, &reader.task, durable_seq),
    )?;
    Ok(())
}

/// Up to where a flow said that it needs no changes any more; `None` when it is not known to the log.
pub(super) fn durable_seq(connection: &Connection, names: &Names, reader: &SourceContext) -> Result<Option<i64>> {
    let sql = format!("SELECT durable_seq FROM {} WHERE flow = ?1 AND task = ?2", names.consumers());
    connection
        .query_row(&sql, (&reader.flow, &reader.task), |row| row.get(0))
        .optional()
        .map_err(|e| failed("cannot read the consumers of the change log", e))
}
