//! A backlog of changes in a server's log, decoded and dropped, and applied exactly once to SQLite, DuckDB and PostgreSQL:
//! changes per CPU-second of the daemon, from its start to its end, decoding, epochs and commits included.
//!
//! `AQUEDUCT_FIGURES_SERVER_CHANGES` sets their number (300,000): 60 % inserts, 30 % updates, 10 % deletes, a hundred a
//! transaction.

use std::path::Path;
use std::time::Duration;

use aqueduct_test_servers::{Database, Kind, Options, Server};

use crate::csv_data::scatter;
use crate::daemon::{Daemon, rows_in};
use crate::figure::{Bound, Figure, progress};

const RUNS: usize = 3;
const CHANGES_PER_TRANSACTION: u64 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The plugin, its settings, and the bound.
const TARGETS: [(&str, &str, f64); 3] = [
    ("SQLiteOutput", "path: copy.db", 80_000.0),
    ("DuckDBOutput", "path: copy.duckdb", 60_000.0),
    ("PostgresOutput", "url: \"${env:TARGET_URL}\"", 40_000.0),
];

pub fn measure() -> Vec<Figure> {
    let changes = std::env::var("AQUEDUCT_FIGURES_SERVER_CHANGES")
        .map_or(300_000, |text| text.parse().expect("a number of changes"));
    let warehouse = Server::start(Kind::Postgres15, Options::new());
    let mut figures = Vec::new();
    for kind in [Kind::MariaDb, Kind::Postgres15] {
        let server = Server::start(kind, Options::new());
        let decoded = (0..RUNS).map(|_| decode(&server, changes)).collect();
        let bound = Bound::AtLeast(if kind.is_mysql() { 300_000.0 } else { 400_000.0 });
        figures.push(Figure::new(format!("stream_changes: {}, decoded", kind.name()), "changes/CPU-s", bound, decoded));
        for (plugin, settings, bound) in TARGETS {
            let rates = (0..RUNS).map(|_| apply(&server, &warehouse, (plugin, settings), changes)).collect();
            let name = format!("stream_changes: {} to {plugin}", kind.name());
            figures.push(Figure::new(name, "changes/CPU-s", Bound::AtLeast(bound), rates));
        }
    }
    figures
}

const ORDERS: &str = "
    CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT, product VARCHAR(40), quantity INT, amount DECIMAL(12,2),
                         status VARCHAR(10));
    INSERT INTO orders VALUES (0, 1, 'steel kettle', 1, 12.5, 'new')";

