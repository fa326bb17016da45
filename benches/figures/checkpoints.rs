//! What checkpoints cost: one a second against one an hour.

use std::time::Duration;

use crate::figure::{Bound, Figure, progress};
use crate::pipeline::{Cost, Pipeline, rows_in};

/// So long a run has some checkpoints, and does not only measure what else the machine does.
const RUN_SECONDS: f64 = 20.0;
const PAIRS: usize = 5;
const BOUND: Bound = Bound::AtMost(5.0);

pub fn measure() -> Vec<Figure> {
    let rows = rows_in(RUN_SECONDS);
    let run = |seconds| Pipeline { operators: 1, rows, checkpoint_interval: Duration::from_secs(seconds) }.run();
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (rare, often) = (run(3_600), run(1));
        let lost = |of: fn(&Cost) -> f64| (1.0 - of(&rare) / of(&often)) * 100.0;
        cpu.push(lost(|cost| cost.cpu_seconds));
        wall.push(lost(|cost| cost.seconds));
        progress(&format!(
            "checkpoints: 1 h {:.2} CPU-seconds in {:.2} s, 1 s {:.2} CPU-seconds in {:.2} s for {rows} rows",
            rare.cpu_seconds, rare.seconds, often.cpu_seconds, often.seconds
        ));
    }
    vec![
        Figure::new("checkpoints: rows per CPU-second", "% lost at 1 s", BOUND, cpu),
        Figure::new("checkpoints: rows per second", "% lost at 1 s", BOUND, wall),
    ]
}
