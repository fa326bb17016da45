//! `verify`: is the target what the flow makes of the source, row by row, at one position?
//!
//! The target is read in one consistent view, which says by its own ledger up to which source position it was written.
//! The source is then scanned *as of that position*, sent through the flow's own operators, and both sides are folded
//! into a count and an order-independent 128-bit sum of row digests per table. Sums are kept for 4,096 buckets of keys,
//! so that only buckets that differ are read again, key by key. Nothing is locked; data may move all the while.

mod collect;
mod compare;
mod digest;
mod pipeline;
mod repair;
mod report;
mod target;

use std::time::Duration;

use aqueduct_engine::control::{Request, request};
use aqueduct_engine::plan::Plan;
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Error, ErrorKind, PluginKind, Result};

pub(crate) use report::{Report, TableReport};

/// How often a comparison is begun anew because the source forgot the position while it was read.
const ATTEMPTS: u32 = 10;

/// What to do beside comparing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Mend the target.
    pub(crate) repair: bool,
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
    for sink in plan.tasks.iter().filter(|task| task.entry.kind() == PluginKind::Sink) {
        match verify_sink(&host, plan, &sink.id, options)? {
            Some(tables) => report.tables.extend(tables),
            None => report.skipped.push(format!("{} ({})", sink.id, sink.entry.name)),
        }
    }
    if report.tables.is_empty() && !report.skipped.is_empty() {
        return Err(Error::config(format!("no target of this flow can be read back: {}", report.skipped.join(", ")))
            .with_hint("verify works on SQLiteOutput, DuckDBOutput and ParquetOutput"));
    }
    Ok(report)
}

/// Compares one sink; pauses a running daemon for as long as its target allows one process only.
fn verify_sink(host: &Host, plan: &Plan, sink: &str, options: Options) -> Result<Option<Vec<TableReport>>> {
    let mut paused = None;
    for attempt in 1.. {
        match compare::compare(host, plan, sink, options) {
            Err(error) if error.kind() == ErrorKind::Unavailable && paused.is_none() => {
                paused = Some(Paused::pause(plan).map_err(|_| error)?);
            }
            // The running flow moved on and its source pruned what this comparison needs.
            Err(error) if error.kind() == ErrorKind::LostPosition && attempt < ATTEMPTS => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
    Ok(None)
}

/// A daemon that is paused while this lives.
struct Paused<'a>(&'a Plan);

impl<'a> Paused<'a> {
    fn pause(plan: &'a Plan) -> Result<Self> {
        request(&plan.state_dir, Request::Pause)?;
        tracing::info!("the flow is paused while its target is read");
        Ok(Self(plan))
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        if let Err(error) = request(&self.0.state_dir, Request::Resume) {
            tracing::warn!("the flow could not be resumed: {}", error.chain());
        }
    }
}
