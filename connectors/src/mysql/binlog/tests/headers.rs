//! Headers, checksums, and events that are not known.

use aqueduct_model::ErrorKind;

use super::fixtures::{FIXTURES, Fixture};
use super::replay::Replay;
use crate::mysql::binlog::gtid_event::GtidEvent;
use crate::mysql::binlog::{Checksum, Event, EventHeader, Flavor, RawEvent, decode, split_event};

fn raw(event_type: u8, flags: u16, body: &[u8]) -> RawEvent<'_> {
    let header = EventHeader { timestamp: 0, event_type, server_id: 1, size: 19, next_position: 4, flags };
    RawEvent { header, body }
}

#[test]
fn one_wrong_byte_anywhere_is_an_error() {
    let fixture = Fixture::of("maria_ddl");
    let events = fixture.events();
    for (number, event) in events.iter().enumerate().take(12) {
        for at in (0..event.len()).filter(|at| !(9..13).contains(at)) {
            let mut damaged = event.to_vec();
            damaged[at] ^= 0x40;
            if number == 0 {
                let result =
                    split_event(&damaged, Checksum::None).and_then(|raw| decode(&raw, Flavor::MySql).map(drop));
                // Its own type is what says that it is the first event.
                assert!(result.is_err() || at == 4, "byte {at} of the format");
            } else {
                let error = split_event(&damaged, Checksum::Crc32).unwrap_err();
                assert!(error.kind() == ErrorKind::Data || at == 4, "{error:?}");
                assert!(error.to_string().contains("wrong checksum"), "{error:?}");
            }
        }
    }
}

#[test]
fn an_event_cut_short_is_an_error() {
    for fixture in FIXTURES {
        for event in fixture.events() {
            assert!(split_event(&event[..event.len() - 1], Checksum::None).is_err());
        }
    }
}

#[test]
fn an_unknown_event_is_an_error_unless_it_may_be_skipped() {
    for event_type in [43, 99, 172, 255] {
        let error = decode(&raw(event_type, 0, b"x"), Flavor::MariaDb).unwrap_err();
        assert!(error.to_string().contains(&event_type.to_string()) && error.hint().is_some());
        assert_eq!(decode(&raw(event_type, 0x80, b"x"), Flavor::MariaDb).unwrap(), Event::Nothing);
    }
}

#[test]
fn heartbeats_rotations_and_ends() {
    let rotate = raw(4, 0x20, b"\x04\0\0\0\0\0\0\0binlog.000002");
    assert_eq!(decode(&rotate, Flavor::MySql).unwrap(), Event::Rotate { file: "binlog.000002".into(), position: 4 });
    assert!(rotate.header.is_artificial());
    assert_eq!(
        decode(&raw(27, 0, b"binlog.000002"), Flavor::MySql).unwrap(),
        Event::Heartbeat { file: "binlog.000002".into(), position: 4 }
    );
    let second = raw(41, 0, b"\x01\x05log.1\x02\x09\xfe\0\0\0\0\x01\0\0\0\0");
    assert_eq!(decode(&second, Flavor::MySql).unwrap(), Event::Heartbeat { file: "log.1".into(), position: 1 << 32 });
    assert_eq!(decode(&raw(3, 0, b""), Flavor::MySql).unwrap(), Event::Stop);
    assert_eq!(decode(&raw(26, 0, b"\x01\0\x04lost"), Flavor::MySql).unwrap(), Event::Incident("lost".into()));
}

/// From `mysql_common`'s own test of the layout: uuid, tag and number as MySQL 8.4 packs them.
#[test]
fn a_tagged_gtid_has_its_tag() {
    let mut fields = vec![0, 2, 2];
    for byte in 1..=16u8 {
        fields.push(byte << 1);
    }
    fields.extend([4, 7 << 2, 6, 3 << 1, b't', b'a', b'g']);
    let mut body = vec![2 << 1, 0, 0];
    body[1] = ((3 + fields.len()) as u8) << 1;
    body.extend(&fields);
    let event = GtidEvent::parse_tagged(&body).unwrap();
    assert_eq!(event.gtid.unwrap().to_string(), "01020304-0506-0708-090a-0b0c0d0e0f10:tag:7");
}

#[test]
fn the_kinds_of_events_that_servers_write() {
    let kinds = |name: &str| {
        let mut replay = Replay::default();
        replay.run(&Fixture::of(name).events()).unwrap();
        replay.kinds
    };
    for (name, expected) in [
        ("mysql_types", &["Format", "PreviousGtids", "Gtid", "Query", "Annotation", "TableMap", "Rows", "Xid"][..]),
        (
            "maria_types",
            &["Format", "MariadbGtidList", "Nothing", "MariadbGtid", "Annotation", "TableMap", "Rows", "Xid"],
        ),
        ("mysql_compressed", &["Payload", "TableMap", "Rows", "Xid"]),
        ("mysql_statements", &["StatementContext", "XaPrepare"]),
        ("maria_compressed", &["Rows", "Query", "MariadbGtid"]),
    ] {
        let found = kinds(name);
        for kind in expected {
            assert!(found.iter().any(|found| found == kind), "{name} has no {kind}: {found:?}");
        }
    }
}
