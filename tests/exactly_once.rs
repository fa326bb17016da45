//! One writer, ever: two daemons, a copied checkpoint folder, a daemon that wakes up after a takeover; and errors at
//! every named crash point.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::bank::{Bank, CONTRADICTIONS, flow};
use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Work, eventually};

const LIMIT: Duration = Duration::from_secs(30);

fn number(work: &Work, sql: &str) -> i64 {
    let connection = rusqlite::Connection::open(work.file("copy.db")).expect("a database");
    connection.busy_timeout(LIMIT).expect("a timeout");
    connection.query_row(sql, [], |row| row.get(0)).unwrap_or(0)
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => copy_folder(&entry.path(), &target),
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).expect("a copy")),
            _ => {}
        }
    }
}

/// SQLite target only, so that a second daemon is kept out by our token and not by DuckDB's lock.
fn lite_flow() -> String {
    flow("flow").lines().filter(|line| !line.contains("DuckDBOutput")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_second_daemon_on_the_same_checkpoint_folder_is_refused_and_named() {
    let work = Work::with_flow(&lite_flow());
    let bank = Bank::open(&work.file("bank.db"), 1, Duration::from_millis(1));
    let first = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    first.wait_for_state("running", LIMIT);
    let second = work.aqueduct(&["run", "flow.yaml", "--state", "state"]);
    assert_eq!(second.code, Some(3), "{}", second.stderr);
    assert!(second.stderr.contains(&first.pid().to_string()), "the holder is named: {}", second.stderr);
    bank.close();
    assert_eq!(first.stop(), Some(0));
}

#[test]
fn a_daemon_on_a_copied_folder_takes_over_and_the_first_is_fenced() {
    let work = Work::with_flow(&lite_flow());
    let bank = Bank::open(&work.file("bank.db"), 2, Duration::from_millis(1));
    let mut first = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("rows in the target", LIMIT, || number(&work, "SELECT count(*) FROM transfers") > 50);
    // Stopped in the middle of whatever it does; it knows nothing of what follows until it wakes up.
    first.signal(Signal::STOP);
    copy_folder(&work.file("state"), &work.file("copied"));
    let second = Daemon::start(work.path(), "flow.yaml", "copied", &[]);
    let before = number(&work, "SELECT count(*) FROM transfers");
    eventually("the second writes", LIMIT, || number(&work, "SELECT count(*) FROM transfers") > before);
    first.signal(Signal::CONT);
    eventually("the first gives up", LIMIT, || first.has_ended());
    assert_eq!(first.wait(), Some(3), "{}", log_of(work.path()));
    assert!(log_of(work.path()).contains("taken over"), "{}", log_of(work.path()));
    // Its own folder is now the older one: it stays refused.
    let again = work.aqueduct(&["run", "flow.yaml", "--state", "state"]);
    assert_eq!(again.code, Some(3), "{}", again.stderr);
    let transfers = bank.close() as i64;
    eventually("all rows", LIMIT, || number(&work, "SELECT count(*) FROM transfers") == transfers);
    assert_eq!(second.stop(), Some(0));
    assert_eq!(number(&work, CONTRADICTIONS), 0);
    assert_eq!(number(&work, "SELECT count(*) FROM audit"), transfers, "0 double writes");
}

/// Every named point of the protocol that this flow passes.
const CRASH_POINTS: &[&str] = &[
    "src.connect",
    "src.mid_tx",
    "src.commit",
    "snap.select",
    "snap.chunk_done",
    "src.ack_before",
    "src.ack_after",
    "chan.send",
    "barrier.inject",
    "sink.begin",
    "sink.write",
    "sink.flush",
    "sink.precommit",
    "sink.commit_before",
    "sink.commit_after_no_reply",
    "ckpt.log_before",
    "ckpt.log_after_journal",
    "ckpt.log_after",
    "ckpt.token_after",
];

#[test]
fn a_panic_at_every_crash_point_once_and_for_ever_loses_and_doubles_nothing() {
    let work = Work::with_flow(&lite_flow());
    let bank = Bank::open(&work.file("bank.db"), 3, Duration::from_micros(300));
    for point in CRASH_POINTS {
        // Once, on the third visit: the supervisor brings the flow back. Rows arrive again.
        let before = number(&work, "SELECT count(*) FROM transfers");
        let script = format!("{point}=2*off->1*panic(scripted)->off");
        let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[("FAILPOINTS", &script)]);
        eventually(&format!("rows after a panic at {point}"), LIMIT, || {
            assert!(!daemon.has_ended(), "{point}: {}", log_of(work.path()));
            number(&work, "SELECT count(*) FROM transfers") > before + 10
        });
        daemon.kill();
        assert_eq!(number(&work, CONTRADICTIONS), 0, "torn at {point}");
        // At every visit from the third on, until it is killed in the middle of a restart.
        let script = format!("{point}=2*off->panic(scripted)");
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[("FAILPOINTS", &script)]);
        std::thread::park_timeout(Duration::from_millis(250));
        daemon.kill();
        assert_eq!(number(&work, CONTRADICTIONS), 0, "torn at {point}, again and again");
    }
    let transfers = bank.close() as i64;
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("all rows", LIMIT, || number(&work, "SELECT count(*) FROM transfers") == transfers);
    assert_eq!(daemon.stop(), Some(0));
    work.aqueduct(&["verify", "flow.yaml", "--state", "state"]).ok();
    assert_eq!(number(&work, "SELECT count(*) FROM audit"), transfers);
}

