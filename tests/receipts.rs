//! Receipts: every epoch is there once, through kills; whoever changes the file or the target is found out.

use std::time::Duration;

use crate::harness::bank::Bank;
use crate::harness::daemon::Daemon;
use crate::harness::{Random, Work, eventually};

const LIMIT: Duration = Duration::from_secs(60);

const FLOW: &str = "flow: flow
delivery: exactly_once
checkpoint: { interval: 20ms, receipts: digests }
tasks:
  - { id: bank, plugin: CdcInput, config: { engine: sqlite, path: bank.db, tables: [accounts, transfers, audit] } }
  - { id: lite, plugin: SQLiteOutput, from: bank, config: { path: copy.db } }
  - { id: duck, plugin: DuckDBOutput, from: bank, config: { path: copy.duckdb } }
";

/// A bank that was written through a dozen kills, at rest; how many transfers it has.
fn killed_and_stopped() -> (Work, u64) {
    let work = Work::with_flow(FLOW);
    let bank = Bank::open(&work.file("bank.db"), 7, Duration::from_micros(500));
    let mut random = Random(7);
    for _ in 0..12 {
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        std::thread::park_timeout(Duration::from_micros(random.below(300_000)));
        daemon.kill();
    }
    let transfers = bank.close();
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("all transfers in the target", LIMIT, || {
        let copy = rusqlite::Connection::open(work.file("copy.db")).expect("a database");
        let found = copy.query_row("SELECT count(*) FROM transfers", [], |row| row.get::<_, i64>(0));
        found.is_ok_and(|found| found as u64 == transfers)
    });
    assert_eq!(daemon.stop(), Some(0));
    (work, transfers)
}

#[test]
fn an_audit_proves_a_flow_that_was_killed_and_finds_every_change() {
    let (work, transfers) = killed_and_stopped();
    let audit = || work.aqueduct(&["audit", "flow.yaml", "--state", "state"]);
    let proven = audit().ok().stdout;
    assert!(proven.contains("no gap, no overlap") && proven.contains("2 targets agree"), "{proven}");
    // Both targets were given the same rows: the epochs' digests say so too.
    let shown =
        work.aqueduct(&["receipts", "flow.yaml", "--state", "state", "--json", "--last", "1000000"]).ok().stdout;
    let mut inserts = 0;
    for line in shown.lines() {
        let receipt: serde_json::Value = serde_json::from_str(line).expect("a receipt");
        assert_eq!(receipt["targets"]["lite"], receipt["targets"]["duck"], "{line}");
        inserts += receipt["targets"]["lite"]["inserts"].as_u64().expect("a count");
    }
    // Accounts, and a transfer and an audit row for each transfer: no more, although epochs were replayed.
    assert_eq!(inserts, 50 + 2 * transfers);

    let file = work.file("state/flow/receipts.jsonl");
    let whole = std::fs::read_to_string(&file).expect("receipts");
    let lines: Vec<&str> = whole.lines().collect();
    let without_one = [&lines[..lines.len() / 2], &lines[lines.len() / 2 + 1..]].concat().join("\n") + "\n";
    let changed = whole.replacen("\"inserts\":", "\"inserts\":1", 1);
    for tampered in [without_one, changed] {
        std::fs::write(&file, tampered).expect("a writable file");
        let found = audit();
        assert_eq!(found.code, Some(1), "{}", found.stdout);
        assert!(found.stdout.contains('✗'), "{}", found.stdout);
    }
    std::fs::write(&file, &whole).expect("a writable file");
    let copy = rusqlite::Connection::open(work.file("copy.db")).expect("a database");
    copy.execute("UPDATE _aqueduct_commits SET epoch = epoch - 1", []).expect("a ledger");
    assert!(audit().stdout.contains("✗ lite stands at epoch"), "an older copy of a target");
}
