//! The Nexmark queries from JSON lines and from memory, in this process: events per CPU-second, the engine included, to a
//! sink that counts. Beside them DataFusion and DuckDB over the same file, one thread each, and Bytewax from PyPI.
//!
//! `AQUEDUCT_FIGURES_EVENTS` sets the number of events (1,000,000). Bytewax is installed into a temporary folder by
//! `benches/peers/setup.sh`; without a network the other figures are measured and the last says why it is not.

mod events;
mod flows;
mod lines;
mod others;
mod run;

use std::path::Path;

use crate::figure::{Bound, Figure, progress};
use crate::usage::{Usage, run_to_end};

use flows::{EVENTS, QUERIES, Query};
use run::Cost;

const RUNS: usize = 3;
/// Lines of the chain of parse, filter, mask and map.
const LINES: u64 = 1_000_000;

pub fn measure() -> Vec<Figure> {
    let count = std::env::var("AQUEDUCT_FIGURES_EVENTS").map_or(1_000_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("events.jsonl");
    let batches = events::batches(count);
    let bytes = events::write(&file, &batches);
    progress(&format!("nexmark: {count} events, {} bytes each as a line", bytes / count));
    let mut figures = Vec::new();
    for query in QUERIES {
        let from_lines = runs(|| run::flow(&flows::from_lines(query, &file), &[]));
        figures.push(rate(format!("nexmark {}: from JSON lines", query.name), count, query.least.0, &from_lines));
        let from_memory = runs(|| run::flow(&flows::from_memory(query), &batches));
        assert_eq!(from_lines[0].rows, from_memory[0].rows, "{} from both", query.name);
        figures.push(rate(format!("nexmark {}: from memory", query.name), count, query.least.1, &from_memory));
        others::beside(query, &file, count, from_lines[0].rows);
    }
    figures.push(finer_slide(&batches));
    figures.extend(ten_times(folder.path()));
    figures.push(chain(folder.path()));
    others::bytewax(folder.path(), &file, count);
    figures
}

fn runs(mut run: impl FnMut() -> Cost) -> Vec<Cost> {
    (0..RUNS).map(|_| run()).collect()
}

fn rate(name: String, count: u64, least: f64, costs: &[Cost]) -> Figure {
    let values = costs.iter().map(|cost| count as f64 / cost.cpu_seconds).collect();
    Figure::new(name, "events/CPU-s", Bound::AtLeast(least), values)
}

/// The same window with a slide ten times finer.
fn finer_slide(batches: &[aqueduct_model::Batch]) -> Figure {
    let mut ratios = Vec::new();
    for _ in 0..RUNS {
        let coarse = run::flow(&flows::hopping("1s"), batches);
        let fine = run::flow(&flows::hopping("100ms"), batches);
        assert!(fine.rows > coarse.rows * 9, "more windows");
        ratios.push(fine.cpu_seconds / coarse.cpu_seconds);
    }
    Figure::new("nexmark: a slide ten times finer", "x CPU", Bound::AtMost(1.3), ratios)
}

/// Ten times the events through the program itself.
fn ten_times(folder: &Path) -> [Figure; 2] {
    let (mut cpu, mut memory) = (Vec::new(), Vec::new());
    let usage = |count: u64| -> Usage {
        let file = folder.join("some.jsonl");
        events::write(&file, &events::batches(count));
        for leftover in ["state", "lake"] {
            // Missing before the first run.
            let _ = std::fs::remove_dir_all(folder.join(leftover));
        }
        std::fs::write(folder.join("flow.yaml"), flows::to_parquet(&file)).expect("a flow");
        run_to_end(&mut crate::daemon::command(folder))
    };
    let (once, tenfold) = (usage(EVENTS / 10), usage(EVENTS));
    progress(&format!(
        "nexmark: {:.2} CPU-seconds and {:.0} MiB, ten times the events {:.2} and {:.0}",
        once.cpu_seconds, once.peak_mib, tenfold.cpu_seconds, tenfold.peak_mib
    ));
    cpu.push(tenfold.cpu_seconds / once.cpu_seconds);
    memory.push(tenfold.peak_mib / once.peak_mib);
    [
        Figure::new("nexmark: ten times the events", "x CPU", Bound::AtMost(10.5), cpu),
        Figure::new("nexmark: ten times the events", "x memory", Bound::AtMost(1.2), memory),
    ]
}

/// Lines of 219 bytes: parse, filter, mask, map.
fn chain(folder: &Path) -> Figure {
    let file = folder.join("customers.jsonl");
    lines::write(&file, LINES);
    let costs = runs(|| run::flow(&flows::chain(&file), &[]));
    let values = costs.iter().map(|cost| LINES as f64 / cost.cpu_seconds).collect();
    Figure::new("nexmark: JSON, filter, mask, map", "lines/CPU-s", Bound::AtLeast(400_000.0), values)
}

impl Query {
    /// True where one pass over the bids answers it.
    fn is_row_by_row(&self) -> bool {
        matches!(self.name, "q0" | "q1" | "q2")
    }
}
