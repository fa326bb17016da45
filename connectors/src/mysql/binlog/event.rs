//! One event, decoded.

use aqueduct_model::{Error, ErrorKind, Result};

use super::bytes::{Bytes, Decoded, Malformed};
use super::format::{Flavor, Format};
use super::gtid_event::{GtidEvent, MariadbGtidEvent, gtid_list, previous_gtids};
use super::gtid_set::MysqlGtidSet;
use super::header::RawEvent;
use super::kind;
use super::mariadb_gtid::MariadbGtidPos;
use super::payload::Payload;
use super::query::Query;
use super::rows_event::{RowsEvent, is_rows};

/// What an event of the log says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event<'a> {
    /// The first of a log, or of a connection.
    Format(Format),
    /// The log goes on in another file. Made up by the server, it names the file that follows on this connection.
    Rotate { file: String, position: u64 },
    /// The server has nothing, and stands there; in no file. The position is that of the common header in version 1,
    /// and may have wrapped at 4 GiB there.
    Heartbeat { file: String, position: u64 },
    /// A statement: DDL, BEGIN, COMMIT, XA …; see `ddl`.
    Query(Query<'a>),
    /// A commit.
    Xid(u64),
    /// The end of an XA transaction's first part, to be committed or not by a later statement; `one_phase` commits it.
    XaPrepare { one_phase: bool, xid: Vec<u8> },
    /// A MySQL transaction begins.
    Gtid(GtidEvent),
    /// What earlier files hold.
    PreviousGtids(MysqlGtidSet),
    /// A MariaDB event group begins.
    MariadbGtid(MariadbGtidEvent),
    /// What earlier files hold, at least up to the last of each domain.
    MariadbGtidList(MariadbGtidPos),
    /// The rows that follow are laid out so; the body for [`super::RowDecoder`] and [`super::table_of`].
    TableMap(&'a [u8]),
    /// Rows.
    Rows(RowsEvent<'a>),
    /// A whole transaction in one event.
    Payload(Payload<'a>),
    /// The text of the statement that the next rows come from.
    Annotation(&'a [u8]),
    /// Something that a statement in the log needs to run again (INTVAR, RAND, USER_VAR). By itself it changes nothing:
    /// the QUERY event behind it says what is done.
    StatementContext,
    /// Data of a `LOAD DATA` that is logged as a statement. The rows are not in the log.
    LoadData,
    /// The server lost events, or stopped in the middle of a statement that cannot be undone.
    Incident(String),
    /// The server was stopped.
    Stop,
    /// Known, and without meaning for captured rows; or marked as one to skip.
    Nothing,
}

/// Decodes an event whose checksum was verified by [`super::split_event`].
///
/// # Errors
/// `Data` when the bytes do not follow the format, or the type is not known and not marked as one to skip: never a
/// silent gap.
pub(crate) fn decode<'a>(event: &RawEvent<'a>, flavor: Flavor) -> Result<Event<'a>> {
    let RawEvent { header, body } = *event;
    if is_rows(header.event_type) {
        return Ok(Event::Rows(RowsEvent::parse(header.event_type, body)?));
    }
    Ok(match header.event_type {
        kind::FORMAT_DESCRIPTION => Event::Format(Format::parse(&header, body)?),
        kind::ROTATE => {
            let mut bytes = Bytes(body);
            let position = bytes.u64()?;
            Event::Rotate { file: file_name(bytes.rest())?, position }
        }
        kind::HEARTBEAT => Event::Heartbeat { file: file_name(body)?, position: u64::from(header.next_position) },
        kind::HEARTBEAT_V2 => heartbeat_v2(body)?,
        kind::QUERY => Event::Query(Query::parse(body, false)?),
        kind::XID => Event::Xid(Bytes(body).u64()?),
        kind::XA_PREPARE => xa_prepare(body)?,
        kind::TABLE_MAP => Event::TableMap(body),
        kind::INTVAR | kind::RAND | kind::USER_VAR => Event::StatementContext,
        kind::LOAD
        | kind::CREATE_FILE
        | kind::APPEND_BLOCK
        | kind::EXEC_LOAD
        | kind::DELETE_FILE
        | kind::NEW_LOAD
        | kind::BEGIN_LOAD_QUERY
        | kind::EXECUTE_LOAD_QUERY => Event::LoadData,
        kind::INCIDENT => incident(body)?,
        kind::STOP => Event::Stop,
        kind::IGNORABLE | kind::TRANSACTION_CONTEXT | kind::VIEW_CHANGE => Event::Nothing,
        kind::ROWS_QUERY => Event::Annotation(body.get(1..).unwrap_or_default()),
        kind::GTID => Event::Gtid(GtidEvent::parse(body, false)?),
        kind::ANONYMOUS_GTID => Event::Gtid(GtidEvent::parse(body, true)?),
        kind::TAGGED_GTID => Event::Gtid(GtidEvent::parse_tagged(body)?),
        kind::PREVIOUS_GTIDS => Event::PreviousGtids(previous_gtids(body)?),
        kind::TRANSACTION_PAYLOAD => Event::Payload(Payload::parse(body)?),
        kind::MARIADB_ANNOTATE_ROWS => Event::Annotation(body),
        kind::MARIADB_BINLOG_CHECKPOINT | kind::MARIADB_START_ENCRYPTION => Event::Nothing,
        kind::MARIADB_GTID => Event::MariadbGtid(MariadbGtidEvent::parse(body, header.server_id)?),
        kind::MARIADB_GTID_LIST => Event::MariadbGtidList(gtid_list(body)?),
        kind::MARIADB_QUERY_COMPRESSED => Event::Query(Query::parse(body, true)?),
        _ if header.is_ignorable() => Event::Nothing,
        unknown => return Err(unknown_event(unknown, header.next_position, flavor)),
    })
}

fn unknown_event(event_type: u8, next_position: u32, flavor: Flavor) -> Error {
    let hint = match (flavor, event_type) {
        (Flavor::MariaDb, kind::MARIADB_PARTIAL_ROW_DATA) => {
            "rows larger than max_packet_size were split: SET GLOBAL binlog_row_event_fragment_threshold to more than \
             the largest row"
        }
        _ => "use a version of Aqueduct that knows the server's version, or report the type and the server's version",
    };
    Error::new(
        ErrorKind::Data,
        format!("the binary log holds an event of the unknown type {event_type}, ending at position {next_position}"),
    )
    .with_hint(hint)
}

/// The name of a log file, without what may stand behind it.
fn file_name(bytes: &[u8]) -> Decoded<String> {
    let name = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8(name.to_vec()).map_err(|_| Malformed("the name of a log file is not UTF-8"))
}

/// Fields as (type, length, value): 0 ends, 1 is the file, 2 the position (MySQL 8.0.26, for logs above 4 GiB).
fn heartbeat_v2(body: &[u8]) -> Decoded<Event<'static>> {
    let mut bytes = Bytes(body);
    let (mut file, mut position) = (String::new(), 0);
    while !bytes.is_empty() {
        let field = bytes.packed()?;
        if field == 0 {
            break;
        }
        let value = bytes.packed_bytes()?;
        match field {
            1 => file = file_name(value)?,
            2 => position = Bytes(value).packed()?,
            _ => {}
        }
    }
    Ok(Event::Heartbeat { file, position })
}

fn xa_prepare(body: &[u8]) -> Decoded<Event<'static>> {
    let mut bytes = Bytes(body);
    let one_phase = bytes.u8()? != 0;
    let _format = bytes.u32()?;
    let lengths = (bytes.u32()? as usize, bytes.u32()? as usize);
    let length = lengths.0.checked_add(lengths.1).ok_or(Malformed("an XA transaction's id is too long"))?;
    Ok(Event::XaPrepare { one_phase, xid: bytes.take(length)?.to_vec() })
}

fn incident(body: &[u8]) -> Decoded<Event<'static>> {
    let mut bytes = Bytes(body);
    bytes.u16()?;
    let length = usize::from(bytes.u8()?);
    Ok(Event::Incident(String::from_utf8_lossy(bytes.take(length)?).into_owned()))
}
