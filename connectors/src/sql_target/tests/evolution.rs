//! DDL in band.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, ErrorKind, Relation, RelationName, SchemaChange, SinkInput};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use super::{Bench, Kit, batch, orders, relation};

/// Inserts given column by column.
fn inserts(relation: &Arc<Relation>, columns: Vec<ArrayRef>) -> Batch {
    Batch::inserts(relation.clone(), RecordBatch::try_new(relation.columns().clone(), columns).unwrap()).unwrap()
}

fn ints(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) fn every_change_is_followed_inside_the_epoch(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let added =
        relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    writer.ddl(SchemaChange::new(added.clone(), Change::AddColumns(vec!["n".into()])));
    writer.write(inserts(&added, vec![ints(&[2]), strings(&["b"]), ints(&[20])]));
    let renamed =
        relation("orders", &[("id", DataType::Int64), ("thing", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    let rename = Change::RenameColumn { from: "item".into(), to: "thing".into() };
    writer.ddl(SchemaChange::new(renamed.clone(), rename.clone()));
    writer.write(inserts(&renamed, vec![ints(&[3]), strings(&["c"]), ints(&[30])]));
    drop(writer);
    assert!(bench.read("orders").1.is_empty(), "nothing of an epoch that was not flushed");

    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.ddl(SchemaChange::new(added.clone(), Change::AddColumns(vec!["n".into()])));
    writer.ddl(SchemaChange::new(added.clone(), Change::AddColumns(vec!["n".into()])));
    writer.write(inserts(&added, vec![ints(&[2]), strings(&["b"]), ints(&[20])]));
    writer.ddl(SchemaChange::new(renamed.clone(), rename.clone()));
    writer.ddl(SchemaChange::new(renamed.clone(), rename));
    writer.write(inserts(&renamed, vec![ints(&[3]), strings(&["c"]), ints(&[30])]));
    writer.flush();
    let dropped = relation("orders", &[("id", DataType::Int64), ("thing", DataType::Utf8)], &["id"]);
    writer.ddl(SchemaChange::new(dropped.clone(), Change::DropColumns(vec!["n".into()])));
    writer.write(inserts(&dropped, vec![ints(&[4]), strings(&["d"])]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a", "2|b", "3|c", "4|d"]);
    assert_eq!(bench.columns("orders"), ["id", "thing"]);
}

/// Updates and deletes on both sides of every kind of change, in one epoch.
pub(crate) fn columns_change_behind_changed_rows(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b"), (0, 3, "c"), (0, 4, "d"), (0, 5, "e")]));
    writer.flush();
    writer.write(batch(&orders(), &[(2, 1, "changed"), (3, 2, ""), (0, 6, "f")]));
    let added =
        relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8), ("n", DataType::Int32)], &["id"]);
    writer.ddl(SchemaChange::new(added.clone(), Change::AddColumns(vec!["n".into()])));
    let narrow: ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![30, 60]));
    writer.write(inserts(&added, vec![ints(&[3, 6]), strings(&["c", "f"]), narrow]));
    let wide =
        relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    writer.ddl(SchemaChange::new(wide.clone(), Change::AlterColumns(vec!["n".into()])));
    writer.write(inserts(&wide, vec![ints(&[4, 1]), strings(&["d", "changed"]), ints(&[i64::MAX, 10])]));
    let dropped = relation("orders", &[("id", DataType::Int64), ("n", DataType::Int64)], &["id"]);
    writer.ddl(SchemaChange::new(dropped.clone(), Change::DropColumns(vec!["item".into()])));
    writer.write(inserts(&dropped, vec![ints(&[7, 6]), ints(&[70, 61])]));
    writer.flush();
    writer.close();
    let most = format!("4|{}", i64::MAX);
    assert_eq!(bench.read("orders").1, ["1|10", "3|30", most.as_str(), "5|NULL", "6|61", "7|70"]);
    assert_eq!(bench.columns("orders"), ["id", "n"]);
}

