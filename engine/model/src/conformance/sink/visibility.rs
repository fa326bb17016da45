//! Nothing shows before an epoch ends; everything does after.

use super::super::report::Report;
use super::super::row_text::Tables;
use super::super::workload::{Orders, apply};
use super::writer::{Writer, cut};
use super::{SinkCase, finished, shows};
use crate::Result;

pub(super) async fn check(case: &SinkCase, report: &mut Report) {
    report.begin("nothing shows before the epoch ends");
    let outcome = if case.exclusive { Ok(()) } else { before_the_end(case, report).await };
    finished(outcome, report);
    report.begin("everything shows after the epoch");
    let outcome = after_the_end(case, report).await;
    finished(outcome, report);
    report.begin("empty epochs");
    let outcome = empty_epochs(case, report).await;
    finished(outcome, report);
    report.begin("close");
    let outcome = closes(case, report).await;
    finished(outcome, report);
}

async fn before_the_end(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    let mut expected = Tables::new();
    for start in [0, 100] {
        let batch = orders.inserts(start..start + 50)?;
        writer.write(batch.clone()).await?;
        writer.write(orders.inserts(start + 50..start + 60)?).await?;
        shows(&target, &expected, "rows are written, not flushed", report)?;
        let prepared = writer.flush().await?;
        report.holds(
            prepared.is_some() != case.transactional,
            "flush returns a prepared commit exactly when the sink is a staged one",
        );
        if let Some(prepared) = prepared {
            shows(&target, &expected, "the epoch is flushed, not committed", report)?;
            writer.commit(writer.epoch, &prepared).await?;
        }
        apply(&mut expected, &batch)?;
        apply(&mut expected, &orders.inserts(start + 50..start + 60)?)?;
        shows(&target, &expected, "the epoch is committed", report)?;
    }
    writer.close().await
}

async fn after_the_end(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    report.holds(
        writer.recorded.as_ref().is_none_or(|recorded| recorded.cut.epoch.0 == 0),
        "an empty target has recorded nothing",
    );
    let mut expected = Tables::new();
    for start in [0, 100, 200] {
        let batch = orders.inserts(start..start + 30)?;
        apply(&mut expected, &batch)?;
        writer.epoch(vec![batch]).await?;
    }
    writer.close().await?;
    drop(writer);
    shows(&target, &expected, "three epochs are committed and the sink is closed", report)?;

    let writer = Writer::open(&target).await?;
    report.holds(
        writer.recorded.is_some() || !case.transactional,
        "a transactional sink returns what an earlier run recorded",
    );
    if let Some(recorded) = &writer.recorded {
        report.same(&recorded.cut, &cut(3), "open returns the last committed cut");
        report.same(&recorded.token.0, &1, "open returns the token of the last writer");
    }
    drop(writer);
    shows(&target, &expected, "a sink was opened without a claim", report)
}

async fn empty_epochs(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.epoch(Vec::new()).await?;
    writer.epoch(Vec::new()).await?;
    writer.epoch(vec![orders.inserts(0..5)?]).await?;
    writer.epoch(Vec::new()).await?;
    writer.close().await?;
    drop(writer);
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..5)?)?;
    shows(&target, &expected, "empty epochs stand around a full one", report)?;
    let writer = Writer::open(&target).await?;
    if case.transactional {
        let epoch = writer.recorded.map(|recorded| recorded.cut.epoch.0);
        report.same(&epoch, &Some(4), "an empty epoch is recorded too");
    }
    Ok(())
}

async fn closes(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.write(orders.inserts(0..10)?).await?;
    writer.close().await?;
    writer.close().await?;
    drop(writer);
    shows(&target, &Tables::new(), "a sink was closed in the middle of an epoch", report)?;
    let mut unopened = (target.build)()?;
    super::super::caught::caught(unopened.close()).await
}
