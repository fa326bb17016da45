use std::sync::Arc;

use aqueduct_model::{Batch, Change, Op, Relation, RelationName, SchemaChange};
use arrow::array::{Int64Array, ListArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

fn config() -> Value {
    json!({"column": "s", "by": {"delimiter": "a"}, "position": "at"})
}

/// What each row becomes, by a plain loop.
fn naive(rows: &[Row], drop_empty: bool) -> Vec<Vec<Option<String>>> {
    let mut out = Vec::new();
    for (id, n, s) in rows {
        let parts: Vec<Option<String>> = match s {
            Some(s) => s.split('a').map(|part| Some(part.to_owned())).collect(),
            None if drop_empty => vec![],
            None => vec![None],
        };
        for (i, part) in parts.into_iter().enumerate() {
            out.push(vec![Some(id.to_string()), n.map(|n| n.to_string()), part, Some((i + 1).to_string())]);
        }
    }
    out
}

/// A changelog of which every old row is sent whole.
fn whole(events: &[Event]) -> Vec<Event> {
    let mut table = std::collections::BTreeMap::new();
    let mut whole = Vec::new();
    for (i, (op, row, _)) in events.iter().enumerate() {
        let alone = i == 0 || events[i - 1].0 != Op::UpdateBefore;
        if let (Op::UpdateAfter, true, Some(old)) = (op, alone, table.get(&row.0)) {
            whole.push((Op::UpdateBefore, Row::clone(old), false));
        }
        whole.push((*op, row.clone(), false));
        match op {
            Op::Delete => drop(table.remove(&row.0)),
            _ => drop(table.insert(row.0, row.clone())),
        }
    }
    whole
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_split(rows in rows(), size in 1usize..20, drop_empty: bool) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let mut config = config();
        config["empty"] = if drop_empty { "drop" } else { "keep" }.into();
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let got: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells).collect();
        prop_assert_eq!(got, naive(&rows, drop_empty));
    }

    #[test]
    fn folding_the_output_is_splitting_the_table(events in changelog(), size in 1usize..20, drop_empty: bool) {
        let mut config = config();
        config["empty"] = if drop_empty { "drop" } else { "keep" }.into();
        let out = run(ENTRY, &config, &cut(&whole(&events), size)).unwrap();
        prop_assert!(out.bad.is_empty());
        let mut expected = naive(&fold_events(&events), drop_empty);
        expected.sort_by_key(|cells| (cells[0].clone(), cells[3].clone()));
        prop_assert_eq!(fold(&out.port(0)), expected);
    }
}

#[test]
fn an_update_changes_deletes_and_inserts_parts() {
    let ops = |from: &str, to: &str| {
        let events = [(Op::UpdateBefore, row(1, 1, from), false), (Op::UpdateAfter, row(1, 1, to), false)];
        let out = run(ENTRY, &config(), &[batch(&relation(), &events)]).unwrap();
        out.rows().into_iter().map(|(op, cells)| (op, cells[2].clone().unwrap())).collect::<Vec<_>>()
    };
    let of = |ops: &[(u8, &str)]| ops.iter().map(|(op, part)| (*op, (*part).to_owned())).collect::<Vec<_>>();
    assert_eq!(ops("xay", "z"), of(&[(1, "x"), (2, "z"), (3, "y")]));
    assert_eq!(ops("x", "yaz"), of(&[(1, "x"), (2, "y"), (0, "z")]));
}

#[test]
fn what_cannot_be_taken_back_is_refused() {
    let events = [
        (Op::UpdateAfter, row(1, 1, "x"), false),
        (Op::Delete, row(2, 1, "x"), true),
        (Op::UpdateBefore, row(3, 1, "x"), true),
        (Op::UpdateAfter, row(3, 1, "y"), false),
        (Op::Delete, row(4, 1, "xax"), false),
    ];
    let out = run(ENTRY, &config(), &[batch(&relation(), &events)]).unwrap();
    assert_eq!(out.rows().iter().map(|(op, _)| *op).collect::<Vec<_>>(), [3, 3]);
    let refused: Vec<&str> = out.bad.iter().map(|bad| bad.row["id"].as_str().unwrap()).collect();
    assert_eq!(refused, ["1", "2", "3"]);
    assert!(out.bad[0].reasons[0].contains("the row as it was"), "{:?}", out.bad[0]);
    assert!(out.bad.iter().all(|bad| bad.reasons[0].contains("binlog_row_image=FULL")), "{:?}", out.bad);
}

