//! The commands of a replica.

use crate::mysql::binlog::MysqlGtidSet;

const COM_QUERY: u8 = 0x03;
const COM_BINLOG_DUMP: u8 = 0x12;
const COM_REGISTER_SLAVE: u8 = 0x15;
const COM_BINLOG_DUMP_GTID: u8 = 0x1e;
const BINLOG_THROUGH_GTID: u16 = 0x04;
/// MariaDB sends the statements of rows only when asked; MySQL has no such bit.
const BINLOG_SEND_ANNOTATE_ROWS: u16 = 0x02;
/// Where the first event of a file is.
const FIRST_POSITION: u64 = 4;

/// Where the log is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DumpFrom {
    /// At this byte of this file.
    File { file: String, position: u32 },
    /// Behind these transactions (MySQL).
    Gtids(MysqlGtidSet),
    /// Behind what `@slave_connect_state` says (MariaDB).
    ConnectState,
}

pub(super) fn query(statement: &str) -> Vec<u8> {
    let mut packet = vec![COM_QUERY];
    packet.extend_from_slice(statement.as_bytes());
    packet
}

/// Names us to the server, so that SHOW REPLICAS lists us.
pub(super) fn register(server_id: u32) -> Vec<u8> {
    let mut packet = vec![COM_REGISTER_SLAVE];
    packet.extend_from_slice(&server_id.to_le_bytes());
    // No host, user and password; port, rank and master id 0.
    packet.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
    packet
}

pub(super) fn dump(server_id: u32, from: &DumpFrom) -> Vec<u8> {
    match from {
        DumpFrom::File { file, position } => dump_file(server_id, file, *position),
        DumpFrom::ConnectState => dump_file(server_id, "", 4),
        DumpFrom::Gtids(set) => dump_gtids(server_id, set),
    }
}

fn dump_file(server_id: u32, file: &str, position: u32) -> Vec<u8> {
    let mut packet = vec![COM_BINLOG_DUMP];
    packet.extend_from_slice(&position.to_le_bytes());
    packet.extend_from_slice(&BINLOG_SEND_ANNOTATE_ROWS.to_le_bytes());
    packet.extend_from_slice(&server_id.to_le_bytes());
    packet.extend_from_slice(file.as_bytes());
    packet
}

fn dump_gtids(server_id: u32, set: &MysqlGtidSet) -> Vec<u8> {
    let data = encoded(set);
    let mut packet = vec![COM_BINLOG_DUMP_GTID];
    packet.extend_from_slice(&BINLOG_THROUGH_GTID.to_le_bytes());
    packet.extend_from_slice(&server_id.to_le_bytes());
    // No file name.
    packet.extend_from_slice(&0_u32.to_le_bytes());
    packet.extend_from_slice(&FIRST_POSITION.to_le_bytes());
    packet.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    packet.extend_from_slice(&data);
    packet
}

/// A set in the form that servers send to each other; with tags since MySQL 8.3, only where there are some.
fn encoded(set: &MysqlGtidSet) -> Vec<u8> {
    let tagged = set.sources().any(|(source, _)| !source.tag.is_empty());
    let count = set.sources().count() as u64;
    let head = if tagged { (count << 8) | (1 << 56) | 1 } else { count };
    let mut data = head.to_le_bytes().to_vec();
    for (source, ranges) in set.sources() {
        data.extend_from_slice(source.server.as_bytes());
        if tagged {
            // A packed length of one byte: tags have at most 32.
            data.push(u8::try_from(source.tag.len()).unwrap_or(u8::MAX) << 1);
            data.extend_from_slice(source.tag.as_bytes());
        }
        data.extend_from_slice(&(ranges.len() as u64).to_le_bytes());
        for (first, last) in ranges {
            data.extend_from_slice(&first.to_le_bytes());
            data.extend_from_slice(&(last + 1).to_le_bytes());
        }
    }
    data
}
