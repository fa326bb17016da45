//! A sink that is far slower than its source: memory stays bounded, nothing is lost.

use std::time::Duration;

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Work, eventually};

/// How much more a slow run may take than a fast one, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1_024;

const FLOW: &str = "flow: flow
checkpoint: { interval: 200ms }
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: orders, rows: 2000000, seed: 1 } }
  - { id: store, plugin: SQLiteOutput, from: rows, config: { path: out.db } }
";

/// The most memory that a process ever held, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("0");
    line.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn stored(work: &Work) -> i64 {
    let connection = rusqlite::Connection::open(work.file("out.db")).expect("a database");
    connection.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap_or(0)
}

/// Peak memory once this many rows are stored.
fn peak_at(rows: i64, environment: &[(&str, &str)]) -> (u64, Work) {
    let work = Work::with_flow(FLOW);
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", environment);
    eventually(&format!("{rows} rows"), Duration::from_secs(120), || stored(&work) >= rows);
    let peak = peak_kib(daemon.pid());
    daemon.kill();
    (peak, work)
}

#[test]
fn a_hundred_times_slower_sink_costs_at_most_64_mib_and_no_row() {
    let (fast, _) = peak_at(500_000, &[]);
    // Every batch waits in the sink: 8,192 rows that take some 10 ms take a second.
    let (slow, work) = peak_at(16_000, &[("FAILPOINTS", "sink.write=sleep(1000)")]);
    println!("peak memory: fast {} MiB, slow {} MiB", fast / 1_024, slow / 1_024);
    assert!(slow <= fast + GROWTH_KIB_MAX, "{slow} KiB against {fast} KiB");
    let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    assert_eq!(daemon.wait(), Some(0), "{}", log_of(work.path()));
    assert_eq!(stored(&work), 2_000_000);
}
