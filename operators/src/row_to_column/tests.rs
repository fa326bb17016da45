use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, Epoch, InputPort, Op, OperatorContext, Relation, RelationName, SchemaChange};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn config() -> Value {
    json!({"name_column": "name", "value_column": "v", "columns": NAMES})
}

/// `p(g bigint key, name varchar key, v bigint)`.
fn pivoted(key: &[&str]) -> Arc<Relation> {
    let columns = Schema::new(vec![
        Field::new("g", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("v", DataType::Int64, true),
    ]);
    Arc::new(Relation::new(RelationName::table("p"), Arc::new(columns), key, 1).unwrap())
}

/// Events of the shared table as events of this one: its key is group and name at once.
fn of(relation: &Arc<Relation>, events: &[Event]) -> Batch {
    let name = |id: i64| NAMES[(id % 3) as usize];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(events.iter().map(|(_, row, _)| row.0 / 3))),
        Arc::new(StringArray::from_iter_values(events.iter().map(|(_, row, _)| name(row.0)))),
        Arc::new(events.iter().map(|(_, row, bare)| row.1.filter(|_| !bare)).collect::<Int64Array>()),
    ];
    let rows = RecordBatch::try_new(relation.columns().clone(), columns).unwrap();
    let ops = UInt8Array::from_iter_values(events.iter().map(|(op, ..)| *op as u8));
    let present = BooleanArray::from(events.iter().map(|(.., bare)| !bare).collect::<Vec<_>>());
    Batch::changes(relation.clone(), rows, ops).unwrap().with_present(2, present).unwrap()
}

fn batches(events: &[Event], size: usize) -> Vec<Batch> {
    let mut from = 0;
    let mut batches = Vec::new();
    while from < events.len() {
        let mut to = (from + size).min(events.len());
        to += usize::from(events[to - 1].0 == Op::UpdateBefore);
        batches.push(of(&pivoted(&["g", "name"]), &events[from..to]));
        from = to;
    }
    batches
}

fn naive(rows: &[Row]) -> Vec<Vec<Option<String>>> {
    let mut groups: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
    for (id, n, _) in rows {
        let cells = groups.entry(id / 3).or_insert_with(|| vec![Some((id / 3).to_string()), None, None, None]);
        cells[(id % 3) as usize + 1] = n.map(|n| n.to_string());
    }
    groups.into_values().collect()
}

/// Runs batches through an operator that is started anew, with its state, before batch `stop`.
fn restarted(config: &Value, batches: &[Batch], stop: usize) -> Memory {
    let mut operator = build(ENTRY, config).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        for (i, batch) in batches.iter().enumerate() {
            if i == stop {
                let state = operator.snapshot(Epoch(1)).await.unwrap();
                operator = build(ENTRY, config).unwrap();
                operator.open(&OperatorContext::default(), Some(state)).await.unwrap();
            }
            operator.process(InputPort(0), batch.clone(), &mut out).await.unwrap();
        }
        operator.finish(&mut out).await.unwrap();
    });
    out
}

/// Folds a changelog of which every old image must be what is there, and every insert must be new.
fn fold_strictly(batches: &[Batch]) -> Vec<Vec<Option<String>>> {
    let mut table: BTreeMap<Option<String>, Vec<Option<String>>> = BTreeMap::new();
    for (op, cells) in batches.iter().flat_map(ops_and_cells) {
        match Op::from_u8(op).unwrap() {
            Op::Insert => assert!(table.insert(cells[0].clone(), cells).is_none(), "an insert of a row that is there"),
            Op::UpdateAfter => drop(table.insert(cells[0].clone(), cells)),
            Op::UpdateBefore | Op::Delete => assert_eq!(table.remove(&cells[0].clone()), Some(cells)),
        }
    }
    table.into_values().collect()
}

proptest! {
    #[test]
    fn folding_the_output_is_pivoting_the_table(events in changelog(), size in 1usize..20, stop in 0usize..10) {
        let out = restarted(&config(), &batches(&events, size), stop);
        prop_assert!(out.bad.is_empty());
        prop_assert_eq!(fold_strictly(&out.port(0)), naive(&fold_events(&events)));
    }

    #[test]
    fn the_end_gives_the_pivoted_table(events in changelog(), size in 1usize..20, stop in 0usize..10) {
        let mut config = config();
        config["emit"] = "at_end".into();
        let out = restarted(&config, &batches(&events, size), stop);
        let rows: Vec<(u8, Vec<Option<String>>)> = out.rows();
        prop_assert!(rows.iter().all(|(op, _)| *op == 0));
        prop_assert_eq!(rows.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), naive(&fold_events(&events)));
    }
}

#[test]
fn a_key_that_changes_moves_its_value() {
    let events = [
        (Op::Insert, row(0, 1, ""), false),
        (Op::UpdateBefore, row(0, 1, ""), false),
        (Op::UpdateAfter, row(1, 2, ""), false),
        (Op::UpdateBefore, row(1, 2, ""), true),
        (Op::UpdateAfter, row(5, 3, ""), false),
    ];
    let out = run(ENTRY, &config(), &[of(&pivoted(&["g", "name"]), &events)]).unwrap();
    let cells = |cells: [Option<&str>; 4]| cells.map(|cell| cell.map(str::to_owned)).to_vec();
    assert_eq!(fold_strictly(&out.port(0)), [cells([Some("1"), None, None, Some("3")])]);
}

