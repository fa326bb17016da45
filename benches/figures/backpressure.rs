//! A sink a hundred times slower than the source: how much more memory it takes than a fast one.

use std::time::Duration;

use crate::daemon::{Daemon, rows_in};
use crate::figure::{Bound, Figure, progress};
use crate::usage::memory_mib;

const PAIRS: usize = 3;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const FLOW: &str = "flow: figures
checkpoint: { interval: 200ms }
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: orders, rows: 50000000, seed: 1 } }
  - { id: copy, plugin: SQLiteOutput, from: rows, config: { path: copy.db } }
";

pub fn measure() -> Vec<Figure> {
    if !cfg!(feature = "failpoints") {
        progress("backpressure is left out: what makes the sink slow needs `--features failpoints`");
        return Vec::new();
    }
    let growth = (0..PAIRS)
        .map(|_| {
            let fast = peak_mib(1_000_000, &[]);
            // 8,192 rows that take some 10 ms take a second.
            let slow = peak_mib(40_000, &[("FAILPOINTS", "sink.write=sleep(1000)")]);
            progress(&format!("backpressure: fast {fast:.1} MiB, slow {slow:.1} MiB"));
            slow - fast
        })
        .collect();
    vec![Figure::new("backpressure: slow sink - fast sink", "MiB at most", Bound::AtMost(64.0), growth)]
}

/// Peak memory once the sink has taken this many rows.
fn peak_mib(rows: u64, environment: &[(&str, &str)]) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("flow.yaml"), FLOW).expect("a flow");
    let mut daemon = Daemon::start_with(folder.path(), environment);
    daemon.wait_until(LOOK_EVERY, "rows in the sink", |status| rows_in(status, "copy") >= rows);
    let peak = memory_mib(daemon.pid(), "VmHWM:").expect("the daemon runs");
    daemon.kill();
    peak
}
