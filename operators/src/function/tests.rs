use aqueduct_model::{Change, Op, SchemaChange};
use proptest::prelude::*;
use serde_json::json;

use super::ENTRY;
use crate::tests::*;

#[test]
fn columns_build_on_each_other() {
    let config = json!({"columns": {"a": "n + 1", "b": "a * 2", "n": "b - a", "c": {"value": "n", "type": "varchar"}}});
    let out = run(ENTRY, &config, &[inserts(&[row(1, 4, "x")])]).unwrap();
    let batch = &out.port(0)[0];
    let names: Vec<_> = batch.relation().columns().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "n", "s", "a", "b", "c"]);
    let texts = |cells: &[&str]| cells.iter().map(|cell| Some((*cell).to_owned())).collect::<Vec<_>>();
    assert_eq!(out.rows()[0].1, texts(&["1", "5", "x", "5", "10", "5"]), "c sees the replaced n");
}

#[test]
fn a_row_that_cannot_be_computed_is_refused_with_its_column_or_null() {
    let rows = [row(1, 0, "x"), row(2, 5, "x")];
    let out = run(ENTRY, &json!({"columns": {"q": "10 / n", "r": "q + 1"}}), &[inserts(&rows)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "r"), [Some(3)]);
    assert_eq!(out.bad[0].reasons, ["column q: division by zero"]);
    let config = json!({"columns": {"q": "10 / n", "r": "coalesce(q, -1)"}, "on_error": "set_null"});
    let out = run(ENTRY, &config, &[inserts(&rows)]).unwrap();
    assert!(out.bad.is_empty());
    assert_eq!(numbers(&out.port(0)[0], "r"), [Some(-1), Some(2)]);
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_function(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let config = json!({"columns": {"n": "n * 2", "m": "n + id"}});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let got: Vec<_> = out.port(0).iter().flat_map(|batch| numbers(batch, "m")).collect();
        let expected: Vec<_> = rows.iter().map(|(id, n, _)| n.map(|n| n * 2 + id)).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn folding_the_output_is_computing_the_table(events in changelog(), size in 1usize..20) {
        let config = json!({"columns": {"n": "n * 2", "s": "concat(s, n)"}});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let computed = fold_events(&events).into_iter().map(|(id, n, s)| {
            let n = n.map(|n| n * 2);
            (id, n, Some(s.unwrap_or_default() + n.map(|n| n.to_string()).unwrap_or_default().as_str()))
        });
        prop_assert_eq!(fold(&out.port(0)), shown(computed));
    }
}

#[test]
fn mistakes_name_the_column_and_ddl_is_translated() {
    for (config, expected) in [
        (json!({"columns": {}}), "no column is computed"),
        (json!({"columns": {"a": "n +"}}), "setting columns.a:"),
        (json!({"columns": {"a": "n"}, "on_error": "skip"}), "unknown variant `skip`"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{got}");
    }
    let got = refusal(run(ENTRY, &json!({"columns": {"a": "b + 1", "b": "n"}}), &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("t has no column b"), "a later column is not seen: {got}");
    let got = refusal(run(ENTRY, &json!({"columns": {"id": "id + 1"}}), &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("the key of t (id) would be lost"), "{got}");
    let altered = SchemaChange::new(relation(), Change::AlterColumns(vec!["n".into()]));
    let out = run_change(ENTRY, &json!({"columns": {"a": "n + 1", "b": "a + 1"}}), altered).unwrap();
    assert_eq!(out.changes[0].1.change, Change::AlterColumns(vec!["n".into(), "a".into(), "b".into()]));
}
