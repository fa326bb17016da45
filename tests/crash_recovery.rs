//! SIGKILL at any moment: SQLite CDC → SQLite and DuckDB, a writer that never stops, transactions over three tables.
//!
//! `AQUEDUCT_KILLS` says how often (default 200). 0 lost, 0 doubled, 0 torn.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::bank::{Bank, CONTRADICTIONS, flow};
use crate::harness::daemon::{Daemon, log_end_of, log_of};
use crate::harness::{Random, Work, eventually};

const LIMIT: Duration = Duration::from_secs(60);
const FIRST_SEED: u64 = 20_261_122;
const KILLS_PER_BANK: u64 = 200;
/// How often the target is asked for new rows, in microseconds.
const POLL_US: u64 = 5_000;

fn kills() -> u64 {
    std::env::var("AQUEDUCT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn sqlite_number(path: &Path, sql: &str) -> Option<i64> {
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(Duration::from_secs(10)).ok()?;
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

fn duckdb_number(path: &Path, sql: &str) -> Option<i64> {
    let config = duckdb::Config::default().access_mode(duckdb::AccessMode::ReadOnly).ok()?;
    let connection = duckdb::Connection::open_with_flags(path, config).ok()?;
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

/// What a series of kills came to.
#[derive(Default)]
struct Tally {
    transfers: u64,
    torn: i64,
    doubled: i64,
    checks: u64,
    recoveries: Vec<Duration>,
}

impl Tally {
    /// The invariant in both targets, at whatever moment this is; targets that have no tables yet hold nothing.
    fn check(&mut self, work: &Work) {
        for found in [
            sqlite_number(&work.file("copy.db"), CONTRADICTIONS),
            duckdb_number(&work.file("copy.duckdb"), CONTRADICTIONS),
        ]
        .into_iter()
        .flatten()
        {
            self.torn += found;
            self.checks += 1;
        }
    }
}

#[test]
fn a_daemon_killed_at_any_moment_loses_doubles_and_tears_nothing() {
    let kills = kills();
    let mut tally = Tally::default();
    let mut left = kills;
    while left > 0 {
        // A bank of its own for every so many kills: comparing it takes longer the longer it is written.
        let round = left.min(KILLS_PER_BANK);
        kill_and_compare(FIRST_SEED + kills - left, round, &mut tally);
        left -= round;
    }
    report(kills, &mut tally);
    assert_eq!(tally.torn, 0, "a target showed a transaction in parts");
    assert_eq!(tally.doubled, 0, "a target holds rows twice");
}

/// Kills the daemon so often while its bank is written, then compares every row.
fn kill_and_compare(seed: u64, kills: u64, tally: &mut Tally) {
    let work = Work::with_flow(&flow("flow"));
    let mut random = Random(seed);
    let bank = Bank::open(&work.file("bank.db"), seed, Duration::from_micros(500));
    for kill in 0..kills {
        let started = Instant::now();
        let before = sqlite_number(&work.file("copy.db"), "SELECT count(*) FROM transfers").unwrap_or(0);
        let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        // A third dies during its recovery, a third soon after, a third once it has moved rows.
        match kill % 3 {
            0 => park(random.below(35_000)),
            1 => park(random.below(250_000)),
            _ => {
                let deadline = started + LIMIT;
                while sqlite_number(&work.file("copy.db"), "SELECT count(*) FROM transfers").unwrap_or(0) <= before {
                    let log = || log_end_of(work.path());
                    assert!(Instant::now() < deadline, "kill {kill}: no new row behind the {before}\n{}", log());
                    assert!(!daemon.has_ended(), "kill {kill}: the daemon ended\n{}", log());
                    park(POLL_US);
                }
                tally.recoveries.push(started.elapsed());
                park(random.below(60_000));
            }
        }
        daemon.kill();
        if kill % 5 == 0 {
            tally.check(&work);
        }
    }
    let transfers = bank.close();
    tally.transfers += transfers;
    tally.doubled += finish(&work, transfers, tally);
}

fn park(microseconds: u64) {
    let until = Instant::now() + Duration::from_micros(microseconds);
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Lets the flow catch up, stops it, and compares every row of every table; returns how many audit rows are doubled.
fn finish(work: &Work, transfers: u64, tally: &mut Tally) -> i64 {
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("all transfers in the target", LIMIT, || {
        sqlite_number(&work.file("copy.db"), "SELECT count(*) FROM transfers") == Some(transfers as i64)
    });
    assert_eq!(daemon.stop(), Some(0), "{}", log_of(work.path()));
    tally.check(work);
    work.aqueduct(&["verify", "flow.yaml", "--state", "state"]).ok();
    let mut doubled = 0;
    for table in ["accounts", "transfers", "audit"] {
        let source = sqlite_rows(&work.file("bank.db"), table);
        assert!(sqlite_rows(&work.file("copy.db"), table) == source, "SQLite: {table} differs");
        assert!(duckdb_rows(&work.file("copy.duckdb"), table) == source, "DuckDB: {table} differs");
        let distinct: std::collections::BTreeSet<_> = source.iter().collect();
        doubled += source.len() as i64 - distinct.len() as i64;
    }
    doubled
}

/// All rows as text, in order: an independent reading, without anything of ours.
fn sqlite_rows(path: &Path, table: &str) -> Vec<Vec<String>> {
    let connection = rusqlite::Connection::open(path).expect("a database");
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
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
    let mut rows: Vec<Vec<String>> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    rows.sort();
    rows
}

fn duckdb_rows(path: &Path, table: &str) -> Vec<Vec<String>> {
    let connection = duckdb::Connection::open(path).expect("a database");
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let mut found = statement.query([]).expect("rows");
    let mut rows = Vec::new();
    while let Some(row) = found.next().expect("a row") {
        let columns = row.as_ref().column_count();
        rows.push(
            (0..columns)
                .map(|i| match row.get_ref(i).expect("a value") {
                    duckdb::types::ValueRef::BigInt(number) => number.to_string(),
                    duckdb::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    other => format!("{other:?}"),
                })
                .collect(),
        );
    }
    rows.sort();
    rows
}

fn report(kills: u64, tally: &mut Tally) {
    tally.recoveries.sort();
    let at =
        |part: f64| tally.recoveries.get((tally.recoveries.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!(
        "kills {kills}, transactions {}, lost 0, doubled {}, torn {} in {} checks, first new row after a \
         restart: median {:?}, p90 {:?}, max {:?}",
        tally.transfers,
        tally.doubled,
        tally.torn,
        tally.checks,
        at(0.5),
        at(0.9),
        tally.recoveries.last().copied().unwrap_or_default()
    );
}
