//! `verify`: is the target what the flow makes of the source, row by row, at one position?
//!
//! The target is read in one consistent view, which says by its own ledger up to which source position it was written.
//! The source is then scanned *as of that position*, sent through the flow's own operators, and both sides are folded
//! into a count and an order-independent 128-bit sum of row digests per table. Sums are kept for 4,096 buckets of keys,
//! so that only buckets that differ are read again, key by key. Nothing is locked; data may move all the while.
//!
//! Where nothing stands between source and sink, both systems are asked for a sum of their own first (see `checksums`):
//! only tables whose sums differ, or that have none, are compared by their rows.
//!
//! A server cannot be asked for the past: its tables are read first, and both sides meet at a position behind that (see
//! `sources` and `meet`).

mod canonical;
mod checksums;
mod collect;
mod compare;
mod digest;
mod meet;
mod pipeline;
mod repair;
mod report;
mod sources;
mod target;

use std::collections::BTreeSet;
use std::time::Duration;

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Error, ErrorKind, PluginKind, Result};

use checksums::{Again, Pass};
use compare::{At, Compared};
use pipeline::Part;

pub(crate) use report::Report;

/// How often a comparison is begun anew because the source forgot the position while it was read.
const ATTEMPTS: u32 = 10;

/// What to do beside comparing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Mend the target.
    pub(crate) repair: bool,
    /// Compare rows also where checksums would do.
    pub(crate) rows: bool,
    /// Differing keys to name per table.
    pub(crate) show: usize,
}

/// Compares every sink of a flow whose target can be read back.
///
/// # Errors
/// `Config` when no sink can be verified; what the systems answer otherwise.
pub(crate) fn verify(plan: &Plan, options: Options) -> Result<Report> {
    let host = Host::new()?;
    let mut report = Report::default();
    let mut any = false;
    for sink in plan.tasks.iter().filter(|task| task.kind() == PluginKind::Sink) {
        let (id, plugin) = (&sink.id, sink.entry.name);
        match verify_sink(&host, plan, sink, options)? {
            Some(Compared { tables, unseen, .. }) => {
                any = true;
                report.tables.extend(tables);
                let unseen = unseen.iter().map(|name| format!("{name} in {id} (the source does not have it now)"));
                report.skipped.extend(unseen);
            }
            None => report.skipped.push(format!("{id} ({plugin} cannot be read back)")),
        }
    }
    if !any && !report.skipped.is_empty() {
        return Err(Error::config(format!("no target of this flow can be read back: {}", report.skipped.join(", ")))
            .with_hint("verify works on SQLiteOutput, DuckDBOutput, MySQLOutput, PostgresOutput and ParquetOutput"));
    }
    Ok(report)
}

/// Compares one sink; `None` when its target cannot be read back.
fn verify_sink(host: &Host, plan: &Plan, task: &PlannedTask, options: Options) -> Result<Option<Compared>> {
    let by_rows = |pass| verify_pass(host, plan, task, options, pass);
    let Some(pass) = Pass::by_checksums(plan, task, options)? else { return by_rows(Pass::by_rows()) };
    let mut compared = match verify_pass(host, plan, task, options, pass) {
        Ok(Some(compared)) => compared,
        Ok(None) => return Ok(None),
        Err(error) if checksums::is_of_checksums(&error) => {
            tracing::info!(error = error.chain(), "checksums cannot be compared: rows are");
            return by_rows(Pass::by_rows());
        }
        Err(error) => return Err(error),
    };
    match std::mem::replace(&mut compared.again, Again::Tables(BTreeSet::new())) {
        Again::All => by_rows(Pass::by_rows()),
        Again::Tables(tables) if tables.is_empty() => Ok(Some(compared)),
        Again::Tables(tables) => {
            if let Some(more) = by_rows(Pass::rows_of(tables))? {
                compared.tables.extend(more.tables);
                compared.tables.sort_by(|a, b| a.table.cmp(&b.table));
                compared.unseen.extend(more.unseen);
            }
            Ok(Some(compared))
        }
    }
}

/// Compares one sink once; `None` when its target cannot be read back.
fn verify_pass(host: &Host, plan: &Plan, task: &PlannedTask, options: Options, pass: Pass) -> Result<Option<Compared>> {
    let mut again = 0;
    loop {
        let part = Part::open(host, plan, &task.id, &pass.choose)?;
        let result = meet::meet(host, plan, task, &part, options).and_then(|met| match met {
            None => Ok(None),
            // The view is closed before the flow goes on.
            Some((target, _paused)) => {
                compare::compare(host, plan, task, At { part: &part, target, pass: &pass }, options).map(Some)
            }
        });
        let spent = part.sources.is_spent();
        let closed = part.sources.close(host);
        match result {
            // The source moved on and forgot what this comparison needs, or changed while it was read.
            Err(error) if again < ATTEMPTS && (spent || error.kind() == ErrorKind::LostPosition) => {
                again += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result.and_then(|found| closed.map(|()| found)),
        }
    }
}
