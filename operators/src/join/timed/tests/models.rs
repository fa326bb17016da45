//! Random rows in random batches, with watermarks and crashes anywhere, against loops over plain lists.

use aqueduct_model::{Operator, Watermark};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Cells, TIME, advance, announce, cells, give, opened, snapshot};
use crate::tests::{Memory, Row, block_on, ops_and_cells, row};

const LATENESS: i64 = 2;
const KINDS: [&str; 6] = ["inner", "left", "right", "full", "semi", "anti"];
/// Intervals around a row, before it, behind it, and of one instant.
const INTERVALS: [(i64, i64); 5] = [(-4, 6), (0, 5), (2, 7), (-8, -3), (0, 0)];

/// What comes: a row of a table, and a watermark behind some of them, which is right or too high.
type Arrival = (usize, Row, Option<i64>);

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let step = (
        0usize..2,
        0i64..4,
        -9i64..1,
        prop::option::of(-3i64..3),
        prop::option::weighted(0.9, "[ab]{1}"),
        prop::option::weighted(0.3, 0i64..6),
    );
    prop::collection::vec(step, 0..80).prop_map(|steps| {
        let mut now = 100;
        let mut arrivals = Vec::new();
        for (side, forward, behind, n, s, watermark) in steps {
            now += forward;
            arrivals.push((side, (now + behind, n, s), watermark.map(|less| now - less)));
        }
        arrivals
    })
}

/// Runs arrivals, rows of one table together up to `size`; `seen` is shown what went out so far, with what was passed on,
/// whenever a watermark came (`closed`: rows before it are late), and at the end.
fn run(
    config: &Value,
    arrivals: &[Arrival],
    size: usize,
    crash_every: Option<usize>,
    folder: Option<&std::path::Path>,
    mut seen: impl FnMut(usize, i64, Option<Watermark>, &Memory),
) -> Memory {
    let mut operator = opened(config, folder, None);
    let mut out = Memory::default();
    announce(&mut operator, &mut out);
    let (mut held, mut closed): (Vec<Row>, i64) = (Vec::new(), i64::MIN);
    for (n, (side, row, watermark)) in arrivals.iter().enumerate() {
        held.push(row.clone());
        let goes_on = arrivals.get(n + 1).is_some_and(|(next, ..)| next == side);
        if held.len() < size && watermark.is_none() && goes_on {
            continue;
        }
        give(&mut operator, *side, &held, &mut out).unwrap();
        held.clear();
        if let Some(ms) = watermark {
            let passed = advance(&mut operator, *ms, &mut out);
            closed = closed.max(ms - LATENESS);
            seen(n + 1, closed, passed, &out);
        }
        if crash_every.is_some_and(|every| n % every == 0) {
            operator = crashed(config, operator, folder);
        }
    }
    block_on(operator.finish(&mut out)).unwrap();
    seen(arrivals.len(), i64::MAX, None, &out);
    out
}

/// The operator of a new start: what happened behind the checkpoint never was.
fn crashed(config: &Value, mut operator: Box<dyn Operator>, folder: Option<&std::path::Path>) -> Box<dyn Operator> {
    let state = snapshot(&mut operator);
    let mut lost = Memory::default();
    for side in 0..2 {
        give(&mut operator, side, &[row(900, 1, "a"), (901, None, Some("b".into()))], &mut lost).unwrap();
    }
    advance(&mut operator, 950, &mut lost);
    drop(operator);
    opened(config, folder, Some(state))
}

/// The rows of both tables that are not late, and those that are.
fn in_time(arrivals: &[Arrival]) -> ([Vec<Row>; 2], Vec<Row>) {
    let (mut tables, mut late, mut closed) = ([Vec::new(), Vec::new()], Vec::new(), i64::MIN);
    for (side, row, watermark) in arrivals {
        if row.0 < closed {
            late.push(row.clone())
        } else {
            tables[*side].push(row.clone())
        }
        closed = watermark.map_or(closed, |ms| closed.max(ms - LATENESS));
    }
    (tables, late)
}

fn texts(row: &Row) -> Cells {
    vec![Some(row.0.to_string()), row.1.map(|n| n.to_string()), row.2.clone()]
}

/// A pair as it comes out: the column that has to be equal comes out once.
fn pair(left: Option<&Row>, right: Option<&Row>) -> Cells {
    let (left, right) = (left.map(texts), right.map(texts));
    let mut cells = left.clone().unwrap_or(vec![None; 3]);
    if left.is_none() {
        cells[2] = right.clone().and_then(|right| right[2].clone());
    }
    cells.extend(right.unwrap_or(vec![None; 3]).into_iter().take(2));
    cells
}

fn late_rows(out: &Memory) -> Vec<Cells> {
    let mut late: Vec<Cells> = out.port(1).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect();
    late.sort();
    late
}

