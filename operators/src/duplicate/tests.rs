//! Duplicates against a plain list of what was seen, however the rows are cut, through crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, ErrorKind, InputPort, Op, OperatorContext, Relation, SchemaChange};
use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::{
    Memory, Row, batch, block_on, build, cut, inserts, ops_and_cells, refusal, relation, row, rows, run,
    run_with_crashes,
};

type Cells = Vec<Option<String>>;

/// Ids of the rows of a port.
fn ids(out: &Memory, port: usize) -> Vec<i64> {
    let rows = out.port(port).iter().flat_map(ops_and_cells).collect::<Vec<(u8, Cells)>>();
    rows.into_iter().map(|(_, cells)| cells[0].as_ref().unwrap().parse().unwrap()).collect()
}

/// The same rows with `n` as seconds.
fn timed(batch: &Batch) -> Batch {
    let second = DataType::Timestamp(TimeUnit::Second, None);
    let mut fields = batch.relation().columns().fields().to_vec();
    fields[1] = Arc::new(Field::new("n", second.clone(), true));
    let columns = Arc::new(Schema::new(fields));
    let relation = Relation::new(batch.relation().name().clone(), columns.clone(), &["id"], 1).unwrap();
    let mut cells = batch.rows().columns().to_vec();
    cells[1] = cast(&cells[1], &second).unwrap();
    Batch::inserts(Arc::new(relation), RecordBatch::try_new(columns, cells).unwrap()).unwrap()
}

fn batches(rows: &[Row], size: usize) -> Vec<(usize, Batch)> {
    let events: Vec<_> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
    cut(&events, size).iter().map(|batch| (0, timed(batch))).collect()
}

#[derive(Debug, Clone, Copy)]
enum Horizon {
    None,
    Rows(i64),
    Seconds(i64),
}

fn config(keep: &str, horizon: Horizon) -> Value {
    match horizon {
        Horizon::None => json!({ "by": ["s"], "keep": keep }),
        Horizon::Rows(rows) => json!({ "by": ["s"], "keep": keep, "rows": rows }),
        Horizon::Seconds(n) => json!({ "by": ["s"], "keep": keep, "within": format!("{n}s"), "time_column": "n" }),
    }
}

/// Ids of the rows that stay, and of the duplicates.
fn expected(rows: &[Row], keep: &str, horizon: Horizon) -> (Vec<i64>, Vec<i64>) {
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    let mut seen: BTreeMap<Option<String>, (i64, i64)> = BTreeMap::new();
    let (mut clock, length) = match horizon {
        Horizon::None => (0, i64::MAX),
        Horizon::Rows(length) => (-1, length),
        Horizon::Seconds(length) => (i64::MIN, length),
    };
    for (id, n, s) in rows {
        match (horizon, n) {
            (Horizon::None, _) => {}
            (Horizon::Rows(_), _) => clock += 1,
            (Horizon::Seconds(_), Some(n)) => clock = clock.max(*n),
            (Horizon::Seconds(_), None) => continue,
        }
        let before = seen.get(s).copied();
        let is_within = before.is_some_and(|(_, at)| clock - at < length);
        match (keep, before, is_within) {
            ("first", _, true) => go.push(*id),
            ("first", _, false) => {
                stay.push(*id);
                seen.insert(s.clone(), (*id, clock));
            }
            (_, before, is_within) => {
                if let Some((held, _)) = before {
                    if is_within { go.push(held) } else { stay.push(held) }
                }
                seen.insert(s.clone(), (*id, clock));
            }
        }
    }
    if keep == "last" {
        stay.extend(seen.values().map(|(id, _)| *id));
    }
    (stay, go)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn duplicates_are_those_of_a_plain_list(
        rows in rows(), size in 1usize..20, crashes in prop::collection::vec(0usize..8, 0..3), on_disk: bool,
        keep in prop::sample::select(vec!["first", "last"]),
        horizon in prop_oneof![
            Just(Horizon::None), (1i64..20).prop_map(Horizon::Rows), (1i64..10).prop_map(Horizon::Seconds)
        ],
    ) {
        let folder = tempfile::tempdir().unwrap();
        // Each row is told by its id.
        let rows: Vec<Row> = rows.into_iter().enumerate().map(|(id, (_, n, s))| (id as i64, n, s)).collect();
        let folder = on_disk.then(|| folder.path());
        let out = run_with_crashes(ENTRY, &config(keep, horizon), &batches(&rows, size), &crashes, folder).unwrap();
        let (mut stay, go) = expected(&rows, keep, horizon);
        let mut got = ids(&out, 0);
        if keep == "last" {
            stay.sort_unstable();
            got.sort_unstable();
        }
        prop_assert_eq!(got, stay);
        prop_assert_eq!(ids(&out, 1), go);
        if matches!(horizon, Horizon::Seconds(_)) {
            prop_assert_eq!(out.bad.len(), rows.iter().filter(|row| row.1.is_none()).count());
        }
    }
}

#[test]
fn what_is_behind_the_horizon_is_forgotten() {
    let mut operator = build(ENTRY, &json!({ "by": ["id"], "rows": 10 })).unwrap();
    let mut out = Memory::default();
    let state = block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        for from in 0..50 {
            let rows: Vec<Row> = (from * 100..(from + 1) * 100).map(|id| row(id, 1, "a")).collect();
            operator.process(InputPort(0), inserts(&rows), &mut out).await.unwrap();
        }
        operator.snapshot(aqueduct_model::Epoch(1)).await.unwrap()
    });
    assert_eq!(ids(&out, 0).len(), 5_000);
    assert!(state.0.len() < 2_000, "{}", state.0.len());
}

#[test]
fn held_rows_go_with_their_table_and_other_columns_stop() {
    let mut operator = build(ENTRY, &json!({ "by": ["s"], "keep": "last" })).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        operator.process(InputPort(0), inserts(&[row(1, 1, "a")]), &mut out).await.unwrap();
        let error = operator.process(InputPort(0), timed(&inserts(&[row(1, 1, "a")])), &mut out).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
        operator.on_schema(InputPort(0), SchemaChange::new(relation(), Change::Truncate), &mut out).await.unwrap();
        operator.process(InputPort(0), timed(&inserts(&[row(2, 1, "a")])), &mut out).await.unwrap();
        operator.finish(&mut out).await.unwrap();
    });
    assert_eq!(ids(&out, 0), [2]);
}

#[test]
fn wrong_horizons_are_refused() {
    let checked = |config: Value| refusal((ENTRY.check)(&config));
    assert!(checked(json!({ "by": [] })).contains("Unique"));
    assert!(checked(json!({ "by": ["s"], "within": "5m" })).contains("time_column: created_at"));
    assert!(checked(json!({ "by": ["s"], "within": "5m", "time_column": "n", "rows": 5 })).contains("remove `rows`"));
    let properties = |config: Value| (ENTRY.check)(&config).unwrap();
    assert!(properties(json!({ "by": ["s"], "keep": "last" })).needs_end);
    assert!(!properties(json!({ "by": ["s"], "keep": "last", "rows": 5 })).needs_end);
    let one = [inserts(&[row(1, 1, "a")])];
    let timeless = json!({ "by": ["s"], "within": "5m", "time_column": "n" });
    assert!(refusal(run(ENTRY, &timeless, &one)).contains("cast(… as timestamp)"));
    let lone = (Op::Delete, row(1, 1, "a"), false);
    assert_eq!(
        run(ENTRY, &json!({ "by": ["s"] }), &[batch(&relation(), &[lone])]).err().unwrap().kind(),
        ErrorKind::Data
    );
}
