mod others;

use std::sync::Arc;

use aqueduct_model::{Batch, Change, Op, Relation, RelationName, SchemaChange};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

fn config() -> Value {
    json!({"rules": [
        {"column": "n", "check": {"range": {"min": -5, "max": 10}}},
        {"name": "given", "column": "s", "check": "not_null"},
        {"check": {"expression": "n <> 0 or s <> 'a'"}},
    ]})
}

/// All reasons of a row.
fn reasons((_, n, s): &Row) -> Vec<&'static str> {
    let rules = [
        (n.is_some_and(|n| !(-5..=10).contains(&n)), "n is not between -5 and 10"),
        (s.is_none(), "given: s is NULL"),
        (*n == Some(0) && s.as_deref() == Some("a"), "`n <> 0 or s <> 'a'` does not hold"),
    ];
    rules.into_iter().filter(|(broken, _)| *broken).map(|(_, reason)| reason).collect()
}

fn good(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    shown(rows.iter().filter(|row| reasons(row).is_empty()).cloned())
}

fn bad(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    let rows: Vec<&Row> = rows.iter().filter(|row| !reasons(row).is_empty()).collect();
    let mut cells: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let mut cells = shown([row.clone()]).remove(0);
            cells.push(Some(reasons(row).join("; ")));
            cells
        })
        .collect();
    cells.sort_by_key(|cells| cells[0].clone());
    cells
}

proptest! {
    #[test]
    fn each_row_passes_or_is_rejected_with_all_its_reasons(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &config(), &cut(&events, size)).unwrap();
        let cells = |port: usize| {
            let mut cells: Vec<_> = out.port(port).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect();
            cells.sort_by_key(|cells| cells[0].clone());
            cells
        };
        prop_assert_eq!(cells(0), good(&rows));
        prop_assert_eq!(cells(1), bad(&rows));
    }

    #[test]
    fn folding_each_port_is_its_part_of_the_table(events in changelog(), size in 1usize..20) {
        let out = run(ENTRY, &config(), &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        let table = fold_events(&events);
        prop_assert_eq!(fold(&out.port(0)), good(&table));
        prop_assert_eq!(fold(&out.port(1)), bad(&table));
    }
}

#[test]
fn an_update_over_the_border_is_a_delete_and_an_insert() {
    let update = |from, to| [(Op::UpdateBefore, row(1, from, "x"), false), (Op::UpdateAfter, row(1, to, "x"), false)];
    let out = run(ENTRY, &config(), &[batch(&relation(), &update(1, 99))]).unwrap();
    assert_eq!((out.port(0)[0].op(0), out.port(1)[0].op(0)), (Op::Delete, Op::Insert));
    let out = run(ENTRY, &config(), &[batch(&relation(), &update(99, 1))]).unwrap();
    assert_eq!((out.port(0)[0].op(0), out.port(1)[0].op(0)), (Op::Insert, Op::Delete));
    let out = run(ENTRY, &config(), &[batch(&relation(), &update(99, 98))]).unwrap();
    assert!(out.port(0).is_empty() && out.port(1)[0].num_rows() == 2);
}

#[test]
fn a_row_with_an_absent_value_is_rejected_by_what_is_known_or_refused() {
    let by_id =
        json!({"rules": [{"column": "n", "check": "not_null"}, {"column": "id", "check": {"range": {"max": 1}}}]});
    let events = [
        (Op::UpdateAfter, row(1, 5, "x"), true),
        (Op::UpdateAfter, row(2, 5, "x"), true),
        (Op::Delete, row(1, 5, "x"), true),
        (Op::Delete, row(2, 5, "x"), true),
    ];
    let out = run(ENTRY, &by_id, &[batch(&relation(), &events)]).unwrap();
    assert_eq!((out.bad.len(), out.bad[0].row["id"].as_str()), (1, Some("1")));
    assert!(out.bad[0].reasons[0].contains("did not send the value of n"), "{:?}", out.bad);
    let ops =
        |port: usize| ops_and_cells(&out.port(port)[0]).into_iter().map(|(op, cells)| (op, cells[0].clone().unwrap()));
    assert_eq!(ops(0).collect::<Vec<_>>(), [(3, "2".to_owned()), (3, "1".to_owned())], "2 is deleted by its key");
    assert_eq!(ops(1).collect::<Vec<_>>(), [(2, "2".to_owned()), (3, "1".to_owned()), (3, "2".to_owned())]);
    let reasons = out.port(1)[0].present(3).unwrap().iter().flatten().collect::<Vec<_>>();
    assert_eq!(reasons, [true, false, true], "of what is not known nothing is said");
}

#[test]
fn a_rule_that_cannot_be_computed_is_broken() {
    let config = json!({"rules": [{"check": {"expression": "10 / n > 1"}}]});
    let out = run(ENTRY, &config, &[inserts(&[row(1, 0, "x"), row(2, 5, "x")])]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "id"), [Some(2)]);
    let cells = ops_and_cells(&out.port(1)[0]).remove(0).1;
    assert_eq!(cells[3].as_deref(), Some("`10 / n > 1` does not hold (division by zero)"));
}

