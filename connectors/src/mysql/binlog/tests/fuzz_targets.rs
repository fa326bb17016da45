//! What [`super::fuzz`] feeds.

use std::sync::Arc;

use aqueduct_model::{BadRowPolicy, BadRows, Relation};
use arrow::datatypes::{DataType, Field};

use super::super::bytes::Bytes;
use super::super::cell::CellBuilder;
use super::super::charset::Charset;
use super::super::decimal;
use super::super::gtid_event::{GtidEvent, gtid_list, previous_gtids};
use super::super::jsonb;
use super::super::table_map::TableMap;
use super::super::temporal;
use super::fixtures::FIXTURES;
use super::replay::Replay;
use crate::mysql::binlog::{
    Checksum, Event, Flavor, HEADER_BYTES, MariadbGtidPos, MysqlGtidSet, RowBuilders, RowDecoder, RowsEvent, decode,
    kind, split_event,
};
use crate::mysql::ddl::{ApplySettings, Dialect, Statement, apply, parse};
use crate::mysql::rows::ZeroDates;

/// Something that reads bytes.
pub(super) trait Target {
    /// Good inputs.
    fn seeds(&mut self) -> Vec<Vec<u8>>;

    /// The next input comes from this seed.
    fn choose(&mut self, _seed: usize) {}

    /// Reads an input; what it says of it does not matter.
    fn run(&mut self, input: &[u8]);
}

/// All events of all fixtures, without their checksums, with the flavor of their server.
fn events() -> Vec<(Flavor, Vec<u8>)> {
    let mut all = Vec::new();
    for fixture in FIXTURES {
        let (mut flavor, mut checksum) = (Flavor::MySql, Checksum::None);
        for bytes in fixture.events() {
            let raw = split_event(bytes, checksum).unwrap();
            if let Event::Format(format) = decode(&raw, flavor).unwrap() {
                (flavor, checksum) = (format.flavor, format.checksum);
            }
            let mut event = bytes[..HEADER_BYTES].to_vec();
            event.extend_from_slice(raw.body);
            all.push((flavor, event));
        }
    }
    all
}

/// Whole events: every decoder, as far as an event alone leads.
#[derive(Default)]
pub(super) struct Events;

impl Target for Events {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        // Events of many kilobytes would be all that is tried.
        events().into_iter().map(|(_, event)| event).filter(|event| event.len() < 4_096).collect()
    }

    fn run(&mut self, input: &[u8]) {
        let mut event = input.to_vec();
        if let Some(size) = event.get_mut(9..13) {
            size.copy_from_slice(&(input.len() as u32).to_le_bytes());
        }
        let Ok(raw) = split_event(&event, Checksum::None) else { return };
        match decode(&raw, Flavor::MySql) {
            Ok(Event::TableMap(body)) => drop(TableMap::parse(body)),
            Ok(Event::Query(query)) => drop(query.sql().len()),
            Ok(Event::Payload(payload)) => {
                let Ok(mut events) = payload.events() else { return };
                while let Ok(Some(raw)) = events.next_event() {
                    let _ = decode(&raw, Flavor::MySql);
                }
            }
            _ => {}
        }
    }
}

/// A table's layout and an event with rows of it.
struct Rows {
    decoder: RowDecoder,
    relation: Arc<Relation>,
    event_type: u8,
    body: Vec<u8>,
}

/// Rows: every type of column, every row image.
#[derive(Default)]
pub(super) struct RowImages {
    all: Vec<Rows>,
    chosen: usize,
}

impl RowImages {
    fn collect(&mut self) {
        for fixture in FIXTURES.iter().filter(|fixture| !fixture.name.contains("partial")) {
            let mut replay = Replay::default();
            let (mut flavor, mut checksum, mut map) = (Flavor::MySql, Checksum::None, Vec::new());
            for bytes in fixture.events() {
                let raw = split_event(bytes, checksum).unwrap();
                match decode(&raw, flavor).unwrap() {
                    Event::Format(format) => (flavor, checksum) = (format.flavor, format.checksum),
                    Event::TableMap(body) => map = body.to_vec(),
                    Event::Rows(rows) if raw.body.len() < 4_096 => {
                        let table = TableMap::parse(&map).unwrap();
                        assert_eq!(table.table_id, rows.table_id);
                        let known = replay.relations.values().find(|relation| relation.name().table == table.table);
                        if let Some(relation) = known.cloned() {
                            let decoder = RowDecoder::new(&relation, &map, ZeroDates::Null).unwrap();
                            let (event_type, body) = (raw.header.event_type, raw.body.to_vec());
                            self.all.push(Rows { decoder, relation, event_type, body });
                        }
                    }
                    _ => {}
                }
                replay.event(&raw).unwrap();
            }
        }
    }
}

impl Target for RowImages {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        self.collect();
        self.all.iter().map(|rows| rows.body.clone()).collect()
    }

    fn choose(&mut self, seed: usize) {
        self.chosen = seed;
    }

    fn run(&mut self, input: &[u8]) {
        let Rows { decoder, relation, event_type, .. } = &self.all[self.chosen];
        let Ok(rows) = RowsEvent::parse(*event_type, input) else { return };
        let mut builders = RowBuilders::new(relation.clone()).unwrap();
        if decoder.decode(&rows, &mut builders, &"x:4").is_ok() {
            let _ = builders.finish(&mut BadRows::new(BadRowPolicy::Drop, usize::MAX)).unwrap();
        }
    }
}

/// Documents of MySQL's binary JSON.
pub(super) struct JsonDocuments;

