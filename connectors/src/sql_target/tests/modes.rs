//! What each mode does with inserts, updates, deletes, and with rows of others.

use aqueduct_model::{Batch, ErrorKind};
use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use serde_json::json;

use super::{Bench, Kit, batch, orders, relation};

pub(crate) fn append_takes_inserts_only(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "append" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 1, "a")]));
    writer.flush();
    writer.write(batch(&orders(), &[(3, 1, "a")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("mode")));
    drop(writer);
    assert_eq!(bench.read("orders").1, ["1|a", "1|a"]);
}

pub(crate) fn upsert_keeps_in_step(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c")]));
    writer.flush();
    // A swap of two keys by way of a third, a chain, a delete, and an insert of what is there.
    let swap = [(1, 1, "a"), (2, 9, "a"), (1, 2, "b"), (2, 1, "b"), (1, 9, "a"), (2, 2, "a")];
    writer.write(batch(&orders(), &swap));
    writer.write(batch(&orders(), &[(3, 3, ""), (0, 4, "d"), (1, 4, "d"), (2, 5, "e"), (0, 5, "f")]));
    writer.flush();
    assert_eq!(writer.bad.count(), 0);
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|b", "2|a", "5|f"]);
}

pub(crate) fn absent_values_stay(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c")]));
    writer.flush();
    let without_item = |batch: Batch, present: Vec<bool>| batch.with_present(1, BooleanArray::from(present)).unwrap();
    // 1: touched, item not sent. 2: key changes to 8, item not sent. 3: item sent, then not sent. 7: not there.
    writer.write(without_item(batch(&orders(), &[(2, 1, ""), (1, 2, ""), (2, 8, "")]), vec![false; 3]));
    writer.write(without_item(batch(&orders(), &[(2, 3, "z"), (2, 3, ""), (2, 7, "")]), vec![true, false, false]));
    writer.flush();
    let bad = writer.bad.take();
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert!(bad[0].reasons[0].contains("does not have"), "{bad:?}");
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a", "3|z", "8|b"]);
}

pub(crate) fn a_null_key_is_a_bad_row(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let relation = orders();
    let ids = arrow::array::Int64Array::from(vec![Some(1), None]);
    let items = arrow::array::StringArray::from(vec!["a", "b"]);
    let rows = arrow::array::RecordBatch::try_new(
        relation.columns().clone(),
        vec![std::sync::Arc::new(ids), std::sync::Arc::new(items)],
    );
    writer.write(Batch::inserts(relation, rows.unwrap()).unwrap());
    writer.flush();
    assert_eq!(writer.bad.take()[0].reasons, ["key column id is NULL"]);
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a"]);
}

pub(crate) fn without_a_key_equal_rows_are_counted(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let log = relation("log", &[("id", DataType::Int64), ("item", DataType::Utf8)], &[]);
    writer.write(batch(&log, &[(0, 1, "a"), (0, 1, "a"), (0, 1, "a"), (0, 2, "b")]));
    writer.flush();
    writer.write(batch(&log, &[(3, 1, "a"), (1, 1, "a"), (2, 2, "b"), (0, 5, "x"), (3, 5, "x"), (3, 9, "not there")]));
    writer.flush();
    assert_eq!(bench.read_when_closed(writer, "log"), ["1|a", "2|b", "2|b"]);
}

impl Bench<'_> {
    fn read_when_closed(&self, writer: super::Writer, table: &str) -> Vec<String> {
        writer.close();
        self.read(table).1
    }
}

pub(crate) fn soft_delete_marks(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "soft_delete" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (0, 4, "d"), (3, 4, "")]));
    writer.flush();
    writer.write(batch(&orders(), &[(3, 1, ""), (3, 2, ""), (0, 2, "again"), (1, 3, "c"), (2, 6, "c")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["2|again", "6|c"], "deleted rows and marks are not read back");
    let marked = bench.sql("SELECT id, item FROM orders WHERE _cdc_deleted AND _cdc_synced_at IS NOT NULL ORDER BY id");
    assert_eq!(marked, ["1|a", "3|c", "4|d"]);
    let keyless = relation("log", &[("id", DataType::Int64), ("item", DataType::Utf8)], &[]);
    let (mut writer, _) = bench.start();
    writer.write(batch(&keyless, &[(0, 1, "a")]));
    assert_eq!(writer.try_flush().unwrap_err().kind(), ErrorKind::Config);
}

pub(crate) fn replace_empties_once(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "replace" }));
    bench.sql("CREATE TABLE orders (id BIGINT, item VARCHAR(50))");
    bench.sql("INSERT INTO orders VALUES (77, 'old')");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    drop(writer);
    assert_eq!(bench.sql("SELECT count(*) FROM orders"), ["1"], "not before the first epoch is committed");
    for row in [(0, 1, "a"), (0, 2, "b")] {
        let (mut writer, _) = bench.start();
        writer.write(batch(&orders(), &[row]));
        writer.flush();
        writer.close();
    }
    assert_eq!(bench.read("orders").1, ["1|a", "2|b"]);
}