pub(crate) fn a_new_version_needs_no_announcement(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let added =
        relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    writer.write(inserts(&added, vec![ints(&[2]), strings(&["b"]), ints(&[20])]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a|NULL", "2|b|20"]);
}

pub(crate) fn types_widen_and_never_narrow(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let narrow = relation("t", &[("id", DataType::Int64), ("n", DataType::Int32)], &["id"]);
    writer.write(inserts(&narrow, vec![ints(&[1]), Arc::new(arrow::array::Int32Array::from(vec![7]))]));
    let wide = relation("t", &[("id", DataType::Int64), ("n", DataType::Int64)], &["id"]);
    writer.ddl(SchemaChange::new(wide.clone(), Change::AlterColumns(vec!["n".into()])));
    writer.write(inserts(&wide, vec![ints(&[2]), ints(&[i64::MAX])]));
    writer.flush();
    let text = relation("t", &[("id", DataType::Int64), ("n", DataType::Utf8)], &["id"]);
    writer.ddl(SchemaChange::new(text.clone(), Change::AlterColumns(vec!["n".into()])));
    writer.write(inserts(&text, vec![ints(&[3]), strings(&["007"])]));
    writer.flush();
    writer.write(inserts(&wide, vec![ints(&[4]), ints(&[4])]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.hint().is_some() && error.to_string().contains("column n of t"), "{error:?}");
    drop(writer);
    assert_eq!(bench.read("t").1, ["1|7", &format!("2|{}", i64::MAX), "3|007"]);
}

pub(crate) fn truncate_rename_and_drop_of_tables(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a"), (0, 2, "b")]));
    writer.flush();
    writer.write(batch(&orders(), &[(0, 3, "gone")]));
    writer.ddl(SchemaChange::new(orders(), Change::Truncate));
    writer.write(batch(&orders(), &[(0, 4, "kept")]));
    let to = relation("sales", &[("id", DataType::Int64), ("item", DataType::Utf8)], &["id"]);
    let from = RelationName::table("orders");
    writer.ddl(SchemaChange::new(to.clone(), Change::RenameTable { from }));
    writer.write(batch(&to, &[(0, 5, "after")]));
    writer.flush();
    writer.ddl(SchemaChange::new(to.clone(), Change::DropTable));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("sales").1, ["4|kept", "5|after"], "a dropped table stays in the target");
    assert_eq!(bench.read("orders").1.len(), 0);
}

pub(crate) fn a_truncate_of_one_of_several_takes_its_own_rows(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let (mut writer, _) = bench.start();
    let shard = |name: &str| {
        let metadata = [(aqueduct_model::ORIGIN.to_owned(), name.to_owned())].into();
        let columns = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("shard", DataType::Utf8, false).with_metadata(metadata),
        ]);
        Arc::new(Relation::new(RelationName::table("orders"), Arc::new(columns), &["shard", "id"], 1).unwrap())
    };
    let (one, two) = (shard("o'ne"), shard("two"));
    writer.write(inserts(&one, vec![ints(&[1, 2]), strings(&["o'ne", "o'ne"])]));
    writer.write(inserts(&two, vec![ints(&[1]), strings(&["two"])]));
    writer.flush();
    writer.ddl(SchemaChange::new(one.clone(), Change::Truncate));
    writer.write(inserts(&one, vec![ints(&[7]), strings(&["o'ne"])]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|two", "7|o'ne"]);
}

pub(crate) fn policies_ignore_and_fail(kit: &Kit) {
    let added =
        relation("orders", &[("id", DataType::Int64), ("item", DataType::Utf8), ("n", DataType::Int64)], &["id"]);
    let change = SchemaChange::new(added.clone(), Change::AddColumns(vec!["n".into()]));
    let mut bench = Bench::new(kit, json!({ "schema_change": "ignore" }));
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    writer.ddl(change.clone());
    writer.write(inserts(&added, vec![ints(&[2]), strings(&["b"]), ints(&[20])]));
    writer.flush();
    writer.close();
    assert_eq!(bench.read("orders").1, ["1|a", "2|b"]);
    bench.config["schema_change"] = json!("fail");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 3, "c")]));
    writer.try_write(SinkInput::Schema(change)).unwrap();
    let error = writer.try_flush().unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Schema, Some("schema_change")));
}

pub(crate) fn an_existing_column_of_another_type_is_named(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    bench.sql("CREATE TABLE orders (id BIGINT, item DOUBLE PRECISION)");
    let (mut writer, _) = bench.start();
    writer.write(batch(&orders(), &[(0, 1, "a")]));
    let error = writer.try_flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    let text = error.to_string().replace("item", "ITEM").to_uppercase().replace("ITEM", "item");
    assert!(
        text.contains("item") && text.contains("DOUBLE") && (text.contains("TEXT") || text.contains("VARCHAR")),
        "{text}"
    );
}
