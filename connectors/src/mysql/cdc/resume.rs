//! Whether a log still holds what comes next at a mark, and how it is asked for.

use aqueduct_model::{Error, ErrorKind, Result};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::mark::{Gtids, LogPlace, MysqlMark, file_number};
use super::wire::{DumpFrom, ServerRefusal};
use crate::mysql::connection::Explain;
use crate::mysql::error::{BINLOG_FATAL, server_code};
use crate::mysql::server::{Kind, Server};

/// What a reader at a place must be able to see.
pub(crate) const HINT_LOST: &str = "set `on_lost_position: resnapshot` to empty the target tables and read everything \
                                    again, or point `url` at a server that still has the log";

/// How the log is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumption {
    pub from: DumpFrom,
    /// For `@slave_connect_state` (MariaDB); empty otherwise.
    pub connect_state: String,
}

/// A lost position: what was wanted, what there is, and why.
pub(crate) fn lost(wanted: &MysqlMark, why: impl std::fmt::Display, oldest: Option<&str>) -> Error {
    let there = oldest.map(|oldest| format!("; the oldest that is there is {oldest}")).unwrap_or_default();
    Error::new(ErrorKind::LostPosition, format!("the binary log cannot be read on from {wanted}: {why}{there}"))
        .with_setting("on_lost_position")
        .with_hint(HINT_LOST)
}

/// Compares a mark with what the server has.
///
/// # Errors
/// `LostPosition`, naming the wanted place and the oldest one that is there.
pub(crate) async fn resumption(connection: &mut Conn, server: &Server, mark: &MysqlMark) -> Result<Resumption> {
    let check = Check { files: log_files(connection).await?, server, mark };
    if server.identity() == mark.server {
        check.same_server(connection).await?;
    } else {
        check.other_server()?;
    }
    match server.kind {
        _ if mark.gtids.is_empty() => {}
        Kind::MySql => check.gtid_sets(connection).await?,
        Kind::MariaDb => check.gtid_position(connection).await?,
    }
    check.resumption()
}

/// One file of the log.
#[derive(Debug, Clone)]
struct LogFile {
    name: String,
    bytes: u64,
}

/// The files that are still there, oldest first.
async fn log_files(connection: &mut Conn) -> Result<Vec<LogFile>> {
    let rows: Vec<Row> = connection.query("SHOW BINARY LOGS").await.doing(|| "listing the log's files".to_owned())?;
    Ok(rows.iter().filter_map(|row| Some(LogFile { name: row.get(0)?, bytes: row.get(1)? })).collect())
}

struct Check<'a> {
    files: Vec<LogFile>,
    server: &'a Server,
    mark: &'a MysqlMark,
}