#[test]
fn texts_are_cut_trimmed_and_skipped() {
    let parts = |config: Value, text: &str| {
        let out = run(ENTRY, &config, &[inserts(&[row(7, 1, text)])]).unwrap();
        let last =
            |cells: Vec<Option<String>>| (cells[cells.len() - 2].clone(), cells[cells.len() - 1].clone().unwrap());
        out.rows().into_iter().map(|(_, cells)| last(cells)).collect::<Vec<_>>()
    };
    let of = |parts: &[&str]| {
        parts.iter().enumerate().map(|(i, part)| (Some((*part).to_owned()), (i + 1).to_string())).collect::<Vec<_>>()
    };
    let base = json!({"column": "s", "by": {"regex": "[,;]"}});
    assert_eq!(parts(base.clone(), "a, ;b"), of(&["a", " ", "b"]));
    let mut tidy = base.clone();
    (tidy["trim"], tidy["skip_empty"]) = (true.into(), true.into());
    assert_eq!(parts(tidy.clone(), "a, ;b "), of(&["a", "b"]));
    assert_eq!(parts(tidy, ",;"), [(None, "1".to_owned())]);
    let mut beside = base;
    beside["into"] = "part".into();
    let out = run(ENTRY, &beside, &[inserts(&[row(7, 1, "a,b")])]).unwrap();
    assert_eq!(out.rows()[1].1[2].as_deref(), Some("a,b"), "the column stays");
    assert_eq!(out.port(0)[0].relation().key_names(), ["id", "position"]);
    let of_numbers = json!({"column": "n", "by": {"delimiter": "5"}, "into": "digits"});
    assert_eq!(parts(of_numbers, "").len(), 1, "numbers are cut by their text");
}

fn arrays() -> Batch {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![]), Some(vec![Some(4)])];
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    // A slice, whose first offset is not 0.
    let lists = lists.slice(0, 4);
    let ids = Int64Array::from(vec![1, 2, 3, 4]);
    let rows = RecordBatch::try_from_iter([("id", Arc::new(ids) as _), ("tags", Arc::new(lists) as _)]).unwrap();
    let relation = Relation::new(RelationName::table("t"), rows.schema(), &["id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

#[test]
fn arrays_give_their_elements() {
    let config = json!({"column": "tags", "by": "array"});
    let whole = arrays();
    let out = run(ENTRY, &config, &[whole.slice(0, 1), whole.slice(1, 3)]).unwrap();
    let got: Vec<_> = out.port(0).iter().flat_map(|batch| numbers(batch, "tags")).collect();
    assert_eq!(got, [Some(1), None, None, None, Some(4)]);
    let places: Vec<_> = out.port(0).iter().flat_map(|batch| numbers(batch, "position")).flatten().collect();
    assert_eq!(places, [1, 2, 1, 1, 1]);
    let large = DataType::LargeList(Arc::new(Field::new_list_field(DataType::Int64, true)));
    let columns = vec![whole.rows().column(0).clone(), cast(whole.rows().column(1), &large).unwrap()];
    let rows = RecordBatch::try_from_iter(["id", "tags"].into_iter().zip(columns)).unwrap();
    let relation = Relation::new(RelationName::table("t"), rows.schema(), &["id"], 1).unwrap();
    let out = run(ENTRY, &config, &[Batch::inserts(Arc::new(relation), rows).unwrap()]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "tags").len(), 5);
}

#[test]
fn much_comes_out_in_pieces() {
    let text = "a".repeat(20_000);
    let events = [(Op::UpdateBefore, row(1, 1, &text), false), (Op::UpdateAfter, row(1, 1, &text), false)];
    let out = run(ENTRY, &config(), &[batch(&relation(), &events)]).unwrap();
    let sizes: Vec<usize> = out.port(0).iter().map(Batch::num_rows).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 40_002);
    assert!(sizes.iter().all(|size| *size <= 8_193), "{sizes:?}");
    let many = run(ENTRY, &config(), &[inserts(&[row(1, 1, &"a".repeat(100_000))])]).unwrap();
    assert_eq!(many.bad[0].reasons, ["s has more than 100000 parts"]);
}

#[test]
fn mistakes_name_the_setting_and_ddl_passes() {
    for (config, expected) in [
        (json!({"column": "s", "by": {"delimiter": ""}}), "setting by.delimiter"),
        (json!({"column": "s", "by": {"regex": "("}}), "setting by.regex"),
        (json!({"column": "s", "by": "array", "trim": true}), "about texts"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    for (config, expected) in [
        (json!({"column": "x", "by": {"delimiter": ","}}), "t has no column x"),
        (json!({"column": "id", "by": {"delimiter": ","}}), "the key of t would be lost"),
        (json!({"column": "s", "by": "array"}), "which is no array"),
        (json!({"column": "s", "by": {"delimiter": ","}, "into": "n"}), "setting into: t already has a column n"),
        (json!({"column": "s", "by": {"delimiter": ","}, "position": "n"}), "setting position"),
    ] {
        let got = refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
        assert!(got.contains(expected), "{config}: {got}");
    }
    let change = SchemaChange::new(relation(), Change::AlterColumns(vec!["s".into()]));
    let out = run_change(ENTRY, &json!({"column": "s", "by": {"delimiter": ","}, "into": "part"}), change).unwrap();
    assert_eq!(out.changes[0].1.change, Change::AlterColumns(vec!["s".into(), "part".into()]));
    assert_eq!(out.changes[0].1.relation.key_names(), ["id", "position"]);
}
