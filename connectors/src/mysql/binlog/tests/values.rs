//! Row images and values that are bad.

use std::sync::Arc;

use aqueduct_model::{BadRowPolicy, BadRows, ErrorKind, Op, Relation, RelationName};
use arrow::datatypes::Schema;

use super::fixtures::Fixture;
use super::replay::Replay;
use crate::mysql::binlog::{
    Checksum, Event, EventHeader, Flavor, RawEvent, RowBuilders, RowDecoder, decode, split_event,
};
use crate::mysql::column_type::ColumnSpec;
use crate::mysql::rows::ZeroDates;

pub(super) fn relation(columns: &[(&str, &str)]) -> Arc<Relation> {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, of)| {
            let spec = ColumnSpec {
                name: (*name).to_owned(),
                source_type: (*of).to_owned(),
                nullable: *name != "id",
                ..ColumnSpec::default()
            };
            spec.field(ZeroDates::Null)
        })
        .collect();
    let name = RelationName { catalog: None, schema: Some("t".into()), table: "t".into() };
    Arc::new(Relation::new(name, Arc::new(Schema::new(fields)), &["id"], 1).unwrap())
}

/// A table map of columns with these types and this metadata.
pub(super) fn table_map(types: &[u8], metadata: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, b't', 0, 1, b't', 0, types.len() as u8];
    body.extend_from_slice(types);
    body.push(metadata.len() as u8);
    body.extend_from_slice(metadata);
    body.extend(vec![0xff; types.len().div_ceil(8)]);
    body
}

/// An insert of rows, version 2.
pub(super) fn insert(columns: u8, rows: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns];
    body.extend(vec![0xff; usize::from(columns).div_ceil(8)]);
    body.extend_from_slice(rows);
    body
}

#[test]
fn a_text_that_is_none_makes_its_row_bad_and_no_other() {
    let table = relation(&[("id", "int"), ("v", "varchar(5)")]);
    let decoder = RowDecoder::new(&table, &table_map(&[3, 15], &[20, 0]), ZeroDates::Null).unwrap();
    let body = insert(2, &[0, 1, 0, 0, 0, 1, b'a', 0, 2, 0, 0, 0, 1, 0xff, 0, 3, 0, 0, 0, 1, b'c']);
    let header = EventHeader { timestamp: 0, event_type: 30, server_id: 1, size: 0, next_position: 0, flags: 0 };
    let raw = RawEvent { header, body: &body };
    let Event::Rows(rows) = decode(&raw, Flavor::MySql).unwrap() else { panic!() };
    let mut builders = RowBuilders::new(table.clone()).unwrap();
    assert_eq!(decoder.decode(&rows, &mut builders, &"binlog.000001:99").unwrap(), 3);
    let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 10);
    let batch = builders.finish(&mut bad).unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.op(1)), (2, Op::Insert));
    let kept = bad.take();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].position.as_deref(), Some("binlog.000001:99"));
    assert_eq!(kept[0].row["id"], "2");
    assert!(kept[0].reasons[0].contains("column v"), "{:?}", kept[0].reasons);
    assert!(builders.finish(&mut bad).unwrap().is_none());
}

#[test]
fn a_relation_that_is_not_the_tables_is_refused() {
    let map = table_map(&[3, 15], &[20, 0]);
    for columns in [
        &[("id", "int")][..],
        &[("id", "bigint"), ("v", "varchar(5)")],
        &[("id", "int"), ("v", "int")],
        &[("id", "int"), ("v", "enum('a')")],
        &[("id", "int"), ("v", "date")],
    ] {
        let error = RowDecoder::new(&relation(columns), &map, ZeroDates::Null).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{columns:?}");
        assert!(error.hint().is_some());
    }
    // With names in the log, names count.
    let fixture = Fixture::of("mysql_types");
    let mut replay = Replay::default();
    let mut checksum = Checksum::None;
    for bytes in fixture.events() {
        let raw = split_event(bytes, checksum).unwrap();
        match decode(&raw, Flavor::MySql).unwrap() {
            Event::Format(format) => checksum = format.checksum,
            Event::TableMap(body) => {
                let other = relation(&[("id", "int"), ("other", "int")]);
                assert!(RowDecoder::new(&other, body, ZeroDates::Null).is_err());
                return;
            }
            _ => {}
        }
        replay.event(&raw).unwrap();
    }
}

#[test]
fn what_a_row_image_lacks_is_absent_and_not_null() {
    // What an INSERT leaves to its defaults is filled in from the table's definition. Key and changes come as a lone new row where the key stays; both
    // halves where it goes, or where the old row is whole because there is no key.
    let partial = "I I I A- A- A- B- A- A- I I I B A D D- I I A- A- D-";
    let whole = "I I I B A B A B A B A B A I I I B A D D I I B A B A D";
    for (name, expected) in [
        ("mysql_minimal", partial),
        ("maria_minimal", partial),
        ("mysql_noblob", partial),
        ("maria_noblob", partial),
        ("mysql_nochecksum", whole),
        ("maria_nochecksum", whole),
        ("mysql_compressed", whole),
        ("maria_compressed", whole),
    ] {
        let mut replay = Replay::default();
        replay.run(&Fixture::of(name).events()).unwrap();
        let ops = replay.ops.join(" ");
        assert_eq!(ops, expected, "{name}");
    }
}