pub(crate) fn mirror_refuses_rows_of_others(kit: &Kit) {
    let mut bench = Bench::new(kit, json!({ "mode": "mirror" }));
    bench.sql("CREATE TABLE orders (id BIGINT, item VARCHAR(50))");
    bench.sql("INSERT INTO orders VALUES (77, 'old')");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("replace_existing")));
    drop(writer);
    bench.config["replace_existing"] = json!(true);
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b")]));
    writer.flush();
    writer.write(batch(&orders(), &[(3, 1, "a")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["2|b"]);
}

pub(crate) fn constraints_of_an_existing_table_make_bad_rows(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    bench.sql("CREATE TABLE orders (id BIGINT PRIMARY KEY, item VARCHAR(50) NOT NULL UNIQUE CHECK (item <> 'bad'), note VARCHAR(50) DEFAULT 'kept')");
    bench.sql("INSERT INTO orders (id, item, note) VALUES (1, 'a', 'mine')");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 2, "b"), (0, 3, "bad"), (0, 4, "b"), (2, 1, "c"), (0, 5, "d"), (0, 6, "e")]));
    writer.flush();
    let reasons: Vec<String> = writer.bad.take().into_iter().flat_map(|row| row.reasons).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons.iter().all(|reason| !reason.contains("bad'") || reason.contains("CHECK")), "{reasons:?}");
    writer.write(batch(&orders(), &[(2, 5, "c"), (3, 6, "")]));
    writer.flush();
    assert_eq!(writer.bad.take().len(), 1, "taken by row 1, which is not of this epoch");
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|c", "2|b", "5|d"]);
    assert_eq!(bench.sql("SELECT note FROM orders ORDER BY id"), ["mine", "kept", "kept"], "columns of others stay");
}

pub(crate) fn columns_of_others_stay_without_an_index(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    bench.sql("CREATE TABLE orders (id BIGINT, item VARCHAR(50), note VARCHAR(50) DEFAULT 'new')");
    bench.sql("INSERT INTO orders VALUES (1, 'a', 'mine')");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(2, 1, "b"), (0, 2, "c")]));
    writer.flush();
    writer.close();
    assert_eq!(bench.sql("SELECT id, item, note FROM orders ORDER BY id"), ["1|b|mine", "2|c|new"]);
}

pub(crate) fn a_needed_column_that_is_not_written_is_named(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    bench.sql("CREATE TABLE orders (id BIGINT, item VARCHAR(50), owner VARCHAR(50) NOT NULL)");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("owner") && error.hint().is_some(), "{error:?}");
}

/// A value that was not sent comes from the row that the target has, or the row is bad: it is never NULL in silence.
pub(crate) fn absent_values_never_become_null(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c")]));
    writer.flush();
    let partial = |rows: &[(u8, i64, &str)], present: &[bool]| {
        batch(&orders(), rows).with_present(1, BooleanArray::from(present.to_vec())).unwrap()
    };
    // An insert of a row that is there; of none; of one that was deleted before in the epoch.
    writer.write(partial(&[(0, 1, ""), (0, 5, "")], &[false; 2]));
    writer.write(partial(&[(0, 6, "f"), (3, 6, ""), (0, 6, "")], &[true, false, false]));
    // 2 is changed, then moves twice and is touched, all in this epoch; its old key is taken by another row.
    writer.write(partial(&[(2, 2, "z"), (1, 2, ""), (2, 8, "")], &[true, false, false]));
    writer.write(partial(&[(0, 2, "new"), (1, 8, ""), (2, 9, ""), (2, 9, "")], &[true, false, false, false]));
    // 3 moves with what the target has, and an insert without values comes to its old key.
    writer.write(partial(&[(1, 3, ""), (2, 7, ""), (0, 3, "")], &[false; 3]));
    writer.flush();
    let bad = writer.bad.take();
    assert_eq!(bad.len(), 3, "{bad:?}");
    for row in &bad {
        for word in ["item", "orders", "REPLICA IDENTITY FULL", "binlog_row_image"] {
            assert!(row.reasons[0].contains(word), "{word} is not in {row:?}");
        }
    }
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a", "2|new", "7|c", "9|z"]);
    for (config, table, key) in
        [(json!({ "mode": "append" }), "added", &["id"][..]), (json!({ "mode": "upsert" }), "keyless", &[])]
    {
        let bench = Bench::new(kit, config);
        let (mut writer, _) = bench.start();
        let to = relation(table, &[("id", DataType::Int64), ("item", DataType::Utf8)], key);
        let rows = batch(&to, &[(0, 1, "a"), (0, 2, ""), (0, 3, "c")]);
        writer.write(rows.with_present(1, BooleanArray::from(vec![true, false, true])).unwrap());
        writer.flush();
        assert_eq!(writer.bad.take().len(), 1, "{table}");
        writer.close();
        assert_eq!(bench.read(table).1, ["1|a", "3|c"]);
    }
    let bench = Bench::new(kit, json!({ "mode": "soft_delete" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "of a row that is gone"), (3, 1, "")]));
    writer.flush();
    writer.write(partial(&[(0, 1, "")], &[false]));
    writer.flush();
    assert_eq!(writer.bad.take().len(), 1);
    writer.close();
    assert_eq!(bench.read("orders").1.len(), 0);
}
