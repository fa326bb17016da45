//! Orders within windows against those of a plain list.

use std::collections::BTreeMap;

use aqueduct_model::{Epoch, InputPort, Op, OperatorContext, Watermark};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sort::ENTRY;
use crate::tests::{Memory, Row, batch, block_on, build, inserts, ops_and_cells, refusal, relation, row, run};

type Cells = Vec<Option<String>>;
/// The numbers of each window, and of each group in it where there are groups.
type Numbers = BTreeMap<(i64, Option<Option<String>>), Vec<Option<i64>>>;

fn cells((id, n, s): &Row) -> Cells {
    vec![Some(id.to_string()), n.map(|n| n.to_string()), s.clone()]
}

fn out_cells(out: &Memory) -> Vec<Cells> {
    out.port(0).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect()
}

/// A window is ten ids long.
fn config(limit: Option<u64>, ties: bool, per: bool) -> Value {
    let mut config = json!({ "by": ["n desc"], "until": "to_timestamp_millis((id / 10 + 1) * 10)" });
    if let Some(limit) = limit {
        (config["limit"], config["ties"]) = (json!(limit), json!(ties));
    }
    if per {
        config["per"] = json!(["s"]);
    }
    config
}

/// What should come out: window by window and group by group, without the order of equal rows.
fn expected(rows: &[Row], limit: Option<u64>, ties: bool, per: bool) -> Vec<Vec<Option<i64>>> {
    let mut groups = Numbers::new();
    for (id, n, s) in rows {
        groups.entry((id / 10, per.then(|| s.clone()))).or_default().push(*n);
    }
    let first = |mut numbers: Vec<Option<i64>>| {
        // NULLs are the largest, and come first in a falling order.
        numbers.sort_by_key(|n| std::cmp::Reverse(n.unwrap_or(i64::MAX)));
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let last = numbers.get(limit.saturating_sub(1)).copied();
        let mut kept: Vec<_> = numbers.iter().take(limit).copied().collect();
        kept.extend(numbers.iter().skip(limit).filter(|n| ties && Some(**n) == last));
        kept
    };
    let mut all: Vec<_> = groups.into_iter().map(|((window, _), numbers)| (window, first(numbers))).collect();
    all.sort();
    all.into_iter().map(|(_, numbers)| numbers).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]
    #[test]
    fn windows_come_in_order_however_rows_are_cut_and_through_crashes(
        mut rows in prop::collection::vec((0i64..60, prop::option::of(-4i64..4), prop::option::of("[ab]{0,1}")), 0..120),
        size in 1usize..30, limit in prop::option::of(1u64..4), ties: bool, per: bool, on_disk: bool,
        crashes in prop::collection::vec(any::<bool>(), 120),
    ) {
        // Rows come in the order of their windows, and within one as they will.
        rows.sort_by_key(|(id, ..)| id / 10);
        let folder = tempfile::tempdir().unwrap();
        let context = OperatorContext { state_dir: on_disk.then(|| folder.path().into()), ..OperatorContext::default() };
        let mut out = Memory::default();
        let config = config(limit, ties, per);
        block_on(async {
            let mut operator = build(ENTRY, &config).unwrap();
            operator.open(&context, None).await.unwrap();
            for (number, part) in rows.chunks(size).enumerate() {
                let events: Vec<_> = part.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
                operator.process(InputPort(0), batch(&relation(), &events), &mut out).await.unwrap();
                if crashes[number] {
                    let state = operator.snapshot(Epoch(number as u64)).await.unwrap();
                    let mut lost = Memory::default();
                    operator.process(InputPort(0), batch(&relation(), &events), &mut lost).await.unwrap();
                    operator = build(ENTRY, &config).unwrap();
                    operator.open(&context, Some(state)).await.unwrap();
                }
                let passed = part.last().map_or(0, |(id, ..)| id / 10 * 10);
                operator.on_watermark(Watermark::EventTimeMs(passed), &mut out).await.unwrap();
            }
            operator.finish(&mut out).await.unwrap();
        });
        prop_assert!(out.bad.is_empty());
        let mut found = Numbers::new();
        let mut windows = Vec::new();
        for cells in out_cells(&out) {
            let window = cells[0].clone().unwrap().parse::<i64>().unwrap() / 10;
            windows.push(window);
            let number = cells[1].as_ref().map(|n| n.parse().unwrap());
            found.entry((window, per.then(|| cells[2].clone()))).or_default().push(number);
        }
        prop_assert!(windows.is_sorted(), "{windows:?}");
        let mut found: Vec<_> = found.into_iter().map(|((window, _), numbers)| (window, numbers)).collect();
        found.sort();
        let found: Vec<_> = found.into_iter().map(|(_, numbers)| numbers).collect();
        prop_assert_eq!(found, expected(&rows, limit, ties, per));
    }
}

#[test]
fn a_late_row_is_refused_or_leaves_by_its_port() {
    for (late, bad, by_port) in [("refuse", 1, 0), ("port", 0, 1)] {
        let mut config = config(None, false, false);
        config["late"] = json!(late);
        let mut operator = build(ENTRY, &config).unwrap();
        let mut out = Memory::default();
        block_on(async {
            operator.open(&OperatorContext::default(), None).await.unwrap();
            operator.process(InputPort(0), inserts(&[row(5, 1, "a"), row(15, 1, "a")]), &mut out).await.unwrap();
            operator.on_watermark(Watermark::EventTimeMs(10), &mut out).await.unwrap();
            operator.process(InputPort(0), inserts(&[row(6, 1, "a"), row(16, 1, "a")]), &mut out).await.unwrap();
            operator.finish(&mut out).await.unwrap();
        });
        assert_eq!((out.bad.len(), out.port(1).len()), (bad, by_port));
        let ids: Vec<_> = out_cells(&out).into_iter().map(|cells| cells[0].clone().unwrap()).collect();
        assert_eq!(ids, ["5", "15", "16"]);
    }
}

#[test]
fn groups_and_ties_of_a_bounded_input() {
    let rows = [row(1, 5, "a"), row(2, 5, "a"), row(3, 1, "a"), row(4, 2, "b"), row(5, 2, "b"), row(6, 9, "b")];
    let sorted = |config: Value| -> Vec<Cells> { out_cells(&run(ENTRY, &config, &[inserts(&rows)]).unwrap()) };
    let ids = |config| -> Vec<String> { sorted(config).into_iter().map(|cells| cells[0].clone().unwrap()).collect() };
    assert_eq!(ids(json!({ "by": ["n desc", "id"], "per": ["s"], "limit": 2 })), ["1", "2", "6", "4"]);
    assert_eq!(ids(json!({ "by": ["id desc"], "per": ["s"] })), ["3", "2", "1", "6", "5", "4"]);
    let mut tied = sorted(json!({ "by": ["n desc"], "limit": 2, "ties": true }));
    tied.sort();
    assert_eq!(tied, [cells(&rows[0]), cells(&rows[1]), cells(&rows[5])]);
    let checked = |config| refusal((ENTRY.check)(&config));
    assert!(checked(json!({ "by": ["id"], "ties": true })).contains("limit: 1"));
    assert!(checked(json!({ "by": ["id"], "late": "port" })).contains("until: window_end"));
    let wrong = refusal(run(ENTRY, &json!({ "by": ["id"], "per": ["x"], "limit": 1 }), &[inserts(&rows)]));
    assert!(wrong.contains("setting per"), "{wrong}");
}
