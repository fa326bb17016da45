//! Totals per group through SIGKILLs: SQLite CDC → Group → SQLite, beside what SQLite itself computes from the source.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Random, Work, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const KILLS: u64 = 24;
const SEED: u64 = 20_261_123;
/// Of the orders, and of what is made of them.
const FLOW: &str = "flow: flow
delivery: exactly_once
checkpoint: { interval: 20ms }
tasks:
  - { id: shop, plugin: CdcInput, config: { engine: sqlite, path: shop.db, tables: [orders] } }
  - id: regions
    plugin: Group
    from: shop
    config:
      by: [region]
      totals:
        orders: count(*)
        revenue: sum(amount)
        least: min(amount)
        dearest: max(amount)
        prices: count(distinct amount)
        large: count(*) filter (where amount > 500)
      state_memory: 1MiB
  - { id: copy, plugin: SQLiteOutput, from: regions, config: { path: totals.db } }
";
const EXPECTED: &str = "SELECT region, count(*), sum(amount), min(amount), max(amount), count(DISTINCT amount),
    count(*) FILTER (WHERE amount > 500) FROM orders GROUP BY region ORDER BY region";
const FOUND: &str = "SELECT region, orders, revenue, least, dearest, prices, large FROM regions ORDER BY region";

fn rows(path: &Path, sql: &str) -> Option<Vec<Vec<String>>> {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(Duration::from_secs(10)).ok()?;
    let mut statement = connection.prepare(sql).ok()?;
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|i| {
                Ok(match row.get_ref(i)? {
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    other => format!("{other:?}"),
                })
            })
            .collect()
    });
    rows.ok()?.collect::<Result<_, _>>().ok()
}

/// 60 % inserts, 30 % updates (some move a row to another region or give it another key), 10 % deletes.
fn write(path: &Path, end: &AtomicBool) {
    let mut connection = Connection::open(path).expect("the shop");
    connection.busy_timeout(Duration::from_secs(10)).expect("a timeout");
    let mut random = Random(SEED);
    while !end.load(Ordering::Relaxed) {
        let transaction = connection.transaction().expect("a transaction");
        for _ in 0..1 + random.below(5) {
            let (region, amount) = (format!("region {}", random.below(7)), random.below(1_000) as i64);
            let any = "(SELECT id FROM orders LIMIT 1 OFFSET abs(random()) % max(1, (SELECT count(*) FROM orders)))";
            let sql = match random.below(10) {
                0 => format!("DELETE FROM orders WHERE id = {any}"),
                1 => format!("UPDATE orders SET region = '{region}' WHERE id = {any}"),
                2 => format!("UPDATE orders SET amount = {amount} WHERE id = {any}"),
                3 => format!("UPDATE OR IGNORE orders SET id = {} WHERE id = {any}", random.below(1 << 40)),
                _ => format!("INSERT INTO orders (region, amount) VALUES ('{region}', {amount})"),
            };
            transaction.execute(&sql, []).expect("a change");
        }
        transaction.commit().expect("a commit");
        std::thread::park_timeout(Duration::from_micros(800));
    }
}

#[test]
fn totals_are_exact_through_kills() {
    let work = Work::with_flow(FLOW);
    let shop = work.file("shop.db");
    let connection = Connection::open(&shop).expect("a database");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT NOT NULL, amount INTEGER NOT NULL)",
        )
        .expect("a shop");
    let end = Arc::new(AtomicBool::new(false));
    let (path, ended) = (shop.clone(), end.clone());
    let writer = std::thread::spawn(move || write(&path, &ended));
    let mut random = Random(SEED + 1);
    for kill in 0..KILLS {
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        let until = Instant::now() + Duration::from_micros(random.below(if kill % 3 == 0 { 90_000 } else { 500_000 }));
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        daemon.kill();
    }
    end.store(true, Ordering::Relaxed);
    writer.join().expect("the writer does not fail");
    let expected = rows(&shop, EXPECTED).expect("the totals of the source");
    assert!(expected.len() > 3, "{expected:?}");
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    let totals = work.file("totals.db");
    let begun = Instant::now();
    while rows(&totals, FOUND).as_ref() != Some(&expected) && begun.elapsed() < LIMIT {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(rows(&totals, FOUND), Some(expected), "{}", log_of(work.path()));
    // What is verified is what the whole flow makes of the source.
    let verified = work.aqueduct(&["verify", "flow.yaml", "--state", "state"]).ok();
    assert!(verified.stdout.contains("0 missing, 0 extra, 0 different"), "{}", verified.stdout);
    // A table that is emptied has no groups.
    connection.execute("DELETE FROM orders", []).expect("a delete");
    eventually("no groups", LIMIT, || rows(&totals, FOUND).is_some_and(|rows| rows.is_empty()));
    assert_eq!(daemon.stop(), Some(0), "{}", log_of(work.path()));
}
