//! Windows against those of a person with a pencil: however rows are cut, through crashes, with changes.

use std::collections::{BTreeMap, BTreeSet};

use aqueduct_model::{Change, Epoch, InputPort, Op, Operator, OperatorContext, SchemaChange, State, Watermark};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::{Event, Memory, Row, batch, block_on, build, cut, inserts, ops_and_cells, refusal, relation, row};

/// Half of the tests' windows, in milliseconds.
const SIZE: i64 = 10;
const SLIDE: i64 = 4;
const LATENESS: i64 = 3;

fn settings(kind: &str, changes: bool) -> Value {
    let mut settings = json!({
        "time": "to_timestamp_millis(id)",
        "by": [{ "city": "coalesce(s, '?')" }],
        "totals": {
            "a": "count(*)", "b": "sum(n)", "c": "min(n)", "d": "max(n)", "e": "count(distinct n)",
            "f": "sum(cast(n as double)) filter (where n > 0)",
        },
        "lateness": "3ms",
        "late": "port",
        "changes": changes,
    });
    let value = match kind {
        "tumble" => json!("10ms"),
        "hop" => json!({ "size": "10ms", "slide": "4ms" }),
        _ => json!("10ms"),
    };
    settings[kind] = value;
    settings
}

/// Windows of rows, by hand; those of sessions are made of all rows that are there.
fn windows(kind: &str, rows: &[Row]) -> BTreeSet<Vec<String>> {
    let mut windows: BTreeMap<(i64, i64, String), Vec<Option<i64>>> = BTreeMap::new();
    let city = |row: &Row| row.2.clone().unwrap_or("?".into());
    if kind == "session" {
        let mut sorted: Vec<&Row> = rows.iter().collect();
        sorted.sort_by_key(|row| (city(row), row.0));
        let mut open: Option<(i64, i64, String, Vec<Option<i64>>)> = None;
        for row in sorted {
            match &mut open {
                Some((_, end, of, values)) if *of == city(row) && row.0 < *end => {
                    *end = row.0 + SIZE;
                    values.push(row.1);
                }
                _ => {
                    windows.extend(open.take().map(|(start, end, of, values)| ((start, end, of), values)));
                    open = Some((row.0, row.0 + SIZE, city(row), vec![row.1]));
                }
            }
        }
        windows.extend(open.map(|(start, end, of, values)| ((start, end, of), values)));
    } else {
        for row in rows {
            for end in ends(kind, row.0) {
                windows.entry((end - SIZE, end, city(row))).or_default().push(row.1);
            }
        }
    }
    let text = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    windows
        .into_iter()
        .map(|((start, end, city), all)| {
            let values: Vec<i64> = all.iter().flatten().copied().collect();
            let above: Vec<i64> = values.iter().copied().filter(|n| *n > 0).collect();
            let sum = |values: &[i64]| (!values.is_empty()).then(|| values.iter().sum::<i64>());
            vec![
                start.to_string(),
                end.to_string(),
                city,
                all.len().to_string(),
                text(sum(&values)),
                text(values.iter().min().copied()),
                text(values.iter().max().copied()),
                values.iter().collect::<BTreeSet<_>>().len().to_string(),
                text(sum(&above)),
            ]
        })
        .collect()
}

fn ends(kind: &str, ms: i64) -> Vec<i64> {
    let slide = if kind == "hop" { SLIDE } else { SIZE };
    (ms + 1..=ms + SIZE).filter(|end| (end - SIZE).rem_euclid(slide) == 0).collect()
}

/// True for a row that comes too late, with the windows that end here or before closed.
fn is_late(kind: &str, ms: i64, closed: i64) -> bool {
    if kind == "session" { ms < closed } else { ends(kind, ms)[0] <= closed }
}

fn shown(out: &Memory) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in out.port(0) {
        for (n, (op, cells)) in ops_and_cells(&batch).into_iter().enumerate() {
            assert_eq!(op, 0);
            let number = |text: &str| text.strip_suffix(".0").map_or(text.to_owned(), str::to_owned);
            let cells = cells.into_iter().enumerate().map(|(i, cell)| match (i, cell) {
                (_, None) => "-".to_owned(),
                (0 | 1, Some(_)) => {
                    let edges = batch.rows().column(i).as_primitive::<TimestampMicrosecondType>();
                    (edges.value(n) / 1_000).to_string()
                }
                (_, Some(cell)) => number(&cell),
            });
            rows.push(cells.collect());
        }
    }
    rows
}

fn opened(config: &Value, folder: Option<&std::path::Path>, state: Option<State>) -> Box<dyn Operator> {
    let mut operator = build(ENTRY, config).unwrap();
    let context =
        OperatorContext { task: "windows".into(), state_dir: folder.map(Into::into), ..OperatorContext::default() };
    block_on(operator.open(&context, state)).unwrap();
    operator
}

