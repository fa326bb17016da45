//! A backlog of changes in a SQLite database, applied to DuckDB and to SQLite by one daemon each: changes per
//! CPU-second of the daemon, from its start to its end.
//!
//! `AQUEDUCT_FIGURES_CHANGES` sets their number (500,000): 60 % inserts, 30 % updates, 10 % deletes, ten a transaction.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use crate::csv_data::scatter;
use crate::daemon::{Daemon, rows_in};
use crate::figure::{Bound, Figure, progress};

const RUNS: usize = 3;
const CHANGES_PER_TRANSACTION: u64 = 10;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const TOTALS: &str = "SELECT count(*), CAST(coalesce(sum(quantity), 0) AS BIGINT) FROM orders";

/// Where changes go: the plugin, its file, and what is asked of it.
struct Target {
    plugin: &'static str,
    file: &'static str,
    changes_per_cpu_second: f64,
    totals: fn(&Path) -> (i64, i64),
}

const TARGETS: [Target; 2] = [
    Target { plugin: "DuckDBOutput", file: "copy.duckdb", changes_per_cpu_second: 60_000.0, totals: duckdb_totals },
    Target { plugin: "SQLiteOutput", file: "copy.db", changes_per_cpu_second: 80_000.0, totals: sqlite_totals },
];

pub fn measure() -> Vec<Figure> {
    let changes =
        std::env::var("AQUEDUCT_FIGURES_CHANGES").map_or(500_000, |text| text.parse().expect("a number of changes"));
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (target, rates) in TARGETS.iter().zip(&mut rates) {
            rates.push(apply(target, changes));
        }
    }
    let figure = |(target, rates): (&Target, Vec<f64>)| {
        let bound = Bound::AtLeast(target.changes_per_cpu_second);
        Figure::new(format!("cdc_apply: {changes} to {}", target.plugin), "changes/CPU-s", bound, rates)
    };
    TARGETS.iter().zip(rates).map(figure).collect()
}

/// Changes per CPU-second.
fn apply(target: &Target, changes: u64) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let flow = format!(
        "flow: figures
delivery: exactly_once
tasks:
  - {{ id: shop, plugin: CdcInput, config: {{ engine: sqlite, path: shop.db, tables: [orders] }} }}
  - {{ id: copy, plugin: {}, from: shop, config: {{ path: {} }} }}
",
        target.plugin, target.file
    );
    std::fs::write(folder.join("flow.yaml"), flow).expect("a flow");
    let shop = open_shop(&folder.join("shop.db"));
    // The first run installs the capture and copies the one row that is there.
    let mut daemon = Daemon::start(folder);
    daemon.wait_until(LOOK_EVERY, "the first row", |status| rows_in(status, "copy") >= 1);
    daemon.stop();
    let rows = write_changes(&shop, changes);
    let mut daemon = Daemon::start(folder);
    daemon.wait_until(LOOK_EVERY, "all changes", |status| rows_in(status, "copy") >= rows);
    let usage = daemon.stop();
    let held = shop.query_row(TOTALS, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("totals of the source");
    assert_eq!((target.totals)(&folder.join(target.file)), held, "{} holds what the source holds", target.file);
    let rate = changes as f64 / usage.cpu_seconds;
    progress(&format!(
        "cdc_apply: {}: {:.2} CPU-seconds, {:.2} s, {:.0} MiB, {rate:.0} changes per CPU-second",
        target.plugin, usage.cpu_seconds, usage.seconds, usage.peak_mib
    ));
    rate
}

fn open_shop(path: &Path) -> Connection {
    let shop = Connection::open(path).expect("a database");
    shop.busy_timeout(Duration::from_secs(30)).expect("a timeout");
    shop.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, product TEXT, quantity INTEGER,
                              amount DECIMAL(12,2), status TEXT);
         INSERT INTO orders VALUES (0, 1, 'steel kettle', 1, 12.5, 'new');",
    )
    .expect("fresh tables");
    shop
}

/// Writes the changes; returns the rows that they are in the stream, where an update is two.
fn write_changes(shop: &Connection, changes: u64) -> u64 {
    let mut insert = shop.prepare("INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, 'new')").expect("a statement");
    let mut update =
        shop.prepare("UPDATE orders SET status = ?2, quantity = quantity + 1 WHERE id = ?1").expect("a statement");
    let mut delete = shop.prepare("DELETE FROM orders WHERE id = ?1").expect("a statement");
    let (mut live, mut next, mut updates) = (vec![0_i64], 1_i64, 0);
    for change in 0..changes {
        if change % CHANGES_PER_TRANSACTION == 0 {
            shop.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        }
        let bits = scatter(change);
        let at = (bits >> 32) as usize % live.len();
        match bits % 10 {
            0 if live.len() > 1 => {
                delete.execute([live.swap_remove(at)]).expect("a delete");
            }
            1..=3 => {
                let status = ["paid", "shipped", "returned"][(bits >> 8) as usize % 3];
                update.execute((live[at], status)).expect("an update");
                updates += 1;
            }
            _ => {
                let draw = |shift: u32, below: u64| ((bits >> shift) % below) as i64;
                let amount = draw(24, 100_000) as f64 / 100.0;
                let values = (next, draw(40, 10_000), "walnut desk lamp", draw(16, 9) + 1, amount);
                insert.execute(values).expect("an insert");
                live.push(next);
                next += 1;
            }
        }
        if change % CHANGES_PER_TRANSACTION == CHANGES_PER_TRANSACTION - 1 || change + 1 == changes {
            shop.execute_batch("COMMIT").expect("a commit");
        }
    }
    shop.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a WAL checkpoint");
    changes + updates
}

fn sqlite_totals(path: &Path) -> (i64, i64) {
    let connection = Connection::open(path).expect("a database");
    connection.query_row(TOTALS, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("totals of the target")
}

fn duckdb_totals(path: &Path) -> (i64, i64) {
    let connection = duckdb::Connection::open(path).expect("a database");
    connection.query_row(TOTALS, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("totals of the target")
}
