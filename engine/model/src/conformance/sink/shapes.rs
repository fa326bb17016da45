//! What an epoch may consist of.

use super::super::report::Report;
use super::super::row_text::Tables;
use super::super::workload::{Orders, apply};
use super::writer::Writer;
use super::{SinkCase, finished, shows};
use crate::{BadRowPolicy, BadRows, Batch, Change, ErrorKind, Op, Result, SchemaChange};

pub(super) async fn check(case: &SinkCase, report: &mut Report) {
    report.begin("many tables in one epoch");
    let outcome = many_tables(case, report).await;
    finished(outcome, report);
    report.begin("a large epoch");
    let outcome = large_epoch(case, report).await;
    finished(outcome, report);
    report.begin("a column is added in the middle of an epoch");
    let outcome = new_column(case, report).await;
    finished(outcome, report);
    if case.changes {
        report.begin("updates and deletes");
        let outcome = changelog(case, report).await;
        finished(outcome, report);
    }
    if case.bad_input.is_some() {
        report.begin("bad rows");
        let outcome = bad_rows(case, report).await;
        finished(outcome, report);
    }
}

/// Runs one epoch per list of batches and compares at the end.
async fn epochs(case: &SinkCase, epochs: Vec<Vec<Batch>>, when: &str, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let mut expected = Tables::new();
    let mut writer = Writer::start(&target, 1, 0).await?;
    for batches in epochs {
        for batch in &batches {
            apply(&mut expected, batch)?;
        }
        writer.epoch(batches).await?;
    }
    report.same(&writer.bad.count(), &0, "no row is refused");
    writer.close().await?;
    drop(writer);
    shows(&target, &expected, when, report)
}

async fn many_tables(case: &SinkCase, report: &mut Report) -> Result<()> {
    let mut batches = Vec::new();
    for round in 0..3 {
        for table in 0..case.tables {
            batches.push(Orders::new(&format!("table_{table}"))?.inserts(round * 5..round * 5 + 5)?);
        }
    }
    epochs(case, vec![batches], "tables came by turns", report).await
}

async fn large_epoch(case: &SinkCase, report: &mut Report) -> Result<()> {
    let orders = Orders::new("orders")?;
    let mut batches = Vec::new();
    let rows = case.large_rows as i64;
    for from in (0..rows).step_by(1_000) {
        batches.push(orders.inserts(from..rows.min(from + 1_000))?);
    }
    let after = vec![orders.inserts(rows..rows + 1)?];
    epochs(case, vec![batches, after], "a large epoch and one of a single row", report).await
}

async fn new_column(case: &SinkCase, report: &mut Report) -> Result<()> {
    let target = (case.target)()?;
    let (before, after) = (Orders::new("orders")?, Orders::with_version("orders", 2)?);
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.epoch(vec![before.inserts(0..10)?]).await?;
    writer.write(before.inserts(10..20)?).await?;
    writer.schema(SchemaChange::new(after.relation().clone(), Change::AddColumns(vec!["note".to_owned()]))).await?;
    writer.write(after.inserts(20..30)?).await?;
    writer.end_epoch().await?;
    writer.epoch(vec![after.inserts(30..40)?]).await?;
    writer.close().await?;
    drop(writer);
    let mut expected = Tables::new();
    apply(&mut expected, &before.inserts(0..20)?)?;
    apply(&mut expected, &after.inserts(20..40)?)?;
    shows(&target, &expected, "rows of both shapes are there", report)
}

async fn changelog(case: &SinkCase, report: &mut Report) -> Result<()> {
    use Op::{Delete, Insert, UpdateAfter, UpdateBefore};
    let orders = Orders::new("orders")?;
    let all = vec![
        vec![orders.inserts(0..20)?],
        vec![
            orders.changes(&[(UpdateBefore, 1, 0), (UpdateAfter, 1, 1), (UpdateAfter, 2, 1), (Delete, 3, 0)])?,
            // Gone and back, back and gone, twice changed, all in one epoch.
            orders.changes(&[(Delete, 4, 0), (Insert, 4, 2), (Insert, 30, 0), (Delete, 30, 0)])?,
            orders.changes(&[(UpdateBefore, 5, 0), (UpdateAfter, 5, 1), (UpdateBefore, 5, 1), (UpdateAfter, 5, 2)])?,
        ],
        // A key changes: 6 becomes 60.
        vec![orders.changes(&[(UpdateBefore, 6, 0), (UpdateAfter, 60, 1)])?],
        vec![orders.changes(&[(Delete, 1, 1), (Delete, 60, 1), (Insert, 3, 9)])?],
        vec![orders.changes(&[(UpdateBefore, 3, 9), (UpdateAfter, 3, 10), (Insert, 61, 0)])?],
    ];
    epochs(case, all, "inserts, updates and deletes took effect in order", report).await
}

async fn bad_rows(case: &SinkCase, report: &mut Report) -> Result<()> {
    let Some(bad) = &case.bad_input else { return Ok(()) };
    let target = (case.target)()?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.epoch(vec![bad.batch.clone()]).await?;
    report.same(&writer.bad.count(), &bad.refused, "every bad row is refused once");
    writer.close().await?;
    drop(writer);
    shows(&target, &bad.kept, "the good rows around bad ones are kept", report)?;

    let target = (case.target)()?;
    let mut writer = Writer::start(&target, 1, 0).await?;
    writer.bad = BadRows::new(BadRowPolicy::Fail, usize::MAX);
    match writer.epoch(vec![bad.batch.clone()]).await {
        Ok(()) => report.violated("under on_bad_row: fail the epoch fails"),
        Err(error) => {
            report.holds(error.kind() == ErrorKind::Data, format!("it fails with kind data, not {error:?}"));
        }
    }
    writer.close().await?;
    drop(writer);
    shows(&target, &Tables::new(), "a failed epoch shows nothing", report)
}
