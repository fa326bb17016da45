//! What stays within 256 MiB however much there is: a snapshot of ten million rows under writes and SIGKILLs, a
//! transaction of five million rows, a target that stands still.
//!
//! `AQUEDUCT_FIGURES_SNAPSHOT_ROWS` (2,000,000), `AQUEDUCT_FIGURES_TRANSACTION_ROWS` (1,000,000) and
//! `AQUEDUCT_FIGURES_STALL_SECONDS` (30) set how much; the figures are told with 10,000,000, 5,000,000 and 600.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aqueduct_test_servers::{Client, Database, Kind, Options, Server};
use serde_json::Value;

use crate::daemon::{Daemon, rows_in};
use crate::figure::{Bound, Figure, progress};
use crate::usage::memory_mib;

const BOUND: Bound = Bound::AtMost(256.0);
const KILLS: u64 = 20;
const WRITES_PER_SECOND: u64 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const ORDERS: &str =
    "CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id BIGINT, product VARCHAR(40), quantity INT,
                                            amount DECIMAL(12,2))";

pub fn measure() -> Vec<Figure> {
    vec![snapshot(), transaction(Kind::MariaDb), transaction(Kind::Postgres15), stall()]
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// A snapshot of MariaDB into SQLite while a thousand rows a second are written, killed twenty times, then verified.
fn snapshot() -> Figure {
    let rows = setting("AQUEDUCT_FIGURES_SNAPSHOT_ROWS", 2_000_000);
    let server =
        Server::start(Kind::MariaDb, Options::new().config("general-log=1").config("general-log-file=statements"));
    let source = server.database();
    fill(&source, rows);
    let folder = flow(&source, "SQLiteOutput", "path: copy.db");
    let environment = [("SOURCE_URL", source.url("cdc"))];
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let locks = locks(&source);
    let writer = Writer::start(source.connect(), rows);
    let mut peak: f64 = 0.0;
    let begun = Instant::now();
    for _ in 0..KILLS {
        let mut daemon = Daemon::start_with(folder.path(), &environment);
        peak = peak
            .max(watched(&mut daemon, "a part of the rows", |status| rows_in(status, "copy") >= rows / (KILLS + 4)));
        daemon.kill();
    }
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    peak = peak.max(watched(&mut daemon, "the whole snapshot", |_| copied(folder.path()) >= rows));
    let written = writer.stop();
    let chunks = chunks_read(&server);
    let verified = Instant::now();
    verify(folder.path(), &environment);
    let verified = verified.elapsed();
    peak = peak.max(memory_mib(daemon.pid(), "VmHWM:").unwrap_or_default());
    daemon.stop();
    let distinct = chunks.iter().collect::<std::collections::BTreeSet<_>>().len();
    let again = chunks.len() - distinct;
    progress(&format!(
        "bounded_memory: {rows} rows under {written} writes and {KILLS} kills: {:.0} s, verified in {:.0} s; locks taken {}; \
         {} reads of chunks, {again} of them again; peak {peak:.0} MiB",
        begun.elapsed().as_secs_f64(),
        verified.as_secs_f64(),
        self::locks(&source) - locks,
        chunks.len()
    ));
    assert!(distinct as u64 > KILLS && again as u64 <= 2 * KILLS, "two chunks are read again after a kill at most");
    assert_eq!(self::locks(&source), locks, "no table is locked");
    Figure::new(format!("bounded_memory: snapshot of {rows} rows, {KILLS} kills"), "MiB at most", BOUND, vec![peak])
}

/// One transaction that changes every row of a table, into SQLite.
fn transaction(kind: Kind) -> Figure {
    let rows = setting("AQUEDUCT_FIGURES_TRANSACTION_ROWS", 1_000_000);
    let server = Server::start(kind, Options::new());
    let source = server.database();
    fill(&source, 1_000);
    let folder = flow(&source, "SQLiteOutput", "path: copy.db");
    let url = source.url("cdc");
    let environment = [("SOURCE_URL", url.as_str())];
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "the first rows", |status| rows_in(status, "copy") >= 1_000);
    let begun = Instant::now();
    source.sql(&format!(
        "BEGIN; INSERT INTO orders {}; UPDATE orders SET quantity = quantity + 1 WHERE id <= 1000; COMMIT",
        numbers(kind, 1_001, 1_000 + rows)
    ));
    let committed = begun.elapsed();
    let peak = watched(&mut daemon, "the transaction", |_| copied(folder.path()) >= rows + 1_000);
    progress(&format!(
        "bounded_memory: a transaction of {rows} rows from {}: {:.0} s to commit, {:.0} s until it was copied, peak {peak:.0} MiB",
        kind.name(),
        committed.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    ));
    verify(folder.path(), &environment);
    daemon.stop();
    Figure::new(
        format!("bounded_memory: transaction of {rows} rows, {}", kind.name()),
        "MiB at most",
        BOUND,
        vec![peak],
    )
}