/// Rows with rising times, some of them behind, and after some of them a watermark that is right or too high.
fn arrivals() -> impl Strategy<Value = Vec<(Row, Option<i64>)>> {
    let step =
        (0i64..9, -12i64..1, prop::option::of(-9i64..9), prop::option::of("[a-b]{0,1}"), prop::option::of(0i64..9));
    prop::collection::vec(step, 0..60).prop_map(|steps| {
        let mut now = 100;
        let mut arrivals = Vec::new();
        for (forward, behind, n, s, watermark) in steps {
            now += forward;
            arrivals.push(((now + behind, n, s), watermark.map(|less| now - less)));
        }
        arrivals
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn windows_are_those_of_the_rows_in_time(arrivals in arrivals(), kind in 0usize..3, size in 1usize..9, crash_every in 1usize..6, on_disk: bool) {
        let kind = ["tumble", "hop", "session"][kind];
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let config = settings(kind, false);
        let mut operator = opened(&config, folder, None);
        let mut out = Memory::default();
        let (mut in_time, mut late, mut closed) = (Vec::new(), 0, i64::MIN);
        let mut held: Vec<Row> = Vec::new();
        for (n, (row, watermark)) in arrivals.into_iter().enumerate() {
            if is_late(kind, row.0, closed) { late += 1 } else { in_time.push(row.clone()) }
            held.push(row);
            if held.len() >= size || watermark.is_some() {
                block_on(operator.process(InputPort(0), inserts(&held), &mut out)).unwrap();
                held.clear();
            }
            if let Some(ms) = watermark {
                let passed = block_on(operator.on_watermark(Watermark::EventTimeMs(ms), &mut out)).unwrap();
                if let Some(passed) = passed {
                    prop_assert_eq!(passed, Watermark::EventTimeMs(ms - LATENESS));
                }
                closed = closed.max(ms - LATENESS);
                let known = windows(kind, &in_time);
                let ended: BTreeSet<_> = known.into_iter().filter(|row| row[1].parse::<i64>().unwrap() <= closed).collect();
                let found = shown(&out);
                prop_assert_eq!(found.len(), ended.len(), "{:?}", &found);
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), ended);
            }
            if n % crash_every == 0 && held.is_empty() {
                let state = block_on(operator.snapshot(Epoch(1))).unwrap();
                let seen = out.batches.len();
                let _ = block_on(operator.process(InputPort(0), inserts(&[(500, Some(1), None)]), &mut out));
                let _ = block_on(operator.on_watermark(Watermark::EventTimeMs(900), &mut out));
                out.batches.truncate(seen);
                drop(operator);
                operator = opened(&config, folder, Some(state));
            }
        }
        block_on(operator.process(InputPort(0), inserts(&held), &mut out)).unwrap();
        block_on(operator.finish(&mut out)).unwrap();
        prop_assert_eq!(shown(&out).into_iter().collect::<BTreeSet<_>>(), windows(kind, &in_time));
        prop_assert_eq!(out.port(1).iter().map(|batch| batch.num_rows()).sum::<usize>(), late);
        prop_assert!(out.bad.is_empty());
    }

    #[test]
    fn changes_are_taken_back_while_their_window_is_open(steps in prop::collection::vec((0i64..40, 0u8..4, prop::option::of(-9i64..9), "[a-b]"), 0..60), kind in 0usize..3, size in 1usize..9) {
        let kind = ["tumble", "hop", "session"][kind];
        // Whole old rows; the key is the event time, and updates may move it.
        let mut table: BTreeMap<i64, Row> = BTreeMap::new();
        let mut events: Vec<Event> = Vec::new();
        for (id, op, n, s) in steps {
            let new: Row = (id, n, Some(s));
            match (table.remove(&id), op) {
                (Some(old), 0) => {
                    events.push((Op::Delete, old, false));
                    continue;
                }
                (Some(old), _) => {
                    events.push((Op::UpdateBefore, old, false));
                    events.push((Op::UpdateAfter, new.clone(), false));
                }
                (None, _) => events.push((Op::Insert, new.clone(), false)),
            }
            table.insert(id, new);
        }
        let mut operator = opened(&settings(kind, true), None, None);
        let mut out = Memory::default();
        for batch in cut(&events, size) {
            block_on(operator.process(InputPort(0), batch, &mut out)).unwrap();
        }
        block_on(operator.finish(&mut out)).unwrap();
        let rows: Vec<Row> = table.into_values().collect();
        prop_assert_eq!(shown(&out).into_iter().collect::<BTreeSet<_>>(), windows(kind, &rows));
    }
}

