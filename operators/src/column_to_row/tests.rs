use std::sync::Arc;

use aqueduct_model::{Batch, Change, Op, Relation, RelationName, SchemaChange};
use arrow::array::{BooleanArray, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

fn config(nulls: &str) -> Value {
    json!({"columns": ["s", "n"], "as_text": true, "nulls": nulls})
}

/// What each row becomes, by a plain loop; sorted by key.
fn naive(rows: &[Row], nulls: &str) -> Vec<Vec<Option<String>>> {
    let mut out = Vec::new();
    for (id, n, s) in rows {
        for (name, value) in [("n", n.map(|n| n.to_string())), ("s", s.clone())] {
            if nulls == "keep" || value.is_some() {
                out.push(vec![Some(id.to_string()), Some(name.to_owned()), value]);
            }
        }
    }
    out.sort();
    out
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_unpivot(rows in rows(), size in 1usize..20, drop_null: bool) {
        let nulls = if drop_null { "drop" } else { "keep" };
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &config(nulls), &cut(&events, size)).unwrap();
        let mut got: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells).collect();
        got.sort();
        prop_assert_eq!(got, naive(&rows, nulls));
    }

    #[test]
    fn folding_the_output_is_unpivoting_the_table(events in changelog(), size in 1usize..20, drop_null: bool) {
        let nulls = if drop_null { "drop" } else { "keep" };
        let out = run(ENTRY, &config(nulls), &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        let mut got = fold(&out.port(0));
        got.sort();
        prop_assert_eq!(got, naive(&fold_events(&events), nulls));
    }
}

#[test]
fn a_value_that_becomes_null_is_deleted_where_null_makes_no_row() {
    let events = [
        (Op::UpdateBefore, row(1, 5, "x"), false),
        (Op::UpdateAfter, (1, None, Some("y".into())), false),
        (Op::UpdateAfter, (2, None, Some("z".into())), false),
    ];
    let out = run(ENTRY, &config("drop"), &[batch(&relation(), &events)]).unwrap();
    let ops = |port: &Batch| (0..port.num_rows()).map(|i| port.op(i) as u8).collect::<Vec<_>>();
    assert_eq!(out.port(0).iter().map(ops).collect::<Vec<_>>(), [vec![1, 2, 2], vec![3, 3]]);
}

#[test]
fn an_absent_value_stays_absent_or_refuses_the_whole_row() {
    let whole = batch(&relation(), &[(Op::UpdateAfter, row(1, 5, "x"), false), (Op::Delete, row(2, 5, "x"), true)]);
    let partial = whole.with_present(1, BooleanArray::from(vec![false, false])).unwrap();
    let out = run(ENTRY, &config("keep"), std::slice::from_ref(&partial)).unwrap();
    let value = |batch: &Batch| batch.present(2).unwrap().iter().flatten().collect::<Vec<_>>();
    assert_eq!((value(&out.port(0)[0]), value(&out.port(0)[1])), (vec![true, false], vec![false, false]));
    let out = run(ENTRY, &config("drop"), &[partial]).unwrap();
    assert_eq!((out.bad.len(), out.rows().len()), (1, 2), "the delete takes both rows back");
    assert!(out.bad[0].reasons[0].contains("did not send the value of n"), "{:?}", out.bad);
}

#[test]
fn values_get_the_type_that_holds_them_all() {
    let price = Decimal128Array::from(vec![150]).with_precision_and_scale(5, 2).unwrap();
    let rows = RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![1])) as _),
        ("small", Arc::new(Int32Array::from(vec![7])) as _),
        ("price", Arc::new(price) as _),
        ("rest", Arc::new(StringArray::from(vec!["r"])) as _),
    ])
    .unwrap();
    let relation = Relation::new(RelationName::table("t"), rows.schema(), &["id"], 1).unwrap();
    let batch = Batch::inserts(Arc::new(relation), rows).unwrap();
    let config = json!({"columns": ["small", "price"]});
    let out = run(ENTRY, &config, std::slice::from_ref(&batch)).unwrap();
    let relation = out.port(0)[0].relation().clone();
    assert_eq!(*relation.columns().field(3).data_type(), DataType::Decimal128(12, 2));
    assert_eq!(relation.key_names(), ["id", "name"]);
    let cells: Vec<_> =
        out.rows().into_iter().map(|(_, cells)| cells.into_iter().flatten().collect::<Vec<_>>()).collect();
    assert_eq!(cells, [["1", "r", "small", "7.00"], ["1", "r", "price", "1.50"]]);
    let got = refusal(run(ENTRY, &json!({"columns": ["small", "rest"]}), &[batch]));
    assert!(got.contains("no type holds both small (Int32) and rest (Utf8)") && got.contains("as_text: true"), "{got}");
}

#[test]
fn mistakes_name_the_setting() {
    for (config, expected) in [
        (json!({"columns": []}), "no column becomes rows"),
        (json!({"columns": ["n", "n"]}), "setting columns[1]: n is named twice"),
        (json!({"columns": ["n"], "name_column": "x", "value_column": "x"}), "are the same"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    for (config, expected) in [
        (json!({"columns": ["x"]}), "t has no column x"),
        (json!({"columns": ["n", "id"]}), "setting columns[1]: the key of t would be lost"),
        (json!({"columns": ["n"], "name_column": "s"}), "setting name_column: t already has a column s"),
        (json!({"columns": ["n"], "value_column": "id"}), "setting value_column"),
    ] {
        let got = refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
        assert!(got.contains(expected), "{config}: {got}");
    }
}

#[test]
fn ddl_is_told_as_far_as_it_is_visible() {
    let announced = |change: Change| {
        let out = run_change(ENTRY, &json!({"columns": ["n"]}), SchemaChange::new(relation(), change)).unwrap();
        out.changes.into_iter().map(|(_, change)| change.change).collect::<Vec<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(announced(Change::AddColumns(names(&["s"]))), [Change::AddColumns(names(&["s"]))]);
    assert_eq!(announced(Change::AddColumns(names(&["n"]))), []);
    assert_eq!(announced(Change::AlterColumns(names(&["n", "s"]))), [Change::AlterColumns(names(&["s", "value"]))]);
    assert_eq!(announced(Change::Truncate), [Change::Truncate]);
    let gone = SchemaChange::new(relation(), Change::DropColumns(names(&["m"])));
    assert!(run_change(ENTRY, &json!({"columns": ["m"]}), gone).is_err());
}
