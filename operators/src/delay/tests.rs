use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use aqueduct_model::{
    Background, Batch, Change, Epoch, InputPort, Load, Op, Operator, OperatorContext, SchemaChange, State, Watermark,
};
use futures::FutureExt;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use super::operator::Delay;
use crate::tests::*;

const HOLD_MS: i64 = 1_000;

fn by_clock(clock: &Arc<AtomicI64>) -> Delay {
    let config = serde_json::from_value(json!({"for": "1s", "state_memory": "1MiB"})).unwrap();
    let clock = clock.clone();
    Delay::new(&config, Arc::new(move || clock.load(Ordering::Relaxed))).unwrap()
}

fn context(folder: &std::path::Path) -> OperatorContext {
    OperatorContext { state_dir: Some(folder.to_owned()), ..OperatorContext::default() }
}

fn ids(out: &Memory) -> Vec<i64> {
    out.port(0).iter().flat_map(|batch| numbers(batch, "id")).flatten().collect()
}

fn is_ready(delay: &mut Delay) -> bool {
    delay.ready().now_or_never().is_some()
}

/// Ends an epoch as the engine does.
fn end_epoch(delay: &mut Delay, out: &mut Memory) -> State {
    block_on(async {
        delay.settle(out).await.unwrap();
        delay.snapshot(Epoch(1)).await.unwrap()
    })
}

#[test]
fn by_the_clock_rows_leave_behind_the_checkpoint_that_names_them() {
    let (clock, folder, mut out) = (Arc::new(AtomicI64::new(0)), tempfile::tempdir().unwrap(), Memory::default());
    let mut delay = by_clock(&clock);
    block_on(delay.open(&context(folder.path()), None)).unwrap();
    assert_eq!(delay.load(), Load::Idle);
    let truncate = SchemaChange::new(relation(), Change::Truncate);
    block_on(async {
        delay.process(InputPort(0), inserts(&[row(1, 1, "x")]), &mut out).await.unwrap();
        delay.on_schema(InputPort(0), truncate, &mut out).await.unwrap();
        assert_eq!(delay.on_watermark(Watermark::EventTimeMs(7), &mut out).await.unwrap(), None);
    });
    end_epoch(&mut delay, &mut out);
    clock.store(HOLD_MS, Ordering::Relaxed);
    block_on(delay.process(InputPort(0), inserts(&[row(2, 1, "x")]), &mut out)).unwrap();
    block_on(async { delay.ready().await });
    block_on(delay.step(&mut out)).unwrap();
    assert!(out.batches.is_empty() && !is_ready(&mut delay), "no checkpoint has named it");
    let state = end_epoch(&mut delay, &mut out);
    assert!(out.batches.is_empty() && is_ready(&mut delay));
    let mut lost = Memory::default();
    block_on(delay.step(&mut lost)).unwrap();
    assert_eq!((ids(&lost), lost.changes.len()), (vec![1], 1));
    // The same again after a crash, at whatever time.
    for now in [0, 10 * HOLD_MS] {
        clock.store(now, Ordering::Relaxed);
        let (mut again, mut out) = (by_clock(&clock), Memory::default());
        block_on(again.open(&context(folder.path()), Some(state.clone()))).unwrap();
        assert_eq!(again.load(), Load::Busy);
        let state = end_epoch(&mut again, &mut out);
        assert_eq!(ids(&out), [1]);
        // The time of the second is over if it is; else it is held for what is left.
        let (mut later, mut out) = (by_clock(&clock), Memory::default());
        block_on(later.open(&context(folder.path()), Some(state))).unwrap();
        end_epoch(&mut later, &mut out);
        assert_eq!(ids(&out), if now == 0 { vec![] } else { vec![2] });
    }
}

