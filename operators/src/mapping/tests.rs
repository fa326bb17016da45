use aqueduct_model::{Change, Op, SchemaChange};
use arrow::datatypes::DataType;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

fn names(config: &Value) -> Vec<String> {
    let out = run(ENTRY, config, &[inserts(&[row(1, 2, "x")])]).unwrap();
    out.port(0)[0].relation().columns().fields().iter().map(|field| field.name().clone()).collect()
}

#[test]
fn steps_are_taken_in_order_and_the_rest_stays() {
    assert_eq!(names(&json!({"rename": {"n": "m"}})), ["id", "m", "s"]);
    assert_eq!(names(&json!({"rename": {"n": "s", "s": "n"}})), ["id", "s", "n"], "a swap");
    assert_eq!(names(&json!({"select": ["s", "id"]})), ["s", "id"]);
    assert_eq!(
        names(&json!({"rename": {"n": "m"}, "add": {"z": "m + 1", "y": "M + id"}, "drop": ["m"]})),
        ["id", "s", "z", "y"]
    );
    assert_eq!(names(&json!({"add": {"n": "n * 2"}})), ["id", "n", "s"], "a column is replaced in its place");
    assert_eq!(names(&json!({"constants": {"k": "it's", "v": 1, "o": null}})), ["id", "n", "s", "k", "v", "o"]);
    assert_eq!(
        names(&json!({"columns": {"b": "upper(s)", "a": {"value": "n", "type": "varchar"}, "key": "id"}})),
        ["b", "a", "key"]
    );
}

#[test]
fn the_key_and_the_table_get_their_new_names() {
    let out =
        run(ENTRY, &json!({"rename": {"id": "number"}, "table": "orders"}), &[inserts(&[row(1, 2, "x")])]).unwrap();
    let relation = out.port(0)[0].relation().clone();
    assert_eq!((relation.name().to_string().as_str(), relation.key_names()), ("orders", vec!["number"]));
}

#[test]
fn casts_convert_and_bad_rows_are_refused_alone() {
    let rows = [row(1, 2, "7"), row(2, 2, "top secret"), row(3, 2, "9")];
    let out = run(ENTRY, &json!({"cast": {"s": "bigint", "n": "decimal(12,2)"}}), &[inserts(&rows)]).unwrap();
    let batch = &out.port(0)[0];
    assert_eq!(numbers(batch, "s"), [Some(7), Some(9)]);
    assert_eq!(*batch.rows().column(1).data_type(), DataType::Decimal128(12, 2));
    assert_eq!(out.bad.len(), 1);
    assert!(
        out.bad[0].reasons[0].starts_with("column s: ") && !out.bad[0].reasons[0].contains("secret"),
        "{:?}",
        out.bad
    );
}

#[test]
fn whole_numbers_are_not_wrapped() {
    let rows = [row(1, i64::MAX, "x"), row(2, 1, "x")];
    let out = run(ENTRY, &json!({"add": {"m": "n + id"}}), &[inserts(&rows)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "m"), [Some(3)]);
    assert_eq!(out.bad[0].reasons, ["column m: a number is too large for its type"]);
}

#[test]
fn a_computed_value_is_absent_where_its_input_is() {
    let events = [
        (Op::UpdateAfter, row(1, 5, "x"), true),
        (Op::Delete, row(2, 5, "x"), true),
        (Op::Insert, row(3, 5, "x"), false),
    ];
    let config = json!({"add": {"m": "10 / n + id", "k": "id * 2"}});
    let out = run(ENTRY, &config, &[batch(&relation(), &events)]).unwrap();
    let batch = &out.port(0)[0];
    assert!(out.bad.is_empty(), "what was not sent cannot be bad");
    assert_eq!(batch.present(3).unwrap().iter().flatten().collect::<Vec<_>>(), [false, false, true]);
    assert!(batch.present(4).is_none() && batch.present(1).is_some());
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_mapping(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let config = json!({"rename": {"n": "m"}, "add": {"z": "m + id"}, "drop": ["s"], "constants": {"k": "x"}});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let mapped = rows.iter().map(|(id, n, _)| {
            let text = |number: Option<i64>| number.map(|number| number.to_string());
            (Op::Insert as u8, vec![text(Some(*id)), text(*n), text(n.map(|n| n + id)), Some("x".to_owned())])
        });
        let columns: Vec<_> = out.port(0)[0].relation().columns().fields().iter().map(|field| field.name().clone()).collect();
        prop_assert_eq!(columns, ["id", "m", "z", "k"]);
        prop_assert_eq!(out.rows(), mapped.collect::<Vec<_>>());
    }

    #[test]
    fn folding_the_output_is_mapping_the_table(events in changelog(), size in 1usize..20) {
        let config = json!({"columns": {"id": "id", "n": "n * 2", "s": "concat(s, '!')"}});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let mapped = fold_events(&events).into_iter().map(|(id, n, s)| (id, n.map(|n| n * 2), Some(s.unwrap_or_default() + "!")));
        prop_assert_eq!(fold(&out.port(0)), shown(mapped));
        prop_assert_eq!(out.rows().len(), events.len());
    }
}