impl Check<'_> {
    fn lost(&self, why: impl std::fmt::Display) -> Error {
        lost(self.mark, why, self.files.first().map(|file| file.name.as_str()))
    }

    fn oldest_place(&self) -> LogPlace {
        // Positions of the mark's files may begin in an XA transaction that is still open.
        let open = self.mark.prepared.iter().filter_map(|prepared| prepared.at.as_ref()).min();
        open.unwrap_or(&self.mark.place).clone()
    }

    /// The log of the server that the mark is of: has it been cut, emptied, or replaced by an older copy?
    async fn same_server(&self, connection: &mut Conn) -> Result<()> {
        let place = &self.mark.place;
        let newest = self.files.last().map_or(0, |file| file_number(&file.name));
        if newest < place.file_number() {
            return Err(self.lost("the log was reset (RESET MASTER), or the server's data folder is an older copy"));
        }
        let wanted = self.oldest_place();
        if !self.files.iter().any(|file| file.name == wanted.file) {
            let is_needed = self.mark.gtids.is_empty() || wanted != *place;
            return if is_needed { Err(self.lost("the file was purged")) } else { Ok(()) };
        }
        let Some(file) = self.files.iter().find(|file| file.name == place.file) else { return Ok(()) };
        if file.bytes < place.position {
            return Err(self.lost(format!(
                "{} ends at {}: the log was reset (RESET MASTER), the server lost its end in a crash, or its data folder \
                 is an older copy",
                file.name, file.bytes
            )));
        }
        match self.server.kind {
            Kind::MariaDb => self.mariadb_gtids_at_place(connection).await,
            Kind::MySql => self.event_at_place(connection, file.bytes).await,
        }
    }

    async fn mariadb_gtids_at_place(&self, connection: &mut Conn) -> Result<()> {
        let place = &self.mark.place;
        let found: Option<Option<String>> = connection
            .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (&place.file, place.position))
            .await
            .doing(|| format!("looking at {place} of the log"))?;
        let same = match found.flatten() {
            None => false,
            Some(found) => Gtids::parse(&found)? == Gtids::parse(&self.mark.gtids)?,
        };
        if same {
            Ok(())
        } else {
            Err(self.lost("the log holds something else there: it was reset (RESET MASTER), or is an older copy"))
        }
    }

    async fn event_at_place(&self, connection: &mut Conn, end: u64) -> Result<()> {
        let place = &self.mark.place;
        if place.position >= end {
            return Ok(());
        }
        let file = place.file.replace('\'', "''");
        let sql = format!("SHOW BINLOG EVENTS IN '{file}' FROM {} LIMIT 1", place.position);
        let row: Option<Row> = match connection.query_first(sql).await {
            Ok(row) => row,
            // "Wrong offset or I/O error": no event begins there.
            Err(error) if server_code(&error) == Some(1220) => None,
            Err(error) => return Err(crate::mysql::error::failed(error, format!("looking at {place} of the log"))),
        };
        let kind: String = row.as_ref().and_then(|row| row.get(2)).unwrap_or_default();
        let begins_something =
            ["Gtid", "Anonymous_Gtid", "Gtid_tagged", "Rotate", "Stop", "Previous_gtids", "Format_desc", "Query"];
        if begins_something.iter().any(|name| kind.eq_ignore_ascii_case(name))
            || kind.to_ascii_lowercase().contains("gtid")
        {
            return Ok(());
        }
        Err(self.lost("no transaction begins there: the log was reset (RESET MASTER), or is an older copy"))
    }

    /// Another server than the mark's: only GTIDs mean the same there.
    fn other_server(&self) -> Result<()> {
        if self.mark.gtids.is_empty() {
            return Err(self.lost(format!(
                "it is a place in the log of server {}, and this is server {}; without GTIDs places of one mean nothing \
                 on the other",
                self.mark.server,
                self.server.identity()
            )));
        }
        if !self.mark.prepared.is_empty() {
            return Err(self.lost(format!(
                "{} XA transactions were open on server {}, and this is server {}",
                self.mark.prepared.len(),
                self.mark.server,
                self.server.identity()
            )));
        }
        tracing::warn!(
            before = %self.mark.server, now = %self.server.identity(),
            "this is another server than before: going on by GTIDs"
        );
        Ok(())
    }

    /// MySQL says what it executed and what it has purged of that.
    async fn gtid_sets(&self, connection: &mut Conn) -> Result<()> {
        let sets: Option<(String, String)> = connection
            .query_first("SELECT @@GLOBAL.gtid_purged, @@GLOBAL.gtid_executed")
            .await
            .doing(|| "reading gtid_purged and gtid_executed".to_owned())?;
        let (purged, executed) = sets.unwrap_or_default();
        let (purged, executed, have) =
            (Gtids::parse(&purged)?, Gtids::parse(&executed)?, Gtids::parse(&self.mark.gtids)?);
        if !have.is_subset(&executed) {
            return Err(self.lost(format!(
                "the server never executed some of these transactions (gtid_executed is {executed}): it was restored from \
                 a backup, reset (RESET MASTER), or is a replica that lags behind"
            )));
        }
        if !purged.is_subset(&have) {
            return Err(self.lost(format!("transactions that come next were purged (gtid_purged is {purged})")));
        }
        Ok(())
    }

    /// MariaDB starts at the beginning of a domain of which it does not know the position that it is told.
    async fn gtid_position(&self, connection: &mut Conn) -> Result<()> {
        let logged: Option<String> = connection
            .query_first("SELECT @@GLOBAL.gtid_binlog_pos")
            .await
            .doing(|| "reading gtid_binlog_pos".to_owned())?;
        let logged = Gtids::parse(&logged.unwrap_or_default())?;
        if Gtids::parse(&self.mark.gtids)?.is_subset(&logged) {
            return Ok(());
        }
        Err(self.lost(format!(
            "the server never logged some of these transactions (gtid_binlog_pos is {logged}): it was restored from a \
             backup, reset (RESET MASTER), or is a replica that lags behind"
        )))
    }

    fn resumption(&self) -> Result<Resumption> {
        let wanted = self.oldest_place();
        let by_file = self.mark.gtids.is_empty() || wanted != self.mark.place;
        if by_file {
            let position = u32::try_from(wanted.position)
                .map_err(|_| self.lost("the place is behind the first 4 GiB of a file, which only GTIDs can name"))?;
            return Ok(Resumption {
                from: DumpFrom::File { file: wanted.file, position },
                connect_state: String::new(),
            });
        }
        Ok(match Gtids::parse(&self.mark.gtids)? {
            Gtids::MySql(set) => Resumption { from: DumpFrom::Gtids(set), connect_state: String::new() },
            Gtids::MariaDb(position) => {
                Resumption { from: DumpFrom::ConnectState, connect_state: position.to_string() }
            }
        })
    }
}

/// The oldest file of the log that is there, when the server says so.
pub(crate) async fn oldest_file(connection: &mut Conn) -> Option<String> {
    log_files(connection).await.ok()?.into_iter().next().map(|file| file.name)
}

/// What the server's refusal to send the log means.
pub(crate) fn refused(
    refusal: ServerRefusal,
    mark: &MysqlMark,
    oldest: Option<&str>,
    server_id: u32,
    is_own_id: bool,
) -> Error {
    let text = refusal.message.to_ascii_lowercase();
    if text.contains("same server_uuid/server_id")
        || text.contains("slave with the same")
        || text.contains("replica with the same")
    {
        let clash =
            format!("another reader of this log has our server_id {server_id}, and the server ended ours for it");
        // A number of our own choice is drawn anew at the next start.
        let kind = if is_own_id { ErrorKind::Unavailable } else { ErrorKind::Config };
        return Error::new(kind, clash)
            .with_setting("server_id")
            .with_hint("give every flow (and every replica) of this server a `server_id` of its own, or leave it out");
    }
    if refusal.code == BINLOG_FATAL {
        if text.contains("max_allowed_packet") {
            return Error::config("the server cannot send an event of the log that is larger than its packets")
                .with_hint("SET GLOBAL max_allowed_packet=1073741824");
        }
        if text.contains("checksum") {
            return Error::new(ErrorKind::Data, "the server found a wrong checksum in its own log")
                .with_hint("check the log's file with `mysqlbinlog --verify-binlog-checksum`, and the server's disk");
        }
        return lost(mark, refusal.message.trim_end_matches('.'), oldest);
    }
    crate::mysql::error::failed(refusal.into(), "reading the binary log")
}
