//! A crash at any point neither loses nor doubles a row.

use super::super::report::Report;
use super::super::row_text::Tables;
use super::super::workload::{Orders, apply};
use super::writer::Writer;
use super::{SinkCase, SinkTarget, finished, shows};
use crate::{Batch, PreparedCommit, Result};

pub(super) async fn check(case: &SinkCase, report: &mut Report) {
    report.begin("crash in the middle of an epoch");
    let outcome = mid_epoch(case, report).await;
    finished(outcome, report);
    if case.transactional {
        report.begin("crash after the commit, before its answer");
        let outcome = lost_answer(case, report).await;
        finished(outcome, report);
    } else {
        report.begin("roll forward");
        let outcome = roll_forward(case, report).await;
        finished(outcome, report);
        report.begin("roll back");
        let outcome = roll_back(case, report).await;
        finished(outcome, report);
    }
    report.begin("random crashes");
    for seed in 0..case.seeds {
        let outcome = random_crashes(case, seed, report).await;
        finished(outcome, report);
    }
}

async fn mid_epoch(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..20)?)?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.epoch(vec![orders.inserts(0..20)?]).await?;
    writer.write(orders.inserts(20..40)?).await?;
    drop(writer);
    shows(&target, &expected, "a sink was dropped in the middle of epoch 2", report)?;
    let mut writer = Writer::start(&target, 2, 1).await?;
    writer.epoch(vec![orders.inserts(20..45)?]).await?;
    drop(writer);
    apply(&mut expected, &orders.inserts(20..45)?)?;
    shows(&target, &expected, "epoch 2 was replayed after a crash in its middle", report)
}

async fn lost_answer(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.epoch(vec![orders.inserts(0..20)?]).await?;
    writer.epoch(vec![orders.inserts(20..40)?]).await?;
    drop(writer);
    let mut writer = Writer::open(&target).await?;
    let epoch = writer.recorded.as_ref().map_or(0, |recorded| recorded.cut.epoch.0);
    report.same(&epoch, &2, "the target knows that epoch 2 is committed although its answer was lost");
    writer.claim(2, epoch).await?;
    writer.epoch(vec![orders.inserts(40..50)?]).await?;
    drop(writer);
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..50)?)?;
    shows(&target, &expected, "the run went on behind the recorded epoch", report)
}

/// Epoch 1 committed, epoch 2 flushed; then the value is gone.
async fn flushed(target: &SinkTarget, orders: &Orders) -> Result<Option<PreparedCommit>> {
    let mut writer = Writer::start(target, 1, 0).await?;
    writer.epoch(vec![orders.inserts(0..20)?]).await?;
    writer.write(orders.inserts(20..40)?).await?;
    writer.flush().await
}

async fn roll_forward(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    let Some(prepared) = flushed(&target, &orders).await? else { return Ok(()) };
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..40)?)?;
    for token in [2, 3] {
        // Twice over: the second recovery finds the epoch already committed.
        let mut writer = Writer::start(&target, token, 2).await?;
        for _ in 0..2 {
            writer.commit(2, &prepared).await?;
            shows(&target, &expected, "a fresh value committed the flushed epoch 2", report)?;
        }
        drop(writer);
    }
    let mut writer = Writer::start(&target, 4, 2).await?;
    writer.epoch(vec![orders.inserts(40..60)?]).await?;
    writer.commit(2, &prepared).await?;
    apply(&mut expected, &orders.inserts(40..60)?)?;
    shows(&target, &expected, "the run went on, and epoch 2 was committed once more", report)
}

async fn roll_back(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let orders = Orders::new("orders")?;
    flushed(&target, &orders).await?;
    let mut expected = Tables::new();
    apply(&mut expected, &orders.inserts(0..20)?)?;
    let mut writer = Writer::start(&target, 2, 1).await?;
    shows(&target, &expected, "epoch 2 was flushed, never logged, and is rolled back", report)?;
    writer.epoch(vec![orders.inserts(20..30)?, orders.inserts(30..41)?]).await?;
    apply(&mut expected, &orders.inserts(20..41)?)?;
    shows(&target, &expected, "epoch 2 was replayed after its roll-back", report)?;
    writer.epoch(vec![orders.inserts(50..60)?]).await?;
    apply(&mut expected, &orders.inserts(50..60)?)?;
    shows(&target, &expected, "the epoch after the replayed one", report)
}

/// Where a random run breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crash {
    Never,
    AfterWrite,
    AfterFlush,
    AfterLog,
    AfterCommit,
}

const CRASHES: [Crash; 5] = [Crash::Never, Crash::AfterWrite, Crash::AfterFlush, Crash::AfterLog, Crash::AfterCommit];
/// Epochs that a random run must bring through.
const RANDOM_EPOCHS: u64 = 12;

/// A small generator: the suite must not depend on a crate for it. Knuth's MMIX constants.
fn next_random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

async fn random_crashes(case: &SinkCase, seed: u64, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let tables = [Orders::new("orders")?, Orders::new("returns")?];
    let mut state = seed.wrapping_add(1);
    let mut expected = Tables::new();
    let (mut token, mut done) = (1, 0);
    let mut writer = Writer::start(&target, token, 0).await?;
    while done < RANDOM_EPOCHS {
        let batches = random_batches(&tables, done, &mut state)?;
        let crash = CRASHES[next_random(&mut state) % CRASHES.len()];
        let logged = until_crash(&mut writer, &batches, crash).await?;
        // A staged sink's epoch counts once the store has logged it; a transactional one's once it is flushed.
        let decided = match crash {
            Crash::AfterWrite => false,
            Crash::AfterFlush => case.transactional,
            _ => true,
        };
        done += u64::from(decided);
        if crash != Crash::Never {
            drop(writer);
            token += 1;
            writer = Writer::start(&target, token, done).await?;
            if let Some(prepared) = logged.filter(|_| decided) {
                writer.commit(done, &prepared).await?;
            }
        }
        if decided {
            for batch in &batches {
                apply(&mut expected, batch)?;
            }
        }
        if !case.exclusive {
            shows(&target, &expected, &format!("seed {seed}: {crash:?}, {done} epochs done"), report)?;
        }
    }
    writer.close().await?;
    drop(writer);
    shows(&target, &expected, &format!("seed {seed}: at the end"), report)
}

fn random_batches(tables: &[Orders], epoch: u64, state: &mut u64) -> Result<Vec<Batch>> {
    let rows = (next_random(state) % 40) as i64;
    let from = epoch as i64 * 100;
    let mut batches = Vec::new();
    for table in tables {
        batches.push(table.inserts(from..from + rows / 2)?);
        batches.push(table.inserts(from + rows / 2..from + rows)?);
    }
    batches.retain(|batch| batch.num_rows() > 0);
    Ok(batches)
}

/// Brings one epoch as far as the crash; returns the prepared commit where there was a flush that made one.
async fn until_crash(writer: &mut Writer, batches: &[Batch], crash: Crash) -> Result<Option<PreparedCommit>> {
    for batch in batches {
        writer.write(batch.clone()).await?;
    }
    if crash == Crash::AfterWrite {
        return Ok(None);
    }
    let prepared = writer.flush().await?;
    if let (Some(prepared), Crash::Never | Crash::AfterCommit) = (&prepared, crash) {
        writer.commit(writer.epoch, prepared).await?;
    }
    Ok(prepared)
}
