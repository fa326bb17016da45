//! What every sink promises.

mod fencing;
mod recovery;
mod shapes;
mod visibility;
mod writer;

use std::collections::BTreeSet;

use super::report::Report;
use super::row_text::{Tables, normal};
use crate::{Batch, Result, Sink};

type BuildSink = dyn Fn() -> Result<Box<dyn Sink>> + Send + Sync;
type ReadBack = dyn Fn() -> Result<Tables> + Send + Sync;

/// One empty target: how to make sink values for it and how to read what a reader of it sees.
pub struct SinkTarget {
    /// Makes a fresh sink value for this target.
    pub build: Box<BuildSink>,
    /// Reads what is visible, see [`Tables`]; a table that does not exist yet is left out.
    pub read_back: Box<ReadBack>,
}

impl SinkTarget {
    /// A target from its two functions. They own what the target lives in (a temporary folder).
    pub fn new(
        build: impl Fn() -> Result<Box<dyn Sink>> + Send + Sync + 'static,
        read_back: impl Fn() -> Result<Tables> + Send + Sync + 'static,
    ) -> Self {
        Self { build: Box::new(build), read_back: Box::new(read_back) }
    }
}

/// Rows of which a sink must refuse some and keep the others.
pub struct BadInput {
    /// The rows, of any table.
    pub batch: Batch,
    /// How many of them are refused.
    pub refused: usize,
    /// What is visible after an epoch of nothing but this batch.
    pub kept: Tables,
}

/// A sink to check.
pub struct SinkCase {
    /// Names the case in the report.
    pub name: String,
    /// Makes an empty target; called once per check.
    pub target: Box<dyn Fn() -> Result<SinkTarget> + Send + Sync>,
    /// `flush` is the commit, and `open` returns what it recorded; otherwise the sink is a staged one.
    pub transactional: bool,
    /// The sink takes updates and deletes, and `read_back` shows the state that follows from them by key.
    pub changes: bool,
    /// Only one value may have the target open, and nobody may read it meanwhile.
    pub exclusive: bool,
    /// Rows per large epoch.
    pub large_rows: usize,
    /// Tables in the epoch of many tables.
    pub tables: usize,
    /// Seeds of random runs with a crash in most epochs.
    pub seeds: u64,
    /// Rows that the sink must refuse, where it refuses any.
    pub bad_input: Option<BadInput>,
}

impl SinkCase {
    /// A staged sink that takes inserts only, with the usual sizes: 20,000 rows, 20 tables, 8 seeds.
    pub fn staged(name: &str, target: impl Fn() -> Result<SinkTarget> + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            target: Box::new(target),
            transactional: false,
            changes: false,
            exclusive: false,
            large_rows: 20_000,
            tables: 20,
            seeds: 8,
            bad_input: None,
        }
    }

    /// A transactional sink that takes changes by key, with the usual sizes.
    pub fn transactional(name: &str, target: impl Fn() -> Result<SinkTarget> + Send + Sync + 'static) -> Self {
        Self { transactional: true, changes: true, ..Self::staged(name, target) }
    }
}

/// Checks every promise of [`Sink`]; see the module for what is checked.
pub async fn check_sink(case: &SinkCase) -> Report {
    let mut report = Report::new(&case.name);
    visibility::check(case, &mut report).await;
    recovery::check(case, &mut report).await;
    fencing::check(case, &mut report).await;
    shapes::check(case, &mut report).await;
    report
}

/// Compares what a reader sees with what must be there.
fn shows(target: &SinkTarget, expected: &Tables, when: &str, report: &mut Report) -> Result<()> {
    let (got, expected) = (normal((target.read_back)()?), normal(expected.clone()));
    for table in got.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let none = Vec::new();
        let (got, expected) = (got.get(table).unwrap_or(&none), expected.get(table).unwrap_or(&none));
        if got != expected {
            let (seen, wanted): (BTreeSet<_>, BTreeSet<_>) = (got.iter().collect(), expected.iter().collect());
            let extra: Vec<_> = seen.difference(&wanted).take(3).collect();
            let missing: Vec<_> = wanted.difference(&seen).take(3).collect();
            let counts = format!("{} rows instead of {}", got.len(), expected.len());
            report.violated(format!("{when}: {table} has {counts}; missing {missing:?}, extra {extra:?}"));
        }
    }
    Ok(())
}

/// An error inside a check that expects none is a broken promise too.
fn finished(outcome: Result<()>, report: &mut Report) {
    if let Err(error) = outcome {
        report.violated(format!("it succeeds, but: {error:?}"));
    }
}