impl Target for JsonDocuments {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        let mut documents = Vec::new();
        for (_, event) in events() {
            // Documents start with their type and the count of members; found by trying.
            for at in HEADER_BYTES..event.len().min(2_000) {
                let mut text = String::new();
                if event[at] < 0x10 && jsonb::print(&event[at..], &mut text).is_ok() && text.len() > 20 {
                    documents.push(event[at..].to_vec());
                }
            }
        }
        documents.truncate(2_000);
        documents
    }

    fn run(&mut self, input: &[u8]) {
        let _ = jsonb::print(input, &mut String::new());
    }
}

/// Decimals and times of every size.
pub(super) struct Values;

impl Target for Values {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        (0..=255u8).map(|i| (0..40u8).map(|j| i.wrapping_mul(j)).collect()).collect()
    }

    fn run(&mut self, input: &[u8]) {
        let precision = 1 + input.first().copied().unwrap_or(0) % 65;
        let scale = input.get(1).copied().unwrap_or(0) % (precision + 1).min(31);
        let packed = &input[..decimal::packed_bytes(precision, scale).min(input.len())];
        let _ = decimal::decimal128(packed, precision.min(38), scale.min(38));
        let _ = decimal::decimal256(packed, precision, scale);
        let _ = decimal::decimal_text(packed, precision, scale, &mut String::new());
        for digits in 0..=6 {
            let _ = temporal::time(&mut Bytes(input), digits);
            let _ = temporal::old_time(&mut Bytes(input));
            let moments = [temporal::datetime(&mut Bytes(input), digits), temporal::old_datetime(&mut Bytes(input))];
            for text in [None, Some(crate::mysql::rows::TextForm::Date)] {
                let form = temporal::DateForm { zero_dates: ZeroDates::Null, text };
                let data_type = if text.is_some() { DataType::Utf8 } else { DataType::Date32 };
                let mut builder = CellBuilder::new(&Field::new("d", data_type, true)).unwrap();
                let _ = temporal::append_date(&mut Bytes(input), form, &mut builder);
                for moment in moments.iter().flatten() {
                    let _ = temporal::append_moment(*moment, form, &mut builder);
                }
            }
        }
    }
}

/// Texts in every character set.
pub(super) struct Texts;

const CHARSETS: [&str; 41] = [
    "utf8mb4", "ascii", "binary", "latin1", "swe7", "armscii8", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
    "cp852", "cp866", "dec8", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin2", "latin5",
    "latin7", "macce", "macroman", "tis620", "big5", "gbk", "gb2312", "gb18030", "sjis", "cp932", "ujis", "eucjpms",
    "euckr", "utf16", "utf16le", "ucs2", "utf32", "utf8mb3",
];

impl Target for Texts {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        ["日本語中文한국어", "é€ÿŁódź", "ascii ~\\"].iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn run(&mut self, input: &[u8]) {
        for name in CHARSETS {
            let mut text = String::new();
            let _ = Charset::named(name).unwrap().decode(input, &mut text);
        }
    }
}

/// GTIDs in events and as text.
pub(super) struct Gtids;

impl Target for Gtids {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        let kinds = [kind::GTID, kind::PREVIOUS_GTIDS, kind::MARIADB_GTID_LIST, kind::MARIADB_GTID];
        let mut seeds: Vec<Vec<u8>> = events()
            .into_iter()
            .filter(|(_, event)| kinds.contains(&event[4]))
            .map(|(_, event)| event[HEADER_BYTES..].to_vec())
            .collect();
        for text in [
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:11-18,4e11fa47-71ca-11e1-9e33-c80aa9429562:tag:1-3:other:9",
            "0-1-12,1-2-5,4294967295-1-18446744073709551615",
        ] {
            seeds.push(text.as_bytes().to_vec());
        }
        seeds
    }

    fn run(&mut self, input: &[u8]) {
        let _ = GtidEvent::parse(input, false);
        let _ = GtidEvent::parse_tagged(input);
        let _ = previous_gtids(input);
        let _ = gtid_list(input);
        let text = String::from_utf8_lossy(input);
        if let Ok(set) = text.parse::<MysqlGtidSet>() {
            assert_eq!(set.to_string().parse::<MysqlGtidSet>().unwrap(), set);
        }
        if let Ok(position) = text.parse::<MariadbGtidPos>() {
            assert_eq!(position.to_string().parse::<MariadbGtidPos>().unwrap(), position);
        }
    }
}

/// Statements, applied to the tables of the recorded DDL.
#[derive(Default)]
pub(super) struct Statements {
    replay: Replay,
}

impl Target for Statements {
    fn seeds(&mut self) -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for fixture in FIXTURES.iter().filter(|fixture| fixture.name.contains("ddl")) {
            self.replay.run(&fixture.events()).unwrap();
        }
        for (flavor, event) in events() {
            let size = event.len() as u32;
            let mut event = event;
            event[9..13].copy_from_slice(&size.to_le_bytes());
            let raw = split_event(&event, Checksum::None).unwrap();
            if let (kind::QUERY, Ok(Event::Query(query))) = (raw.header.event_type, decode(&raw, flavor)) {
                seeds.push(query.text.to_vec());
            }
        }
        seeds
    }

    fn run(&mut self, input: &[u8]) {
        let sql = String::from_utf8_lossy(input);
        for version in ["8.0.31", "10.11.19-MariaDB"] {
            let dialect = Dialect::of_server(version);
            if let Statement::Tables(ddl) = parse(&sql, "t", dialect) {
                let settings = ApplySettings { dialect, zero_dates: ZeroDates::Null, statement: &sql };
                let _ = apply(&ddl, &self.replay, &settings);
            }
        }
    }
}