/// What a join of close times has given when rows before `closed` are late, by hand.
fn close_in_time(kind: &str, (from, to): (i64, i64), smaller: bool, tables: &[Vec<Row>; 2], closed: i64) -> Vec<Cells> {
    let meets = |left: &Row, right: &Row| {
        let is_smaller = !smaller || left.1.zip(right.1).is_some_and(|(l, r)| l < r);
        let is_close = (from..=to).contains(&(right.0 - left.0));
        left.2.is_some() && left.2 == right.2 && is_close && is_smaller
    };
    let [left, right] = tables;
    let mut found = Vec::new();
    for row in left {
        let partners: Vec<&Row> = right.iter().filter(|other| meets(row, other)).collect();
        let goes_alone = partners.is_empty() && (closed == i64::MAX || row.0 + to < closed);
        match kind {
            "semi" => found.extend((!partners.is_empty()).then(|| texts(row))),
            "anti" => found.extend(goes_alone.then(|| texts(row))),
            _ => {
                found.extend(partners.iter().map(|other| pair(Some(row), Some(other))));
                found.extend((goes_alone && ["left", "full"].contains(&kind)).then(|| pair(Some(row), None)));
            }
        }
    }
    if ["right", "full"].contains(&kind) {
        let lonely = right.iter().filter(|row| !left.iter().any(|other| meets(other, row)));
        let goes = |row: &&Row| closed == i64::MAX || row.0 - from < closed;
        found.extend(lonely.filter(goes).map(|row| pair(None, Some(row))));
    }
    found.sort();
    found
}

/// No time in the columns at these places lies behind the watermark that was passed on before.
fn keeps_the_promise(rows: &[Cells], places: &[usize], passed: Option<i64>) -> bool {
    let times = rows.iter().flat_map(|cells| places.iter().filter_map(|place| cells.get(*place)?.clone()));
    times.into_iter().all(|time| passed.is_none_or(|passed| time.parse::<i64>().unwrap() >= passed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn close_times_are_those_of_two_loops_through_watermarks_and_crashes(
        arrivals in arrivals(), kind in 0usize..6, interval in 0usize..5, smaller: bool, size in 1usize..9,
        crash_every in prop::option::of(1usize..6), on_disk: bool,
    ) {
        let (kind, (from, to)) = (KINDS[kind], INTERVALS[interval]);
        let config = json!({
            "type": kind, "on": ["s"], "where": smaller.then_some("left.n < right.n"), "late": "port", "lateness": "2ms",
            "interval": { "left": TIME, "right": TIME, "from": format!("{from}ms"), "to": format!("{to}ms") },
        });
        let folder = tempfile::tempdir().unwrap();
        let (mut known, mut promised, mut highest) = (0, None, i64::MIN);
        let out = run(&config, &arrivals, size, crash_every, on_disk.then(|| folder.path()), |n, closed, passed, out| {
            let (tables, late) = in_time(&arrivals[..n]);
            let mut found = cells(out);
            assert!(keeps_the_promise(&found[known..], if kind == "semi" || kind == "anti" { &[0] } else { &[0, 3] }, promised));
            known = found.len();
            found.sort();
            assert_eq!(found, close_in_time(kind, (from, to), smaller, &tables, closed));
            assert_eq!(late_rows(out).len(), late.len());
            if closed < i64::MAX {
                let behind = closed - to.max(-from).max(0);
                assert_eq!(passed, (closed > highest).then_some(Watermark::EventTimeMs(behind)));
                (promised, highest) = (Some(behind), closed.max(highest));
            }
        });
        // The order too is that of the rows, however they are cut.
        prop_assert_eq!(cells(&out), cells(&run(&config, &arrivals, 1, None, None, |_, _, _, _| {})));
        let mut late: Vec<Cells> = in_time(&arrivals).1.iter().map(texts).collect();
        late.sort();
        prop_assert_eq!(late_rows(&out), late);
    }

    #[test]
    fn the_last_row_at_a_time_is_that_of_a_list_through_watermarks_and_crashes(
        arrivals in arrivals(), is_left: bool, tolerance in prop::option::of(0i64..9), size in 1usize..9,
        crash_every in prop::option::of(1usize..6), on_disk: bool,
    ) {
        let mut config = json!({
            "type": if is_left { "left" } else { "inner" }, "on": ["s"], "late": "port", "lateness": "2ms",
            "as_of": { "left": TIME, "right": TIME },
        });
        if let Some(ms) = tolerance {
            config["as_of"]["tolerance"] = json!(format!("{ms}ms"));
        }
        let expected = |tables: &[Vec<Row>; 2], closed: i64| -> Vec<Cells> {
            let mut left: Vec<&Row> = tables[0].iter().filter(|row| row.0 < closed).collect();
            left.sort_by_key(|row| row.0);
            let counts = |left: &Row, right: &&Row| {
                let is_young = tolerance.is_none_or(|tolerance| left.0 - right.0 <= tolerance);
                left.2.is_some() && left.2 == right.2 && right.0 <= left.0 && is_young
            };
            // Of several of one instant the last that came: `max_by_key` takes the last.
            let version = |left: &Row| tables[1].iter().filter(|right| counts(left, right)).max_by_key(|right| right.0);
            let pairs = left.into_iter().map(|left| (left, version(left)));
            pairs.filter(|(_, right)| is_left || right.is_some()).map(|(left, right)| pair(Some(left), right)).collect()
        };
        let folder = tempfile::tempdir().unwrap();
        let (mut known, mut promised) = (0, None);
        let out = run(&config, &arrivals, size, crash_every, on_disk.then(|| folder.path()), |n, closed, passed, out| {
            let (tables, late) = in_time(&arrivals[..n]);
            let found = cells(out);
            assert!(keeps_the_promise(&found[known..], &[0], promised));
            known = found.len();
            // In the order of time, whatever the order in which they came.
            assert_eq!(found, expected(&tables, closed));
            assert_eq!(late_rows(out).len(), late.len());
            if let Some(Watermark::EventTimeMs(ms)) = passed {
                assert_eq!(ms, closed);
                promised = Some(ms);
            }
        });
        prop_assert!(out.bad.is_empty());
    }
}
