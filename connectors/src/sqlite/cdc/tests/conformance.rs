//! The suite that every source runs against itself.

use aqueduct_model::conformance::{SourceCase, check_source};
use aqueduct_model::{Position, Source};
use serde_json::json;

use super::{Settings, Shop, block_on};
use crate::sqlite::cdc::SqliteCapture;

#[test]
fn the_capture_keeps_the_promises_of_a_source() {
    let shop = Shop::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE k(a TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID",
    );
    shop.fill("INSERT INTO t SELECT value, 'v' || value", 700);
    shop.fill("INSERT INTO k SELECT 'k' || value, value", 300);
    let settings = Settings { chunk_rows: 50, ..shop.settings() };
    let build = move || Ok(Box::new(SqliteCapture::new(settings.clone())) as Box<dyn Source>);
    let mut case = SourceCase::new("CdcInput sqlite", build);
    let lost = json!({ "log": "another", "seq": 1, "cookie": 1, "tables": {} });
    case.lost_positions = vec![Position::single("", lost)];
    block_on(check_source(&case)).into_result().unwrap();
}