#[test]
fn late_rows_are_refused_or_leave_by_their_port_with_their_op() {
    let mut config = settings("tumble", true);
    let late = |config: &Value| {
        let mut operator = opened(config, None, None);
        let mut out = Memory::default();
        block_on(async {
            operator.process(InputPort(0), inserts(&[row(5, 1, "a"), row(30, 2, "a")]), &mut out).await?;
            operator.on_watermark(Watermark::EventTimeMs(30), &mut out).await?;
            let moved = [(Op::UpdateBefore, row(5, 1, "a"), false), (Op::UpdateAfter, row(31, 1, "a"), false)];
            operator.process(InputPort(0), batch(&relation(), &moved), &mut out).await?;
            operator.finish(&mut out).await
        })
        .unwrap();
        out
    };
    let out = late(&config);
    assert_eq!(out.port(1).iter().flat_map(ops_and_cells).map(|(op, _)| op).collect::<Vec<_>>(), [3]);
    let rows: Vec<(String, String)> = shown(&out).iter().map(|row| (row[0].clone(), row[3].clone())).collect();
    assert_eq!(rows, [("0".into(), "1".into()), ("30".into(), "2".into())]);
    config["late"] = json!("refuse");
    let out = late(&config);
    assert!(out.bad.len() == 1 && out.bad[0].reasons[0].contains("watermark"), "{:?}", out.bad);
}

#[test]
fn windows_go_out_before_the_input_has_said_again_what_it_is() {
    let config = settings("hop", false);
    let mut operator = opened(&config, None, None);
    let mut out = Memory::default();
    block_on(operator.process(InputPort(0), inserts(&[row(5, 1, "a")]), &mut out)).unwrap();
    let state = block_on(operator.snapshot(Epoch(1))).unwrap();
    let mut operator = opened(&config, None, Some(state.clone()));
    block_on(operator.finish(&mut out)).unwrap();
    assert_eq!(shown(&out).into_iter().collect::<BTreeSet<_>>(), windows("hop", &[row(5, 1, "a")]));
    // Other windows over the same state are refused.
    let mut operator = opened(&settings("tumble", false), None, Some(state));
    let refused = refusal(block_on(operator.process(InputPort(0), inserts(&[row(6, 1, "a")]), &mut out)));
    assert!(refused.contains("checkpoint reset"), "{refused}");
}

#[test]
fn one_row_per_window_without_groups_and_edges_with_an_offset() {
    let config =
        json!({ "time": "to_timestamp_millis(id)", "tumble": "10ms", "offset": "3ms", "totals": { "a": "count(*)" } });
    let mut operator = opened(&config, None, None);
    let mut out = Memory::default();
    block_on(operator.process(InputPort(0), inserts(&[row(2, 1, "a"), row(3, 1, "b"), row(12, 1, "c")]), &mut out))
        .unwrap();
    block_on(operator.finish(&mut out)).unwrap();
    assert_eq!(shown(&out), [["-7", "3", "1"], ["3", "13", "2"]]);
}

#[test]
fn a_table_that_is_emptied_empties_the_open_windows() {
    let mut operator = opened(&settings("session", false), None, None);
    let mut out = Memory::default();
    let truncated = SchemaChange::new(relation(), Change::Truncate);
    block_on(async {
        operator.process(InputPort(0), inserts(&[row(5, 1, "a")]), &mut out).await?;
        operator.on_schema(InputPort(0), truncated, &mut out).await?;
        operator.process(InputPort(0), inserts(&[row(50, 1, "a")]), &mut out).await?;
        operator.finish(&mut out).await
    })
    .unwrap();
    assert_eq!(shown(&out).into_iter().collect::<BTreeSet<_>>(), windows("session", &[row(50, 1, "a")]));
}

#[test]
fn what_cannot_be_a_window_is_refused_with_what_to_write() {
    let of = |change: &dyn Fn(&mut Value)| {
        let mut config = settings("tumble", false);
        change(&mut config);
        refusal(crate::tests::run(ENTRY, &config, &[inserts(&[row(1, 1, "a")])]))
    };
    assert!(of(&|config| config["session"] = json!("1s")).contains("one of `tumble`"));
    assert!(of(&|config| config["tumble"] = json!("10us")).contains("less than a millisecond"));
    assert!(of(&|config| config["time"] = json!("n")).contains("to_timestamp_millis"));
    assert!(of(&|config| config["time"] = json!("nn")).contains("setting time"));
    assert!(of(&|config| config["totals"] = json!({ "window_end": "count(*)" })).contains("window_end"));
    let gaps = |config: &mut Value| {
        config["tumble"] = Value::Null;
        config["hop"] = json!({ "size": "1s", "slide": "2s" });
    };
    assert!(of(&gaps).contains("at most `size`"));
    let deleted = [(Op::Delete, row(1, 1, "a"), false)];
    let run = crate::tests::run(ENTRY, &settings("tumble", false), &[batch(&relation(), &deleted)]);
    assert!(refusal(run).contains("changes: true"));
    let lone = [(Op::UpdateAfter, row(1, 1, "a"), false)];
    let run = crate::tests::run(ENTRY, &settings("tumble", true), &[batch(&relation(), &lone)]);
    assert!(refusal(run).contains("windows remember no rows"));
}