/// A target whose table another session has locked, under a thousand writes a second.
fn stall() -> Figure {
    let seconds = setting("AQUEDUCT_FIGURES_STALL_SECONDS", 30);
    let (server, warehouse) =
        (Server::start(Kind::MariaDb, Options::new()), Server::start(Kind::Postgres15, Options::new()));
    let (source, target) = (server.database(), warehouse.database());
    fill(&source, 100_000);
    let folder = flow(&source, "PostgresOutput", "url: \"${env:TARGET_URL}\"");
    let (from, to) = (source.url("cdc"), target.url("cdc"));
    let environment = [("SOURCE_URL", from.as_str()), ("TARGET_URL", to.as_str())];
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "the snapshot", |status| rows_in(status, "copy") >= 100_000);
    let count = |sql: &str| target.sql(sql)[0][0].clone().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    // The target's table is made with the first rows.
    while target.sql("SELECT to_regclass('orders')")[0][0].is_none() || count("SELECT count(*) FROM orders") < 100_000 {
        std::thread::sleep(LOOK_EVERY);
    }
    let mut lock = target.connect();
    lock.sql("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    let writer = Writer::start(source.connect(), 100_000);
    let begun = Instant::now();
    let stalled = Cell::new(0.0_f64);
    let peak = watched(&mut daemon, "the end of the stall", |_| {
        stalled.set(begun.elapsed().as_secs_f64());
        begun.elapsed() >= Duration::from_secs(seconds)
    });
    let written = writer.stop();
    lock.sql("ROLLBACK");
    let released = Instant::now();
    let peak = peak
        .max(watched(&mut daemon, "what waited", |_| count("SELECT count(*) FROM orders") >= 100_000 + written / 2));
    progress(&format!(
        "bounded_memory: stalled for {:.0} s under {written} writes, caught up {:.1} s later, peak {peak:.0} MiB",
        stalled.get(),
        released.elapsed().as_secs_f64()
    ));
    verify(folder.path(), &environment);
    daemon.stop();
    Figure::new(format!("bounded_memory: target stalled for {seconds} s"), "MiB at most", BOUND, vec![peak])
}

/// Waits, and returns the most memory that the daemon held.
fn watched(daemon: &mut Daemon, what: &str, holds: impl Fn(&Value) -> bool) -> f64 {
    daemon.wait_until(LOOK_EVERY, what, holds);
    memory_mib(daemon.pid(), "VmHWM:").expect("the daemon runs")
}

/// `orders` with the ids from one to this.
fn fill(source: &Database<'_>, rows: u64) {
    source.sql(ORDERS);
    source.sql(&format!("INSERT INTO orders {}", numbers(source.server().kind(), 1, rows)));
}

