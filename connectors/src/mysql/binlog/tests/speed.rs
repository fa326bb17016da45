//! How fast rows are decoded: `AQUEDUCT_BENCH_ROWS=1000000 cargo test … binlog::tests::speed -- --nocapture`.

use aqueduct_model::{BadRowPolicy, BadRows};
use rustix::time::{ClockId, clock_gettime};

use super::values::{insert, relation, table_map};
use crate::mysql::binlog::{RowBuilders, RowDecoder, RowsEvent, kind};
use crate::mysql::rows::ZeroDates;

const ROWS: usize = 20_000;
const ROWS_VARIABLE: &str = "AQUEDUCT_BENCH_ROWS";
/// About what `binlog_row_event_max_size` lets into one event.
const EVENT_ROWS: usize = 170;
const BATCH_ROWS: usize = 8_192;

/// INT, BIGINT, VARCHAR(40), DECIMAL(12,2), VARCHAR(20), DATETIME(6).
const TYPES: [u8; 6] = [3, 8, 15, 246, 15, 18];
const METADATA: [u8; 7] = [40, 0, 12, 2, 20, 0, 6];

fn row(id: u32) -> Vec<u8> {
    let mut row = vec![0];
    row.extend(id.to_le_bytes());
    row.extend((u64::from(id) * 7).to_le_bytes());
    row.push(12);
    row.extend(b"product name");
    row.extend([0x80, 0, 0, 0x30, 0x39, 0x32]);
    row.push(7);
    row.extend(b"shipped");
    row.extend([0x99, 0xb2, 0xba, 0xa2, 0xcb, 0x01, 0xe2, 0x40]);
    row
}

#[test]
fn speed_of_decoding_rows() {
    let rows = std::env::var(ROWS_VARIABLE).ok().and_then(|n| n.parse().ok()).unwrap_or(ROWS);
    let table = relation(&[
        ("id", "int"),
        ("customer", "bigint"),
        ("product", "varchar(40)"),
        ("amount", "decimal(12,2)"),
        ("status", "varchar(20)"),
        ("created_at", "datetime(6)"),
    ]);
    let decoder = RowDecoder::new(&table, &table_map(&TYPES, &METADATA), ZeroDates::Null).unwrap();
    let body: Vec<u8> = (0..EVENT_ROWS).flat_map(|id| row(id as u32)).collect();
    let body = insert(6, &body);
    let mut builders = RowBuilders::new(table).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let before = clock_gettime(ClockId::ThreadCPUTime);
    let (mut decoded, mut kept) = (0, 0);
    while decoded < rows {
        let event = RowsEvent::parse(kind::WRITE_ROWS, &body).unwrap();
        decoded += decoder.decode(&event, &mut builders, &"binlog.000001:4").unwrap();
        if builders.rows() >= BATCH_ROWS {
            kept += builders.finish(&mut bad).unwrap().unwrap().num_rows();
        }
    }
    kept += builders.finish(&mut bad).unwrap().map_or(0, |batch| batch.num_rows());
    let after = clock_gettime(ClockId::ThreadCPUTime);
    assert_eq!(kept, decoded);
    let seconds = (after.tv_sec - before.tv_sec) as f64 + (after.tv_nsec - before.tv_nsec) as f64 / 1e9;
    println!("{decoded} rows of 6 columns in {seconds:.3} CPU-seconds: {:.0} changes/CPU-s", decoded as f64 / seconds);
}
