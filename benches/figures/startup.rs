//! How soon a flow is ready, and what it costs while nothing happens.

use std::time::Duration;

use crate::daemon::Daemon;
use crate::figure::{Bound, Figure, progress};
use crate::usage::{cpu_seconds, memory_mib};

const STARTS: usize = 20;
/// Long enough that CPU time, which is shown in hundredths of a second, says something.
const IDLE: Duration = Duration::from_secs(20);
const FLOW: &str = "flow: figures
delivery: exactly_once
tasks:
  - { id: shop, plugin: CdcInput, config: { engine: sqlite, path: shop.db, tables: [orders] } }
  - { id: copy, plugin: SQLiteOutput, from: shop, config: { path: copy.db } }
";

pub fn measure() -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    std::fs::write(folder.join("flow.yaml"), FLOW).expect("a flow");
    let shop = rusqlite::Connection::open(folder.join("shop.db")).expect("a database");
    shop.execute_batch(
        "PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, product TEXT);
         INSERT INTO orders VALUES (1, 'steel kettle');",
    )
    .expect("a fresh table");
    // The first start makes the state; those that are measured find it.
    ready(folder).0.stop();
    let starts = (0..STARTS)
        .map(|_| {
            let (daemon, milliseconds) = ready(folder);
            daemon.stop();
            milliseconds
        })
        .collect();
    let (daemon, _) = ready(folder);
    // The first checkpoint belongs to the start.
    std::thread::sleep(Duration::from_secs(2));
    let before = cpu_seconds(daemon.pid());
    std::thread::sleep(IDLE);
    let cpu = (cpu_seconds(daemon.pid()) - before) / IDLE.as_secs_f64() * 100.0;
    let memory = memory_mib(daemon.pid(), "VmRSS:").expect("the daemon runs");
    let own = memory_mib(daemon.pid(), "RssAnon:").expect("the daemon runs");
    progress(&format!("startup: idle daemon: {memory:.1} MiB resident, {own:.1} MiB of them not file pages"));
    daemon.stop();
    vec![
        Figure::new("startup: start to running", "ms", Bound::AtMost(150.0), starts),
        Figure::new("startup: idle, resident", "MiB", Bound::AtMost(50.0), vec![memory]),
        Figure::new("startup: idle, CPU", "% of a core", Bound::AtMost(0.5), vec![cpu]),
    ]
}

/// A daemon that has just come to the state `running`, and how many milliseconds that took.
fn ready(folder: &std::path::Path) -> (Daemon, f64) {
    let mut daemon = Daemon::start(folder);
    daemon.wait_until(Duration::from_millis(1), "running", |status| status["state"] == "running");
    let milliseconds = daemon.age().as_secs_f64() * 1e3;
    (daemon, milliseconds)
}