#[test]
fn mistakes_name_the_setting() {
    for (config, expected) in [
        (json!({}), "changes nothing"),
        (json!({"columns": {"a": "n +"}}), "setting columns.a:"),
        (json!({"columns": {"a": "n"}, "drop": ["s"]}), "whole list"),
        (json!({"cast": {"n": "numberish("}}), "setting cast.n:"),
        (json!({"constants": {"n": [1]}}), "setting constants.n:"),
        (json!({"add": {"x": {"value": "n"}}}), "setting add"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    for (config, expected) in [
        (json!({"drop": ["id"]}), "the key of t (id) would be lost"),
        (json!({"add": {"id": "id + 1"}}), "would be lost"),
        (json!({"rename": {"nn": "m"}}), "t has no column nn"),
        (json!({"rename": {"n": "s"}}), "two output columns of t are named s"),
        (json!({"select": ["id", "x"]}), "setting select"),
        (json!({"drop": ["ss"]}), "setting drop"),
        (json!({"add": {"x": "n + s"}}), "setting add.x"),
        (json!({"add": {"x": "lower(nn)"}}), "t has no column nn"),
    ] {
        let got = refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
        assert!(got.contains(expected), "{config}: {got}");
    }
}

#[test]
fn ddl_is_told_as_far_as_it_is_visible() {
    let announced = |config: Value, change: Change| {
        let out = run_change(ENTRY, &config, SchemaChange::new(relation(), change)).unwrap();
        out.changes.into_iter().map(|(_, change)| change.change).collect::<Vec<_>>()
    };
    let added = || Change::AddColumns(vec!["s".into()]);
    assert_eq!(announced(json!({"rename": {"s": "text"}}), added()), [Change::AddColumns(vec!["text".into()])]);
    assert_eq!(announced(json!({"select": ["id"]}), added()), []);
    assert_eq!(announced(json!({"drop": ["s"]}), added()), []);
    assert_eq!(
        announced(json!({"drop": ["s"]}), Change::DropColumns(vec!["old".into()])),
        [Change::DropColumns(vec!["old".into()])]
    );
    assert_eq!(announced(json!({"columns": {"id": "id"}}), Change::DropColumns(vec!["old".into()])), []);
    let altered = Change::AlterColumns(vec!["n".into()]);
    assert_eq!(
        announced(json!({"columns": {"id": "id", "m": "n + 1"}}), altered),
        [Change::AlterColumns(vec!["m".into()])]
    );
    assert_eq!(announced(json!({"table": "x"}), Change::Truncate), [Change::Truncate]);
}

#[test]
fn an_origin_becomes_the_first_key_column() {
    let settings = json!({"origin": {"column": "shard", "part": "table"}, "table": "orders"});
    let out = run(ENTRY, &settings, &[inserts(&[row(1, 2, "x")])]).unwrap();
    let batch = &out.port(0)[0];
    assert_eq!(batch.relation().key_names(), ["shard", "id"]);
    let shard = batch.relation().columns().field_with_name("shard").unwrap();
    assert_eq!(shard.metadata()["aqueduct.origin"], "t");
    let values = batch.rows().column_by_name("shard").unwrap();
    assert_eq!(arrow::util::display::array_value_to_string(values, 0).unwrap(), "t");
    assert!(run(ENTRY, &json!({"origin": {"column": "s"}}), &[inserts(&[row(1, 2, "x")])]).is_err());
}