/// One thing that happens to a delay.
#[derive(Debug, Clone)]
enum Step {
    Rows(usize),
    Time(i64),
    Look,
    Epoch,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1usize..6).prop_map(Step::Rows),
        3 => (0i64..700).prop_map(Step::Time),
        2 => Just(Step::Look),
        3 => Just(Step::Epoch),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn by_the_clock_each_change_leaves_once_in_order_and_not_early(steps in steps(), events in changelog()) {
        let (clock, folder) = (Arc::new(AtomicI64::new(0)), tempfile::tempdir().unwrap());
        let mut delay = by_clock(&clock);
        block_on(delay.open(&context(folder.path()), None)).unwrap();
        let batches = cut(&events, 3);
        // What came and what left, up to the last checkpoint and behind it.
        let (mut next, mut durable_next, mut state) = (0, 0, None);
        let (mut came_at, mut gone, mut durable_gone): (Vec<i64>, usize, Vec<Batch>) = (Vec::new(), 0, Vec::new());
        let mut out = Memory::default();
        for step in steps {
            match step {
                Step::Rows(count) => for batch in batches.iter().skip(next).take(count) {
                    came_at.truncate(next);
                    came_at.push(clock.load(Ordering::Relaxed));
                    block_on(delay.process(InputPort(0), batch.clone(), &mut out)).unwrap();
                    next += 1;
                },
                Step::Time(ms) => drop(clock.fetch_add(ms, Ordering::Relaxed)),
                Step::Look => block_on(delay.step(&mut out)).unwrap(),
                Step::Epoch => {
                    state = Some(end_epoch(&mut delay, &mut out));
                    for batch in std::mem::take(&mut out).port(0) {
                        prop_assert!(came_at[gone] + HOLD_MS <= clock.load(Ordering::Relaxed));
                        gone += 1;
                        durable_gone.push(batch);
                    }
                    durable_next = next;
                }
                Step::Crash => {
                    delay = by_clock(&clock);
                    block_on(delay.open(&context(folder.path()), state.clone())).unwrap();
                    (next, out) = (durable_next, Memory::default());
                }
            }
        }
        for batch in batches.iter().skip(next) {
            block_on(delay.process(InputPort(0), batch.clone(), &mut out)).unwrap();
        }
        while delay.load() == Load::Busy {
            end_epoch(&mut delay, &mut out);
            clock.fetch_add(HOLD_MS, Ordering::Relaxed);
        }
        durable_gone.extend(out.port(0));
        let all = |batches: &[Batch]| batches.iter().flat_map(ops_and_cells).collect::<Vec<_>>();
        prop_assert_eq!(all(&durable_gone), all(&batches));
        prop_assert_eq!(fold(&durable_gone), shown(fold_events(&events)));
        let absent = |batches: &[Batch]| batches.iter().map(|batch| batch.present(1).cloned()).collect::<Vec<_>>();
        let whole: Vec<Batch> = batches.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        prop_assert_eq!(absent(&durable_gone), absent(&whole));
    }

    #[test]
    fn by_event_time_rows_are_those_of_a_naive_line(
        rows in rows(),
        size in 1usize..20,
        marks in prop::collection::vec((1usize..20, 0i64..40), 0..10),
        crash in any::<bool>(),
    ) {
        // The time of a row is `n` milliseconds; a watermark comes behind so many rows.
        let config = json!({"for": "5ms", "time": "to_timestamp_millis(n)"});
        let folder = tempfile::tempdir().unwrap();
        let mut delay = build(ENTRY, &config).unwrap();
        block_on(delay.open(&context(folder.path()), None)).unwrap();
        let (mut out, mut line, mut gone, mut due) = (Memory::default(), Vec::new(), Vec::new(), i64::MIN);
        let (mut at, mut now) = (0, None);
        for (behind, ms) in marks {
            let part = &rows[at..rows.len().min(at + behind)];
            at += part.len();
            for chunk in part.chunks(size) {
                block_on(delay.process(InputPort(0), inserts(chunk), &mut out)).unwrap();
            }
            for (id, n, _) in part {
                due = due.max(n.map_or(due, |n| n + 5));
                line.push((*id, due));
            }
            if crash {
                let state = block_on(delay.snapshot(Epoch(1))).unwrap();
                delay = build(ENTRY, &config).unwrap();
                block_on(delay.open(&context(folder.path()), Some(state))).unwrap();
            }
            prop_assert_eq!(block_on(delay.on_watermark(Watermark::EventTimeMs(ms), &mut out)).unwrap(), None);
            now = now.max(Some(ms));
            let over = line.iter().take_while(|(_, due)| now.is_some_and(|now| *due <= now)).count();
            gone.extend(line.drain(..over).map(|(id, _)| id));
            prop_assert_eq!(ids(&out), gone.clone());
        }
        block_on(delay.finish(&mut out)).unwrap();
        gone.extend(line.into_iter().map(|(id, _)| id));
        prop_assert_eq!(ids(&out), gone);
        prop_assert!(out.bad.is_empty() && delay.background().is_none());
    }
}