/// A flow from `source` whose further tasks are these.
fn flow(source: &Database<'_>, tasks: &str) -> tempfile::TempDir {
    let kind = source.server().kind();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = if kind.is_mysql() { source.name() } else { "public" };
    let text = format!(
        "flow: figures
delivery: exactly_once
tasks:
  - {{ id: shop, plugin: CdcInput, config: {{ engine: {}, url: \"${{env:SOURCE_URL}}\", tables: [{schema}.orders] }} }}
{tasks}",
        kind.engine()
    );
    std::fs::write(folder.path().join("flow.yaml"), text).expect("a flow");
    folder
}

/// Changes per CPU-second that are read and decoded, and dropped by a filter.
fn decode(server: &Server, changes: u64) -> f64 {
    let source = server.database();
    let folder = flow(
        &source,
        "  - { id: none, plugin: Filter, from: shop, config: { where: \"id < 0\" } }
  - { id: copy, plugin: SQLiteOutput, from: none, config: { path: copy.db } }
",
    );
    source.sql(ORDERS);
    let from = source.url("cdc");
    let environment = [("SOURCE_URL", from.as_str())];
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "the first row", |status| rows_in(status, "none") >= 1);
    daemon.stop();
    let rows = write_changes(&source, changes);
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "all changes", |status| rows_in(status, "none") >= rows);
    let usage = daemon.stop();
    let rate = changes as f64 / usage.cpu_seconds;
    progress(&format!(
        "stream_changes: {} decoded: {:.2} CPU-seconds, {:.2} s, {rate:.0} changes per CPU-second",
        server.kind().name(),
        usage.cpu_seconds,
        usage.seconds
    ));
    if !server.kind().is_mysql() {
        retire(folder.path(), &environment);
    }
    rate
}

/// Changes per CPU-second.
fn apply(server: &Server, warehouse: &Server, (plugin, settings): (&str, &str), changes: u64) -> f64 {
    let (source, target) = (server.database(), warehouse.database());
    let folder =
        flow(&source, &format!("  - {{ id: copy, plugin: {plugin}, from: shop, config: {{ {settings} }} }}\n"));
    source.sql(ORDERS);
    let (from, to) = (source.url("cdc"), target.url("cdc"));
    let environment = [("SOURCE_URL", from.as_str()), ("TARGET_URL", to.as_str())];
    // The first run copies the one row that is there.
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "the first row", |status| rows_in(status, "copy") >= 1);
    daemon.stop();
    let rows = write_changes(&source, changes);
    let mut daemon = Daemon::start_with(folder.path(), &environment);
    daemon.wait_until(LOOK_EVERY, "all changes", |status| rows_in(status, "copy") >= rows);
    let usage = daemon.stop();
    check(&source, &target, folder.path(), plugin);
    let rate = changes as f64 / usage.cpu_seconds;
    progress(&format!(
        "stream_changes: {} to {plugin}: {:.2} CPU-seconds, {:.2} s, {:.0} MiB, {rate:.0} changes per CPU-second",
        server.kind().name(),
        usage.cpu_seconds,
        usage.seconds,
        usage.peak_mib
    ));
    if !server.kind().is_mysql() {
        retire(folder.path(), &environment);
    }
    rate
}

/// Writes the changes; returns the rows that they are in the stream. MySQL and MariaDB log an update with its old row.
fn write_changes(source: &Database<'_>, changes: u64) -> u64 {
    let mut client = source.connect();
    let (mut live, mut next) = (vec![0_u64], 1_u64);
    let (mut statements, mut updates) = (String::new(), 0);
    for change in 0..changes {
        if change % CHANGES_PER_TRANSACTION == 0 {
            statements.push_str("BEGIN;");
        }
        let bits = scatter(change);
        let at = (bits >> 32) as usize % live.len();
        match bits % 10 {
            0 if live.len() > 1 => {
                statements.push_str(&format!("DELETE FROM orders WHERE id = {};", live.swap_remove(at)));
            }
            1..=3 => {
                updates += 1;
                statements.push_str(&format!(
                    "UPDATE orders SET quantity = quantity + 1, status = 's{}' WHERE id = {};",
                    bits % 7,
                    live[at]
                ));
            }
            _ => {
                let (customer, amount) = ((bits >> 40) % 10_000, (bits >> 24) % 100_000);
                statements.push_str(&format!(
                    "INSERT INTO orders VALUES ({next}, {customer}, 'walnut desk lamp', 1, {}.{:02}, 'new');",
                    amount / 100,
                    amount % 100
                ));
                live.push(next);
                next += 1;
            }
        }
        if change % CHANGES_PER_TRANSACTION == CHANGES_PER_TRANSACTION - 1 || change + 1 == changes {
            statements.push_str("COMMIT;");
            client.sql(&std::mem::take(&mut statements));
        }
    }
    if source.server().kind().is_mysql() { changes + updates } else { changes }
}

/// The target holds what the source holds.
fn check(source: &Database<'_>, target: &Database<'_>, folder: &Path, plugin: &str) {
    let sql = "SELECT count(*), CAST(coalesce(sum(quantity), 0) AS DECIMAL(18,0)) FROM orders";
    let count = |row: (i64, i64)| format!("{} {}", row.0, row.1);
    let local = "SELECT count(*), CAST(coalesce(sum(quantity), 0) AS BIGINT) FROM orders";
    let held = match plugin {
        "SQLiteOutput" => {
            let connection = rusqlite::Connection::open(folder.join("copy.db")).expect("a database");
            count(connection.query_row(local, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("totals"))
        }
        "DuckDBOutput" => {
            let connection = duckdb::Connection::open(folder.join("copy.duckdb")).expect("a database");
            count(connection.query_row(local, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("totals"))
        }
        _ => totals(target, sql),
    };
    assert_eq!(held, totals(source, sql), "{plugin} holds what the source holds");
}

fn totals(database: &Database<'_>, sql: &str) -> String {
    let rows = database.sql(sql);
    let cells: Vec<String> = rows[0].iter().map(|cell| cell.clone().unwrap_or_default()).collect();
    cells.join(" ")
}

/// Drops the slot, so that the server does not keep the log of every run.
fn retire(folder: &Path, environment: &[(&str, &str)]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    let status = command
        .current_dir(folder)
        .args(["retire", "flow.yaml", "--state", "state"])
        .envs(environment.iter().copied())
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "the slot is dropped");
}
