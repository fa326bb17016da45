//! The watermark by row, however rows are cut into batches.

use aqueduct_model::{
    BadRow, Batch, Epoch, InputPort, Op, Operator, OperatorContext, Output, OutputPort, Result, SchemaChange, State,
    Watermark,
};
use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::json;

use super::ENTRY;
use crate::tests::{Event, block_on, build, changelog, cut, inserts, refusal, row};

/// For each row the watermark that those behind know when it arrives.
#[derive(Default)]
struct Known {
    now: Option<i64>,
    rows: Vec<(i64, Option<i64>)>,
}

#[async_trait]
impl Output for Known {
    async fn emit(&mut self, _port: OutputPort, batch: Batch) -> Result<()> {
        for (i, id) in crate::tests::numbers(&batch, "id").into_iter().enumerate() {
            assert!(batch.op(i) != Op::UpdateBefore || i + 1 < batch.num_rows(), "pairs stay together");
            self.rows.push((id.unwrap(), self.now));
        }
        Ok(())
    }

    async fn announce(&mut self, _port: OutputPort, _change: SchemaChange) -> Result<()> {
        Ok(())
    }

    fn advance(&mut self, watermark: Watermark) -> Result<()> {
        let Watermark::EventTimeMs(ms) = watermark else { panic!("only silence makes it idle") };
        assert!(self.now.is_none_or(|now| now < ms), "it rises");
        self.now = Some(ms);
        Ok(())
    }

    fn reject(&mut self, _row: BadRow) -> Result<()> {
        panic!("no row is refused here")
    }
}

fn opened(state: Option<State>) -> Box<dyn Operator> {
    let config = json!({ "time": "to_timestamp_millis(n)", "out_of_order": "3ms" });
    let mut operator = build(ENTRY, &config).unwrap();
    block_on(operator.open(&OperatorContext::default(), state)).unwrap();
    operator
}

/// The watermark before each row, by hand; and whether it has to be known there.
fn expected(events: &[Event]) -> Vec<(Option<i64>, bool)> {
    let mut latest: Option<i64> = None;
    let mut found = Vec::new();
    for (i, (op, row, bare)) in events.iter().enumerate() {
        let now = latest.map(|latest| latest - 3);
        let lone = *op == Op::UpdateAfter && (i == 0 || events[i - 1].0 != Op::UpdateBefore);
        let behind = row.1.is_some_and(|n| now.is_some_and(|now| n < now)) && !bare;
        let must = now.is_some() && (behind || *bare || lone);
        if !matches!(op, Op::Delete | Op::UpdateBefore) && !bare {
            latest = latest.max(row.1);
        }
        found.push((now, must));
    }
    // The halves of an update are not parted.
    for i in 1..events.len() {
        if events[i - 1].0 == Op::UpdateBefore {
            found[i].1 |= found[i - 1].1;
        }
    }
    found
}

proptest! {
    #[test]
    fn a_late_row_always_meets_the_same_watermark(events in changelog(), size in 1usize..9, crash_every in 1usize..5) {
        let mut operator = opened(None);
        let mut out = Known::default();
        for (n, batch) in cut(&events, size).into_iter().enumerate() {
            block_on(operator.process(InputPort(0), batch, &mut out)).unwrap();
            if n % crash_every == 0 {
                let state = block_on(operator.snapshot(Epoch(1))).unwrap();
                operator = opened(Some(state));
                out.now = None;
            }
        }
        prop_assert_eq!(out.rows.len(), events.len());
        for ((_, found), (now, must)) in out.rows.iter().zip(expected(&events)) {
            if must {
                prop_assert_eq!(*found, now);
            } else {
                prop_assert!(*found <= now);
            }
        }
    }
}

#[test]
fn the_watermark_of_an_input_that_was_silent_comes_again() {
    let mut operator = opened(None);
    let mut out = Known::default();
    block_on(operator.process(InputPort(0), inserts(&[row(1, 100, "a")]), &mut out)).unwrap();
    assert_eq!(out.now, Some(97));
    let idle = block_on(operator.on_watermark(Watermark::Idle, &mut out)).unwrap();
    assert_eq!(idle, Some(Watermark::Idle));
    assert_eq!(block_on(operator.on_watermark(Watermark::EventTimeMs(5), &mut out)).unwrap(), None);
    out.now = None;
    block_on(operator.process(InputPort(0), inserts(&[row(2, 50, "a")]), &mut out)).unwrap();
    assert_eq!(out.now, Some(97));
}

#[test]
fn what_is_no_time_is_refused_with_what_to_write() {
    let of = |time: &str| {
        let mut operator = build(ENTRY, &json!({ "time": time }))?;
        block_on(operator.process(InputPort(0), inserts(&[row(1, 1, "a")]), &mut Known::default()))
    };
    assert!(refusal(of("n")).contains("to_timestamp_millis"));
    assert!(refusal(of("nn")).contains("n, s"));
    assert!(refusal(of("n +")).contains("time"));
}