/// A query that makes rows of `orders`.
fn numbers(kind: Kind, first: u64, last: u64) -> String {
    let columns = "i, i * 7 % 10000, CONCAT('product ', i % 500), i % 9, i % 100000 / 100.0";
    match kind {
        Kind::MariaDb => format!(
            "SELECT seq, seq * 7 % 10000, CONCAT('product ', seq % 500), seq % 9, seq % 100000 / 100.0 FROM seq_{first}_to_{last}"
        ),
        _ => format!("SELECT {columns} FROM generate_series({first}::bigint, {last}) i"),
    }
}

fn flow(source: &Database<'_>, plugin: &str, settings: &str) -> tempfile::TempDir {
    let kind = source.server().kind();
    let schema = if kind.is_mysql() { source.name() } else { "public" };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        "flow: figures
delivery: exactly_once
tasks:
  - {{ id: shop, plugin: CdcInput, config: {{ engine: {}, url: \"${{env:SOURCE_URL}}\", tables: [{schema}.orders], max_source_load: 1.0 }} }}
  - {{ id: copy, plugin: {plugin}, from: shop, config: {{ {settings} }} }}
",
        kind.engine()
    );
    std::fs::write(folder.path().join("flow.yaml"), text).expect("a flow");
    folder
}

fn copied(folder: &Path) -> u64 {
    let Ok(connection) = rusqlite::Connection::open(folder.join("copy.db")) else { return 0 };
    // The table is not there at first.
    connection.query_row("SELECT coalesce(max(id), 0) FROM orders", [], |row| row.get::<_, i64>(0)).unwrap_or(0) as u64
}

/// Both sides are equal, row by row.
fn verify(folder: &Path, environment: &[(&str, &str)]) {
    let output = Command::new(env!("CARGO_BIN_EXE_aqueduct"))
        .current_dir(folder)
        .args(["verify", "flow.yaml", "--state", "state"])
        .envs(environment.iter().copied())
        .output()
        .expect("the program starts");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Locks of tables that any session took so far.
fn locks(source: &Database<'_>) -> u64 {
    let counted = source.sql(
        "SELECT sum(variable_value) FROM information_schema.global_status
         WHERE variable_name IN ('COM_LOCK_TABLES', 'COM_FLUSH')",
    );
    counted[0][0].as_deref().and_then(|text| text.split('.').next()?.parse().ok()).unwrap_or_default()
}

/// Where each read of a range of rows begins, from the server's log of statements.
fn chunks_read(server: &Server) -> Vec<String> {
    let log = std::fs::read(server.folder().join("data/statements")).expect("the server's log of statements");
    let statements = String::from_utf8_lossy(&log).into_owned();
    // With their values: a statement is prepared once per connection.
    let reads = statements.lines().filter(|line| {
        line.contains("Execute") && line.contains("SELECT") && line.contains("customer_id") && line.contains("FROM")
    });
    // A chunk that is read again may end elsewhere: chunks grow while the source is quick.
    let begins = reads.map(|line| match line.split_once("WHERE") {
        Some((_, condition)) => condition.split(" AND ").next().unwrap_or_default().trim().to_owned(),
        None => String::new(),
    });
    begins.collect()
}

/// A thousand changes a second: every second one a new row.
struct Writer {
    end: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn start(mut client: Client, rows: u64) -> Self {
        let (end, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ended, counted) = (end.clone(), written.clone());
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            for n in 1.. {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                client.sql(&match n % 2 {
                    0 => format!("INSERT INTO orders VALUES ({}, 1, 'new', 1, 1.5)", rows + n / 2),
                    _ => format!("UPDATE orders SET quantity = {n} WHERE id = {}", n * 7_919 % rows + 1),
                });
                counted.store(n, Ordering::Relaxed);
                let due = begun + Duration::from_micros(n * 1_000_000 / WRITES_PER_SECOND);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        Self { end, written, thread }
    }

    /// How many it wrote.
    fn stop(self) -> u64 {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().expect("the writer does not fail");
        self.written.load(Ordering::Relaxed)
    }
}