#[test]
fn a_graceful_stop_doubles_nothing_and_exits_with_zero() {
    let work = Work::with_flow(&lite_flow());
    let bank = Bank::open(&work.file("bank.db"), 4, Duration::from_micros(300));
    for _ in 0..20 {
        let before = number(&work, "SELECT count(*) FROM transfers");
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        eventually("progress", LIMIT, || number(&work, "SELECT count(*) FROM transfers") > before);
        assert_eq!(daemon.stop(), Some(0), "{}", log_of(work.path()));
        assert_eq!(number(&work, CONTRADICTIONS), 0);
    }
    bank.close();
}

#[test]
fn a_single_row_is_committed_though_no_other_follows() {
    let work = Work::with_flow(&lite_flow());
    let source = rusqlite::Connection::open(work.file("bank.db")).expect("a database");
    source
        .execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER);
             CREATE TABLE transfers (id INTEGER PRIMARY KEY); CREATE TABLE audit (transfer INTEGER);
             INSERT INTO transfers VALUES (1);",
        )
        .expect("tables");
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("the row in the target", LIMIT, || number(&work, "SELECT count(*) FROM transfers") == 1);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn verify_is_exact_while_data_moves() {
    let work = Work::with_flow(&flow("flow"));
    let bank = Bank::open(&work.file("bank.db"), 5, Duration::from_micros(500));
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("rows", LIMIT, || number(&work, "SELECT count(*) FROM transfers") > 100);
    for _ in 0..5 {
        let verified = work.aqueduct(&["verify", "flow.yaml", "--state", "state"]).ok();
        assert!(verified.stdout.contains("0 missing, 0 extra, 0 different"), "{}", verified.stdout);
    }
    bank.close();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn verify_finds_and_mends_what_is_missing_extra_and_different() {
    let work = Work::with_flow(&lite_flow());
    let bank = Bank::open(&work.file("bank.db"), 6, Duration::from_micros(300));
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("rows", LIMIT, || number(&work, "SELECT count(*) FROM transfers") > 200);
    bank.close();
    assert_eq!(daemon.stop(), Some(0));
    let target = rusqlite::Connection::open(work.file("copy.db")).expect("a database");
    target
        .execute_batch(
            "DELETE FROM transfers WHERE id = 7;
             INSERT INTO transfers VALUES (900000, 1, 2, 3);
             UPDATE accounts SET balance = balance + 1 WHERE id = 3;",
        )
        .expect("damage");
    drop(target);
    let found = work.aqueduct(&["verify", "flow.yaml", "--state", "state"]);
    assert_eq!(found.code, Some(1), "{}{}", found.stdout, found.stderr);
    assert!(found.stdout.contains("1 missing, 1 extra, 1 different"), "{}", found.stdout);
    for key in ["id=7", "id=900000", "id=3"] {
        assert!(found.stdout.contains(key), "{key} is named: {}", found.stdout);
    }
    work.aqueduct(&["verify", "flow.yaml", "--state", "state", "--repair"]).ok();
    work.aqueduct(&["verify", "flow.yaml", "--state", "state"]).ok();
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    daemon.wait_for_state("running", LIMIT);
    assert_eq!(daemon.stop(), Some(0), "a mended flow goes on: {}", log_of(work.path()));
}

/// Rows that have no key come at the end of the input, or behind it: whatever is doubled or lost shows.
const AT_THE_END: &str = r#"
flow: flow
delivery: exactly_once
checkpoint: { interval: 40ms }
tasks:
  - { id: events, plugin: FakerInput, config: { dataset: nexmark, events: 5000, rate: 20000 } }
  - { id: bids, plugin: SQL, from: events, config: { query: "select auction, price from bid", others: drop } }
  - { id: highest, plugin: Sort, from: bids, config: { by: [price desc, auction], limit: 10 } }
  - { id: top, plugin: SQL, from: highest, config: { query: "select * from bid", table: top } }
  - { id: held, plugin: Delay, from: bids, config: { for: 60ms } }
  - { id: lowest, plugin: Sort, from: held, config: { by: [price, auction], limit: 20 } }
  - { id: low, plugin: SQL, from: lowest, config: { query: "select * from bid", table: low } }
  - { id: copy, plugin: SQLiteOutput, from: [top, held, low], config: { path: copy.db } }
"#;

#[test]
fn what_comes_at_the_end_of_the_input_comes_once() {
    for (point, every) in [("ckpt.log_before", 1), ("ckpt.log_after", 3)] {
        for visits in (0..12).step_by(every) {
            let work = Work::with_flow(AT_THE_END);
            let script = format!("{point}={visits}*off->1*panic(scripted)->off");
            let run = ["run", "flow.yaml", "--state", "state"];
            // Before the first checkpoint a panic ends the flow, behind it the supervisor brings it back.
            work.aqueduct_with(&run, &[("FAILPOINTS", &script)]);
            work.aqueduct(&run).ok();
            let found = ["top", "bid", "low"].map(|table| number(&work, &format!("SELECT count(*) FROM {table}")));
            assert_eq!(found, [10, 4_600, 20], "a panic at visit {visits} of {point}\n{}", log_of(work.path()));
        }
    }
}
