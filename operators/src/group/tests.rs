//! Totals against those of a person with a pencil, after every batch, through crashes.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::{Batch, Change, ErrorKind, InputPort, Operator, OperatorContext, SchemaChange, State};
use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

use super::ENTRY;
use crate::tests::{
    Event, Memory, batch, block_on, build, changelog, cut, fold, fold_events, inserts, refusal, relation, row, rows,
    run,
};

fn settings(whole_images: bool) -> Value {
    json!({
        "by": [{ "city": "coalesce(s, '?')" }],
        "totals": {
            "a": "count(*)", "b": "count(n)", "c": "sum(n)", "d": "min(n)", "e": "max(n)", "f": "count(distinct n)",
            "g": "avg(n)", "h": "count(*) filter (where n > 0)",
        },
        "whole_images": whole_images,
    })
}

/// The same, computed from the rows.
fn expected(rows: &[crate::tests::Row]) -> Vec<Vec<Option<String>>> {
    let mut groups: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
    for (_, n, s) in rows {
        groups.entry(s.clone().unwrap_or("?".into())).or_default().push(*n);
    }
    let text = |value: Option<i64>| value.map(|value| value.to_string());
    let row = |(city, all): (String, Vec<Option<i64>>)| {
        let values: Vec<i64> = all.iter().flatten().copied().collect();
        let sum = (!values.is_empty()).then(|| values.iter().sum::<i64>());
        vec![
            Some(city),
            Some(all.len().to_string()),
            Some(values.len().to_string()),
            text(sum),
            text(values.iter().min().copied()),
            text(values.iter().max().copied()),
            Some(values.iter().collect::<BTreeSet<_>>().len().to_string()),
            sum.map(|sum| format!("{:?}", sum as f64 / values.len() as f64)),
            Some(values.iter().filter(|n| **n > 0).count().to_string()),
        ]
    };
    groups.into_iter().map(row).collect()
}

fn opened(config: &Value, folder: Option<&std::path::Path>, state: Option<State>) -> Box<dyn Operator> {
    let mut operator = build(ENTRY, config).unwrap();
    let context =
        OperatorContext { task: "totals".into(), state_dir: folder.map(Into::into), ..OperatorContext::default() };
    block_on(operator.open(&context, state)).unwrap();
    operator
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn totals_are_exact_after_every_batch_and_every_crash(events in changelog(), size in 1usize..9, crash_every in 1usize..6, on_disk: bool) {
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let config = settings(false);
        let mut operator = opened(&config, folder, None);
        let mut out = Memory::default();
        let mut seen: Vec<Event> = Vec::new();
        let (mut state, mut committed) = (None, 0);
        for (n, batch) in cut(&events, size).into_iter().enumerate() {
            block_on(operator.process(InputPort(0), batch.clone(), &mut out)).unwrap();
            seen.extend_from_slice(&events[seen.len()..seen.len() + batch.num_rows()]);
            prop_assert_eq!(fold(&out.port(0)), expected(&fold_events(&seen)));
            if n % crash_every == 0 {
                // A checkpoint; then something that never comes to be.
                state = Some(block_on(operator.snapshot(aqueduct_model::Epoch(1))).unwrap());
                committed = out.batches.len();
                let _ = block_on(operator.process(InputPort(0), inserts(&[row(77, 1, "lost")]), &mut out));
                out.batches.truncate(committed);
                drop(operator);
                operator = opened(&config, folder, state.clone());
            }
        }
        let _ = (state, committed);
    }

    #[test]
    fn rows_that_only_come_need_no_memory_of_them(rows in rows(), size in 1usize..9) {
        // Keys may come twice here: without a memory every row counts.
        let events: Vec<Event> = rows.iter().map(|row| (aqueduct_model::Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &settings(true), &cut(&events, size)).unwrap();
        prop_assert_eq!(fold(&out.port(0)), expected(&rows));
    }
}

fn amounts(values: &[(i64, Option<i128>, f64)]) -> Batch {
    let decimal = DataType::Decimal128(10, 2);
    let columns = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("amount", decimal.clone(), true),
        Field::new("weight", DataType::Float64, false),
    ]);
    let relation =
        aqueduct_model::Relation::new(aqueduct_model::RelationName::table("t"), Arc::new(columns), &["id"], 1);
    let relation = Arc::new(relation.unwrap());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(values.iter().map(|value| value.0))),
        Arc::new(
            values.iter().map(|value| value.1).collect::<Decimal128Array>().with_precision_and_scale(10, 2).unwrap(),
        ),
        Arc::new(Float64Array::from_iter_values(values.iter().map(|value| value.2))),
    ];
    Batch::inserts(relation.clone(), RecordBatch::try_new(relation.columns().clone(), arrays).unwrap()).unwrap()
}

