//! Mode `scd2`.

use aqueduct_model::{Batch, ErrorKind};
use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use serde_json::json;

use super::{Bench, Kit, batch, orders, relation};

pub(crate) fn every_version_is_kept(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "scd2" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (0, 4, "d"), (2, 4, "e")]));
    writer.flush();
    // 1 is updated, 2 deleted, 3 moves to 5, 4 is written as it is.
    writer.write(batch(&orders(), &[(2, 1, "z"), (3, 2, ""), (1, 3, "c"), (2, 5, "c"), (0, 4, "e")]));
    writer.flush();
    assert_eq!(writer.bad.take(), []);
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|z", "4|e", "5|c"], "what is read back are the current versions");
    let closed = "SELECT id, item FROM orders WHERE NOT is_current AND valid_to >= valid_from ORDER BY id";
    assert_eq!(bench.sql(closed), ["1|a", "2|b", "3|c"]);
    let current = "SELECT id FROM orders WHERE is_current AND valid_to IS NULL AND valid_from IS NOT NULL ORDER BY id";
    assert_eq!(bench.sql(current), ["1", "4", "5"]);
    let joined = "SELECT count(*) FROM orders o JOIN orders n ON n.id = o.id AND n.valid_from = o.valid_to";
    assert_eq!(bench.sql(joined), ["1"], "a version begins when the one before it ends");
}

pub(crate) fn versions_of_partial_rows_and_of_returning_keys(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "scd2" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b")]));
    writer.flush();
    writer.write(batch(&orders(), &[(3, 1, "")]));
    writer.flush();
    let without_item = |batch: Batch, present: Vec<bool>| batch.with_present(1, BooleanArray::from(present)).unwrap();
    // 2 is touched without its item (nothing changes), then moves to 7 with what it had; 1 comes back; 9 is not there.
    writer.write(without_item(batch(&orders(), &[(2, 2, "")]), vec![false]));
    writer.write(without_item(batch(&orders(), &[(1, 2, ""), (2, 7, "")]), vec![false; 2]));
    writer.write(without_item(batch(&orders(), &[(0, 1, "back"), (2, 9, "")]), vec![true, false]));
    writer.flush();
    assert_eq!(writer.bad.take().len(), 1);
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|back", "7|b"]);
    assert_eq!(bench.sql("SELECT count(*) FROM orders WHERE id = 2"), ["1"]);
    assert_eq!(bench.sql("SELECT count(*) FROM orders WHERE id = 1"), ["2"]);
}

pub(crate) fn versions_need_a_key(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "scd2" }));
    let (mut writer, _) = bench.start();
    let keyless = relation("log", &[("id", DataType::Int64), ("item", DataType::Utf8)], &[]);
    writer.write(batch(&keyless, &[(0, 1, "a")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("mode")));
}
