//! One writer at a time: whoever claimed last.

use super::super::report::Report;
use super::super::row_text::Tables;
use super::super::workload::{Orders, apply};
use super::writer::Writer;
use super::{SinkCase, finished, shows};
use crate::{ErrorKind, Result};

pub(super) async fn check(case: &SinkCase, report: &mut Report) {
    report.begin("a claim needs a higher token");
    let outcome = stale_claims(case, report).await;
    finished(outcome, report);
    if case.exclusive {
        return;
    }
    report.begin("a fenced writer cannot end its epoch");
    let outcome = fenced_flush(case, report).await;
    finished(outcome, report);
    report.begin("a fenced writer cannot commit");
    let outcome = if case.transactional { Ok(()) } else { fenced_commit(case, report).await };
    finished(outcome, report);
}

fn refused<T>(outcome: Result<T>, what: &str, report: &mut Report) {
    match outcome {
        Ok(_) => report.violated(format!("{what} is refused, but it succeeded")),
        Err(error) => report.holds(
            error.kind() == ErrorKind::State,
            format!("{what} is refused with an error of kind state, not {error:?}"),
        ),
    }
}

async fn stale_claims(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 5, 0).await?;
    writer.epoch(vec![orders.inserts(0..10)?]).await?;
    writer.close().await?;
    drop(writer);
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..10)?)?;
    for token in [1, 4, 5] {
        let mut stale = Writer::open(&target).await?;
        refused(stale.claim(token, 1).await, &format!("token {token} after token 5"), report);
        stale.close().await?;
        drop(stale);
        shows(&target, &expected, "a stale claim was refused", report)?;
    }
    let mut writer = Writer::start(&target, 6, 1).await?;
    writer.epoch(vec![orders.inserts(10..20)?]).await?;
    writer.close().await?;
    drop(writer);
    apply(&mut expected, &orders.inserts(10..20)?)?;
    shows(&target, &expected, "a higher token went on after refused ones", report)
}

/// The old writer is woken after a takeover and goes on where it was.
async fn fenced_flush(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut old = Writer::start(&target, 1, 0).await?;
    old.epoch(vec![orders.inserts(0..10)?]).await?;
    let mut new = Writer::start(&target, 2, 1).await?;
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..10)?)?;
    let outcome = match old.write(orders.inserts(100..110)?).await {
        Ok(()) => old.end_epoch().await,
        Err(error) => Err(error),
    };
    refused(outcome, "an epoch of the fenced writer", report);
    shows(&target, &expected, "the fenced writer was refused", report)?;
    // Only now may it let go of what it holds; closing must not harm the new writer either.
    old.close().await?;
    drop(old);
    new.epoch(vec![orders.inserts(10..20)?]).await?;
    apply(&mut expected, &orders.inserts(10..20)?)?;
    shows(&target, &expected, "the new writer went on", report)?;
    new.close().await
}

async fn fenced_commit(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut old = Writer::start(&target, 1, 0).await?;
    old.write(orders.inserts(0..10)?).await?;
    let Some(prepared) = old.flush().await? else { return Ok(()) };
    let mut new = Writer::start(&target, 2, 0).await?;
    refused(old.commit(1, &prepared).await, "a commit of the fenced writer", report);
    shows(&target, &Tables::new(), "the fenced writer's commit was refused", report)?;
    new.epoch(vec![orders.inserts(50..60)?]).await?;
    refused(old.commit(1, &prepared).await, "a late commit of the fenced writer", report);
    drop(old);
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(50..60)?)?;
    shows(&target, &expected, "the new writer's epoch 1 stands", report)?;
    new.close().await
}
