//! A bank: money moves between accounts in transactions over three tables, for as long as the test wants.
//!
//! * `accounts(id, balance)`, `transfers(id, source, target, amount)`, and `audit(transfer, note)` *without a key*, so
//!   that a row written twice shows as two rows.
//! * In every committed state each balance is what the transfers make of it, and audit has one row per transfer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::Random;

pub const ACCOUNTS: i64 = 50;
const OPENING_BALANCE: i64 = 1_000;

/// The balances are what the transfers make of them, and the audit is complete: counts the rows that contradict.
pub const CONTRADICTIONS: &str = "
    SELECT (SELECT count(*) FROM accounts a LEFT JOIN (
              SELECT account, sum(amount) AS change FROM (
                SELECT source AS account, -amount AS amount FROM transfers UNION ALL SELECT target, amount FROM transfers
              ) moved GROUP BY account) t ON t.account = a.id WHERE a.balance <> 1000 + coalesce(t.change, 0))
         + abs((SELECT count(*) FROM transfers) - (SELECT count(*) FROM audit))
         + (SELECT count(*) - count(DISTINCT transfer) FROM audit)";

/// A bank and the thread that writes it.
pub struct Bank {
    stop: Arc<AtomicBool>,
    transfers: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Bank {
    /// Opens the bank with its accounts and starts writing: one transaction about every `pause`.
    pub fn open(path: &Path, seed: u64, pause: Duration) -> Self {
        let connection = Connection::open(path).expect("a database");
        connection.busy_timeout(Duration::from_secs(30)).expect("a timeout");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
                 CREATE TABLE transfers (id INTEGER PRIMARY KEY, source INTEGER, target INTEGER, amount INTEGER);
                 CREATE TABLE audit (transfer INTEGER NOT NULL, note TEXT);",
            )
            .expect("fresh tables");
        for id in 0..ACCOUNTS {
            connection.execute("INSERT INTO accounts VALUES (?1, ?2)", (id, OPENING_BALANCE)).expect("an account");
        }
        let (stop, transfers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (stop.clone(), transfers.clone());
        let writer = std::thread::spawn(move || {
            let mut random = Random(seed);
            while !stopped.load(Ordering::Relaxed) {
                transact(&connection, &mut random, counted.load(Ordering::Relaxed) as i64);
                counted.fetch_add(1, Ordering::Relaxed);
                if !pause.is_zero() {
                    std::thread::park_timeout(pause);
                }
            }
        });
        Self { stop, transfers, writer: Some(writer) }
    }

    /// Transfers so far.
    pub fn transfers(&self) -> u64 {
        self.transfers.load(Ordering::Relaxed)
    }

    /// Ends the writing; returns how many transfers there are.
    pub fn close(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.take().expect("closed once").join().expect("the writer does not fail");
        self.transfers()
    }
}

/// One transfer; now and then rolled back, now and then in several statements on the same row.
fn transact(connection: &Connection, random: &mut Random, id: i64) {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).expect("a statement runs");
    };
    let (source, target) = (random.below(ACCOUNTS as u64) as i64, random.below(ACCOUNTS as u64) as i64);
    let amount = random.below(20) as i64;
    run("BEGIN IMMEDIATE", &[]);
    if random.below(10) == 0 {
        run("UPDATE accounts SET balance = balance - 1000000", &[]);
        run("ROLLBACK", &[]);
        run("BEGIN IMMEDIATE", &[]);
    }
    run("UPDATE accounts SET balance = balance - ?1 WHERE id = ?2", &[&amount, &source]);
    run("INSERT INTO transfers VALUES (?1, ?2, ?3, ?4)", &[&id, &source, &target, &amount]);
    run("UPDATE accounts SET balance = balance + ?1 WHERE id = ?2", &[&amount, &target]);
    run("INSERT INTO audit VALUES (?1, ?2)", &[&id, &format!("transfer {id}")]);
    run("COMMIT", &[]);
}

/// A flow from the bank into SQLite and DuckDB.
pub fn flow(name: &str) -> String {
    format!(
        r#"
flow: {name}
delivery: exactly_once
checkpoint: {{ interval: 20ms }}
tasks:
  - {{ id: bank, plugin: CdcInput, config: {{ engine: sqlite, path: bank.db, tables: [accounts, transfers, audit] }} }}
  - {{ id: lite, plugin: SQLiteOutput, from: bank, config: {{ path: copy.db }} }}
  - {{ id: duck, plugin: DuckDBOutput, from: bank, config: {{ path: copy.duckdb }} }}
"#
    )
}