/// Says what left in which order, watermarks included.
#[derive(Default)]
struct Story(Vec<String>);

#[async_trait::async_trait]
impl aqueduct_model::Output for Story {
    async fn emit(&mut self, _port: aqueduct_model::OutputPort, batch: Batch) -> aqueduct_model::Result<()> {
        let rows = ops_and_cells(&batch).into_iter().map(|(op, cells)| format!("{op}:{}", cells[0].clone().unwrap()));
        self.0.extend(rows);
        Ok(())
    }

    async fn announce(&mut self, _: aqueduct_model::OutputPort, change: SchemaChange) -> aqueduct_model::Result<()> {
        self.0.push(format!("{:?}", change.change));
        Ok(())
    }

    fn advance(&mut self, watermark: Watermark) -> aqueduct_model::Result<()> {
        self.0.push(format!("{watermark:?}"));
        Ok(())
    }

    fn reject(&mut self, row: aqueduct_model::BadRow) -> aqueduct_model::Result<()> {
        panic!("{row:?}")
    }
}

#[test]
fn by_event_time_nothing_passes_anything() {
    let config = json!({"for": "10ms", "time": "to_timestamp_millis(n)"});
    let (mut delay, mut story) = (build(ENTRY, &config).unwrap(), Story::default());
    block_on(async {
        delay.open(&OperatorContext::default(), None).await.unwrap();
        let events = [
            (Op::Insert, row(1, 5, "x"), false),
            (Op::UpdateBefore, row(2, 1, "x"), false),
            (Op::UpdateAfter, row(2, 9, "x"), false),
            (Op::Delete, row(3, 1, "x"), true),
        ];
        delay.process(InputPort(0), batch(&relation(), &events), &mut story).await.unwrap();
        delay.on_watermark(Watermark::EventTimeMs(3), &mut story).await.unwrap();
        delay.on_watermark(Watermark::EventTimeMs(15), &mut story).await.unwrap();
        assert_eq!(story.0, ["0:1"], "an update leaves with its later half");
        let change = Change::AddColumns(vec!["z".into()]);
        delay.on_schema(InputPort(0), SchemaChange::new(relation(), change), &mut story).await.unwrap();
        delay.process(InputPort(0), inserts(&[(4, None, None)]), &mut story).await.unwrap();
        delay.on_watermark(Watermark::Idle, &mut story).await.unwrap();
        assert_eq!(story.0.len(), 1);
        delay.on_watermark(Watermark::EventTimeMs(19), &mut story).await.unwrap();
    });
    let expected =
        ["0:1", "1:2", "2:2", "3:3", "EventTimeMs(15)", "AddColumns([\"z\"])", "0:4", "Idle", "EventTimeMs(19)"];
    assert_eq!(story.0, expected);
}

#[test]
fn mistakes_are_named() {
    for (config, expected) in [
        (json!({"for": "0ms"}), "setting for: less than a millisecond"),
        (json!({"for": "1s", "time": "n +"}), "setting time:"),
        (json!({}), "missing field `for`"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{got}");
    }
    let config: Value = json!({"for": "1s", "time": "n"});
    let got = refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("an event time has to be a timestamp"), "{got}");
}