#[test]
fn decimals_keep_their_digits_and_floating_points_are_rounded_once() {
    let config = json!({
        "by": [{ "all": "true" }],
        "totals": { "sum": "sum(amount)", "mean": "avg(amount)", "weight": "sum(weight)" },
        "table": "everything",
    });
    let batch = amounts(&[(1, Some(1000), 1e100), (2, Some(-1), 1.0), (3, None, -1e100), (4, Some(2), 0.5)]);
    let out = run(ENTRY, &config, &[batch]).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(fold(&out.port(0)), [[text("true"), text("10.01"), text("3.336667"), text("1.5")]]);
    assert_eq!(out.batches[0].1.relation().name().table, "everything");
}

#[test]
fn what_cannot_be_a_total_is_refused_with_what_to_write() {
    let built = |config: Value| refusal(build(ENTRY, &config).map(drop));
    let totals = |text: &str| built(json!({ "by": ["s"], "totals": { "x": text } }));
    assert!(totals("sum(n").contains("cannot read"));
    assert!(totals("n + 1").contains("write for example `sum(amount)`"));
    assert!(totals("summ(n)").contains("did you mean `sum`?"));
    assert!(totals("sum(*)").contains("anything but one argument"));
    assert!(totals("sum(distinct n)").contains("`count(distinct …)` is"));
    assert!(totals("sum(n) over ()").contains("`over`"));
    assert!(built(json!({ "by": [], "totals": { "x": "count(*)" } })).contains("by: [region]"));
    assert!(built(json!({ "by": ["s"], "totals": {} })).contains("count(*)"));
    let typed = json!({ "by": ["s"], "totals": { "x": "sum(s)" } });
    assert!(refusal(run(ENTRY, &typed, &[inserts(&[row(1, 1, "a")])])).contains("cast(x as decimal(18,2))"));
    let unknown = json!({ "by": ["city"], "totals": { "x": "count(*)" } });
    assert!(refusal(run(ENTRY, &unknown, &[inserts(&[row(1, 1, "a")])])).contains("by.city"));
}

#[test]
fn rows_without_a_group_are_refused_and_changes_without_their_old_row_are_an_error() {
    let config = json!({ "by": ["s"], "totals": { "x": "count(*)" } });
    let nameless = (aqueduct_model::Op::Insert, (1, Some(1), None), false);
    let out = run(ENTRY, &config, &[batch(&relation(), &[nameless])]).unwrap();
    assert!(out.batches.is_empty());
    assert!(out.bad[0].reasons[0].contains("coalesce"), "{:?}", out.bad);
    let lone = (aqueduct_model::Op::UpdateAfter, row(1, 1, "a"), false);
    let error = run(ENTRY, &settings(true), &[batch(&relation(), &[lone])]).err().unwrap();
    assert!(error.kind() == ErrorKind::Data && error.hint().unwrap().contains("REPLICA IDENTITY FULL"), "{error:?}");
}

#[test]
fn a_table_that_is_emptied_leaves_no_group_and_other_columns_do_not_matter() {
    let mut operator = opened(&settings(false), None, None);
    let mut out = Memory::default();
    let mut change = |operator: &mut Box<dyn Operator>, change: Change| {
        block_on(operator.on_schema(InputPort(0), SchemaChange::new(relation(), change), &mut out))
    };
    change(&mut operator, Change::CreateTable).unwrap();
    change(&mut operator, Change::AddColumns(vec!["more".into()])).unwrap();
    let mut rows = Memory::default();
    block_on(operator.process(InputPort(0), inserts(&[row(1, 1, "a")]), &mut rows)).unwrap();
    change(&mut operator, Change::Truncate).unwrap();
    block_on(operator.process(InputPort(0), inserts(&[row(1, 5, "a")]), &mut rows)).unwrap();
    let kinds: Vec<&Change> = out.changes.iter().map(|(_, change)| &change.change).collect();
    assert_eq!(kinds, [&Change::CreateTable, &Change::Truncate]);
    assert_eq!(fold(&rows.port(0)[1..]), expected(&[row(1, 5, "a")]));
}
