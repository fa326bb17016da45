use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, ChangeSupport, Epoch, InputPort, Op, OperatorContext, Relation, RelationName, SchemaChange,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ENTRY;
use crate::tests::*;

/// Runs batches through an operator that is stopped and started anew, with its state, before each of `stops`.
fn restarted(config: &Value, batches: &[Batch], stops: &[usize]) -> Memory {
    let mut operator = build(ENTRY, config).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        for (i, batch) in batches.iter().enumerate() {
            if stops.contains(&i) {
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

fn inserted(rows: &[Row]) -> Vec<Event> {
    rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect()
}

fn ids(out: &Memory) -> Vec<i64> {
    out.port(0).iter().flat_map(|batch| numbers(batch, "id")).flatten().collect()
}

/// The numbers of the rows that a sample of `each` rows of each group takes, by a plain sort.
fn naive<'a>(rows: &'a [Row], each: usize, seed: u64, group: impl Fn(&'a Row) -> Option<&'a str>) -> Vec<i64> {
    let mut groups: BTreeMap<Option<&str>, Vec<(u64, usize)>> = BTreeMap::new();
    for (i, row) in rows.iter().enumerate() {
        let rank = xxh3_64_with_seed(&(i as u64).to_le_bytes(), seed);
        groups.entry(group(row)).or_default().push((rank, i));
    }
    let mut taken: Vec<usize> = Vec::new();
    for mut members in groups.into_values() {
        members.sort_unstable();
        taken.extend(members.iter().take(each).map(|(_, i)| *i));
    }
    taken.sort_unstable();
    taken.into_iter().map(|i| rows[i].0).collect()
}

proptest! {
    #[test]
    fn counted_rows_are_those_of_a_naive_count(rows in rows(), size in 1usize..20, n in 1u64..30, stop in 0usize..8) {
        let batches = cut(&inserted(&rows), size);
        let first = restarted(&json!({"take": {"first": n}}), &batches, &[stop]);
        prop_assert_eq!(ids(&first), rows.iter().take(n as usize).map(|row| row.0).collect::<Vec<_>>());
        let every = restarted(&json!({"take": {"every": n}}), &batches, &[stop]);
        prop_assert_eq!(ids(&every), rows.iter().step_by(n as usize).map(|row| row.0).collect::<Vec<_>>());
    }

    #[test]
    fn held_rows_are_those_of_a_naive_sort(rows in rows(), size in 1usize..20, n in 1usize..30, seed: u64, stop in 0usize..8) {
        let batches = cut(&inserted(&rows), size);
        let reservoir = restarted(&json!({"take": {"reservoir": {"rows": n}}, "seed": seed}), &batches, &[stop]);
        prop_assert_eq!(ids(&reservoir), naive(&rows, n, seed, |_| None));
        let config = json!({"take": {"stratified": {"by": ["s"], "rows": n}}, "seed": seed});
        let stratified = restarted(&config, &batches, &[stop, stop + 1]);
        prop_assert_eq!(ids(&stratified), naive(&rows, n, seed, |row| row.2.as_deref()));
    }

    #[test]
    fn folding_a_sample_by_key_is_sampling_the_table(events in changelog(), size in 1usize..20, seed in 0u64..50) {
        let config = json!({"take": {"bernoulli": {"percent": 50}}, "seed": seed});
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        let all: Vec<Row> = (0..6).map(|id| row(id, 0, "")).collect();
        let taken: BTreeSet<i64> = ids(&run(ENTRY, &config, &[inserts(&all)]).unwrap()).into_iter().collect();
        let expected = shown(fold_events(&events).into_iter().filter(|row| taken.contains(&row.0)));
        prop_assert_eq!(fold(&out.port(0)), expected);
    }
}

#[test]
fn a_reservoir_larger_than_what_is_sorted_at_once_is_the_same() {
    let rows: Vec<Row> = (0..50_000).map(|id| row(id, 0, if id % 3 == 0 { "a" } else { "b" })).collect();
    let batches = cut(&inserted(&rows), 700);
    let out = restarted(&json!({"take": {"reservoir": {"rows": 9000}}, "seed": 5}), &batches, &[20, 60]);
    assert_eq!(ids(&out), naive(&rows, 9000, 5, |_| None));
    assert_eq!(out.port(0).iter().map(Batch::num_rows).collect::<Vec<_>>(), [8192, 808]);
    let out = restarted(&json!({"take": {"stratified": {"by": ["s"], "rows": 100}}}), &batches, &[33]);
    assert_eq!(ids(&out), naive(&rows, 100, 0, |row| row.2.as_deref()));
}

#[test]
fn a_chance_is_what_it_says_and_the_seed_chooses() {
    let rows: Vec<Row> = (0..10_000).map(|id| row(id, 0, "")).collect();
    let taken = |percent: f64, seed: u64| {
        ids(&run(ENTRY, &json!({"take": {"bernoulli": {"percent": percent}}, "seed": seed}), &[inserts(&rows)])
            .unwrap())
    };
    let (some, others) = (taken(10.0, 1), taken(10.0, 2));
    assert!((850..1150).contains(&some.len()) && some != others, "{}", some.len());
    assert_eq!((taken(100.0, 1).len(), taken(1e-12, 1).len()), (10_000, 0));
    let more: BTreeSet<i64> = taken(20.0, 1).into_iter().collect();
    assert!(some.iter().all(|id| more.contains(id)), "a larger sample has the smaller one in it");
}

#[test]
fn a_table_without_a_key_is_sampled_by_all_its_columns() {
    let keyed = relation();
    let none: [&str; 0] = [];
    let bare = Arc::new(Relation::new(RelationName::table("t"), keyed.columns().clone(), &none, 1).unwrap());
    let events = [(Op::Insert, row(1, 5, "x"), false), (Op::UpdateAfter, row(2, 5, "x"), true)];
    let config = json!({"take": {"bernoulli": {"percent": 100}}});
    let out = run(ENTRY, &config, &[batch(&bare, &events)]).unwrap();
    assert_eq!((ids(&out), out.bad.len()), (vec![1], 1));
    assert!(out.bad[0].reasons[0].contains("did not send the value of n"), "{:?}", out.bad);
    let by = json!({"take": {"bernoulli": {"percent": 50, "by": ["n"]}}});
    assert!(run(ENTRY, &by, &[batch(&bare, &events[..1])]).is_ok());
    let got = refusal(run(ENTRY, &by, &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("setting take.bernoulli.by: n is not a key column of t"), "{got}");
}

#[test]
fn the_planner_is_told_what_cannot_be_right() {
    let properties = |take: Value| (ENTRY.check)(&json!({"take": take})).unwrap();
    let by_key = properties(json!({"bernoulli": {"percent": 1}}));
    assert_eq!((by_key.changes, by_key.needs_end, by_key.stateful), (ChangeSupport::Changes, false, false));
    let first = properties(json!({"first": 1}));
    assert_eq!((first.changes, first.needs_end, first.stateful), (ChangeSupport::AppendOnly, false, true));
    let reservoir = properties(json!({"reservoir": {"rows": 1}}));
    assert_eq!((reservoir.changes, reservoir.needs_end), (ChangeSupport::AppendOnly, true));
    // A source that was mistaken about itself.
    let events = [(Op::Delete, row(1, 5, "x"), false)];
    for take in [json!({"first": 1}), json!({"every": 1}), json!({"reservoir": {"rows": 1}})] {
        let got = refusal(run(ENTRY, &json!({"take": take}), &[batch(&relation(), &events)]));
        assert!(got.contains("takes inserts only") && got.contains("bernoulli"), "{got}");
    }
}

#[test]
fn mistakes_name_the_setting() {
    for (take, expected) in [
        (json!({"first": 0}), "a sample of 0 rows"),
        (json!({"every": 0}), "a sample of 0 rows"),
        (json!({"bernoulli": {"percent": 0}}), "setting take.bernoulli.percent"),
        (json!({"bernoulli": {"percent": 101}}), "setting take.bernoulli.percent"),
        (json!({"reservoir": {"rows": 0}}), "setting take.reservoir.rows"),
        (json!({"stratified": {"by": ["s"], "rows": 100_001}}), "setting take.stratified.rows"),
        (json!({"stratified": {"by": [], "rows": 1}}), "setting take.stratified.by"),
    ] {
        let got = refusal((ENTRY.check)(&json!({"take": take})));
        assert!(got.contains(expected), "{take}: {got}");
    }
    let config = json!({"take": {"stratified": {"by": ["x"], "rows": 1}}});
    assert!(refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])])).contains("t has no column x"));
    let groups: Vec<Row> = (0..100_001).map(|id| row(id, id, "")).collect();
    let config = json!({"take": {"stratified": {"by": ["n"], "rows": 1}}});
    let got = refusal(run(ENTRY, &config, &[inserts(&groups)]));
    assert!(got.contains("hold more than 100000 rows"), "{got}");
}

#[test]
fn ddl_passes_until_rows_are_held() {
    let change = |change: Change| SchemaChange::new(relation(), change);
    let config = json!({"take": {"reservoir": {"rows": 1}}});
    assert_eq!(run_change(ENTRY, &config, change(Change::AddColumns(vec!["s".into()]))).unwrap().changes.len(), 1);
    let mut operator = build(ENTRY, &config).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.process(InputPort(0), inserts(&[row(1, 1, "x")]), &mut out).await.unwrap();
        assert!(operator.on_schema(InputPort(0), change(Change::CreateTable), &mut out).await.is_ok());
        let got = refusal(operator.on_schema(InputPort(0), change(Change::Truncate), &mut out).await);
        assert!(got.contains("changed while rows of it are held"), "{got}");
    });
    let gone = json!({"take": {"bernoulli": {"percent": 1, "by": ["gone"]}}});
    assert!(run_change(ENTRY, &gone, change(Change::DropColumns(vec!["gone".into()]))).is_err());
    assert!(run_change(ENTRY, &gone, change(Change::DropTable)).is_ok());
}