fn people() -> Batch {
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 3_600_000_000, 10]));
    let received = Arc::new(TimestampMicrosecondArray::from(vec![3_600_000_001, 3_600_000_000, 0])) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("at", micros.clone()),
        ("Got \"it\"", received),
        ("day", cast(&micros, &DataType::Date32).unwrap()),
        ("text", Arc::new(StringArray::from(vec![Some("12"), Some("it's"), None]))),
        ("long", cast(&StringArray::from(vec!["中文", "a", ""]), &DataType::LargeUtf8).unwrap()),
    ];
    assert_eq!(*columns[1].1.data_type(), DataType::Timestamp(TimeUnit::Microsecond, None));
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let relation = Relation::new(RelationName::table("people"), rows.schema(), &["id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

#[test]
fn each_check_does_what_it_says() {
    for (column, check, passed) in [
        ("at", json!({"freshness": {"within": "1h", "against": "Got \"it\""}}), vec![2, 3]),
        ("day", json!({"range": {"max": "1969-12-31"}}), vec![]),
        ("day", json!({"range": {"min": "1970-01-01", "max": "1970-01-01"}}), vec![1, 2, 3]),
        ("id", json!({"range": {"min": 2}}), vec![2, 3]),
        ("id", json!({"range": {"max": 1.5}}), vec![1]),
        ("id", json!({"set": [1, 3]}), vec![1, 3]),
        ("text", json!({"set": ["it's"]}), vec![2, 3]),
        ("text", json!("not_null"), vec![1, 2]),
        ("text", json!({"regex": "^\\d+$"}), vec![1, 3]),
        ("text", json!({"regex": "t'"}), vec![2, 3]),
        ("text", json!({"type": "bigint"}), vec![1, 3]),
        ("long", json!({"length": {"min": 1, "max": 2}}), vec![1, 2]),
        ("long", json!({"length": {"max": 1}}), vec![2, 3]),
        ("id", json!({"length": {"min": 2}}), vec![]),
    ] {
        let out = run(ENTRY, &json!({"rules": [{"column": column, "check": check}]}), &[people()]).unwrap();
        let got: Vec<i64> = out.port(0).iter().flat_map(|batch| numbers(batch, "id")).flatten().collect();
        assert_eq!(got, passed, "{column} {check}");
        assert!(out.bad.is_empty());
    }
}

#[test]
fn mistakes_name_the_rule() {
    let rule = |rule: Value| json!({"rules": [{"column": "id", "check": "not_null"}, rule]});
    for (config, expected) in [
        (json!({"rules": []}), "there is no rule"),
        (rule(json!({"check": "not_null"})), "setting rules[1]: the rule does not say which column"),
        (rule(json!({"column": "n", "check": {"expression": "n > 1"}})), "remove `column`"),
        (
            rule(json!({"check": {"expression": "n > 1) or (n < 2"}})),
            "setting rules[1]: cannot read `n > 1) or (n < 2`",
        ),
        (rule(json!({"column": "n", "check": {"range": {}}})), "neither `min` nor `max`"),
        (rule(json!({"column": "n", "check": {"range": {"min": []}}})), "is not a text, a number"),
        (rule(json!({"column": "n", "check": {"length": {}}})), "neither `min` nor `max`"),
        (rule(json!({"column": "n", "check": {"set": []}})), "`set` is empty"),
        (rule(json!({"column": "n", "check": {"regex": "("}})), "not a regular expression"),
        (rule(json!({"column": "n", "check": {"type": "int) is null or (1"}})), "setting rules[1]:"),
        (rule(json!({"column": "n", "check": "uniq"})), "unknown variant `uniq`"),
        (rule(json!({"check": "unique"})), "setting rules[1]: the rule does not say which column"),
        (rule(json!({"column": "n", "columns": ["s"], "check": "unique"})), "both `column` and `columns`"),
        (rule(json!({"columns": ["n", "s"], "check": "not_null"})), "`columns` goes with `unique` and `reference`"),
        (
            rule(json!({"columns": ["n", "s"], "check": {"reference": {"input": "other", "in": ["id"]}}})),
            "2 columns are checked, and 1 are named in `in`",
        ),
        (rule(json!({"column": "n", "check": {"reference": {"input": " "}}})), "has no name"),
        (rule(json!({"column": "n", "check": {"row_count": {"min": 1}}})), "`row_count` checks the table"),
        (rule(json!({"check": {"row_count": {}}})), "neither `min` nor `max`"),
        (rule(json!({"check": {"row_count": {"min": 2, "max": 1}}})), "`min` is above `max`"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    let seen = |config: Value| refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
    assert!(seen(rule(json!({"column": "nn", "check": "not_null"}))).contains("t has no column nn"));
    let mut taken = config();
    taken["reasons_column"] = "s".into();
    assert!(seen(taken).contains("already has a column s"));
}

#[test]
fn ddl_goes_to_both_ports() {
    let change = |change| SchemaChange::new(relation(), change);
    let out = run_change(ENTRY, &config(), change(Change::Truncate)).unwrap();
    let columns: Vec<usize> = out.changes.iter().map(|(_, change)| change.relation.columns().fields().len()).collect();
    assert_eq!((out.changes[1].0.0, columns), (1, vec![3, 4]));
    let gone = json!({"rules": [{"column": "gone", "check": "not_null"}]});
    assert!(run_change(ENTRY, &gone, change(Change::DropColumns(vec!["gone".into()]))).is_err());
    assert!(run_change(ENTRY, &gone, change(Change::DropTable)).is_ok());
}