#[test]
fn a_value_that_was_not_sent_stays() {
    let events = [(Op::Insert, row(0, 1, ""), false), (Op::UpdateAfter, row(0, 9, ""), true)];
    let out = run(ENTRY, &config(), &[of(&pivoted(&["g", "name"]), &events)]).unwrap();
    assert_eq!((out.rows().len(), out.bad.len()), (1, 0));
    let out = run(ENTRY, &config(), &[of(&pivoted(&["g", "name"]), &events[1..])]).unwrap();
    assert!(out.bad[0].reasons[0].contains("did not send the value"), "{:?}", out.bad);
}

#[test]
fn other_names_are_refused_or_left_out() {
    let events =
        [(Op::Insert, row(0, 1, ""), false), (Op::Insert, row(1, 2, ""), false), (Op::Delete, row(1, 2, ""), true)];
    let mut config = config();
    config["columns"] = json!(["a"]);
    let out = run(ENTRY, &config, &[of(&pivoted(&["g", "name"]), &events)]).unwrap();
    assert_eq!((out.rows().len(), out.bad.len()), (1, 1));
    assert_eq!(out.bad[0].reasons, ["the name is not among those that become columns"]);
    config["others"] = "drop".into();
    let out = run(ENTRY, &config, &[of(&pivoted(&["g", "name"]), &events)]).unwrap();
    assert_eq!((out.rows().len(), out.bad.len()), (1, 0));
}

#[test]
fn a_table_without_a_key_says_what_belongs_together() {
    let events =
        [(Op::Insert, row(0, 1, ""), false), (Op::Insert, row(2, 2, ""), false), (Op::Insert, row(0, 3, ""), false)];
    let mut by = config();
    by["by"] = json!(["g"]);
    let out = run(ENTRY, &by, &[of(&pivoted(&[]), &events)]).unwrap();
    assert_eq!(out.bad[0].reasons, ["there is a row of the same name already"]);
    assert_eq!(out.port(0)[0].relation().key_names(), ["g"]);
    let update = [
        (Op::Insert, row(0, 1, ""), false),
        (Op::UpdateBefore, row(0, 1, ""), false),
        (Op::UpdateAfter, row(0, 4, ""), false),
    ];
    let out = run(ENTRY, &by, &[of(&pivoted(&[]), &update)]).unwrap();
    assert_eq!((fold_strictly(&out.port(0))[0][1].as_deref(), out.bad.len()), (Some("4"), 0));
    let got = refusal(run(ENTRY, &config(), &[of(&pivoted(&[]), &events)]));
    assert!(got.contains("setting by: p has no key"), "{got}");
    let got = refusal(run(ENTRY, &by, &[of(&pivoted(&["g", "name"]), &events)]));
    assert!(got.contains("remove `by`"), "{got}");
}

#[test]
fn mistakes_name_the_setting_and_the_planner_is_told() {
    let with = |setting: &str, value: Value| {
        let mut config = config();
        config[setting] = value;
        config
    };
    for (config, expected) in [
        (with("columns", json!([])), "setting columns"),
        (with("columns", json!(["a", "a"])), "a is named twice"),
        (with("value_column", json!("name")), "are the same"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    let events = [(Op::Insert, row(0, 1, ""), false)];
    let seen = |config: Value, key: &[&str]| refusal(run(ENTRY, &config, &[of(&pivoted(key), &events)]));
    for (got, expected) in [
        (seen(with("name_column", json!("x")), &["g", "name"]), "p has no column x"),
        (seen(config(), &["g"]), "name is not part of the key of p (g)"),
        (seen(config(), &["name"]), "name is the whole key"),
        (seen(config(), &["v", "name"]), "at most once"),
        (seen(with("columns", json!(["a", "g"])), &["g", "name"]), "setting columns[1]: p already has a column g"),
    ] {
        assert!(got.contains(expected), "{got}");
    }
    let wide = refusal(run(
        ENTRY,
        &json!({"name_column": "s", "value_column": "n", "columns": ["x"]}),
        &[inserts(&[row(1, 1, "x")])],
    ));
    assert!(wide.contains("s is not part of the key"), "{wide}");
    let properties = |emit: &str| (ENTRY.check)(&with("emit", json!(emit))).unwrap();
    assert_eq!((properties("changes").emits_changes, properties("changes").needs_end), (true, false));
    assert_eq!((properties("at_end").emits_changes, properties("at_end").needs_end), (false, true));
}

#[test]
fn an_emptied_table_is_forgotten_and_another_shape_stops() {
    let relation = pivoted(&["g", "name"]);
    let mut operator = build(ENTRY, &config()).unwrap();
    let mut out = Memory::default();
    let first = of(&relation, &[(Op::Insert, row(0, 1, ""), false)]);
    block_on(async {
        operator.process(InputPort(0), first.clone(), &mut out).await.unwrap();
        let change = |change: Change| SchemaChange::new(relation.clone(), change);
        operator.on_schema(InputPort(0), change(Change::Truncate), &mut out).await.unwrap();
        operator.process(InputPort(0), first, &mut out).await.unwrap();
        assert_eq!(out.rows().iter().map(|(op, _)| *op).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(out.changes[0].1.relation.columns().fields().len(), 4);
        let text = Schema::new(vec![
            Field::new("g", DataType::Int64, false),
            Field::new("name", DataType::Utf8, false),
            Field::new("v", DataType::Utf8, true),
        ]);
        let text = Relation::new(RelationName::table("p"), Arc::new(text), &["g", "name"], 2).unwrap();
        let altered = SchemaChange::new(Arc::new(text), Change::AlterColumns(vec!["v".into()]));
        let got = refusal(operator.on_schema(InputPort(0), altered, &mut out).await);
        assert!(got.contains("changed its columns while rows of it are held"), "{got}");
    });
}
