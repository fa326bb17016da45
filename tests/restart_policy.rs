//! What fails is restarted within bounds, or not at all; what was told stays secret.

use std::time::Duration;

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Work, eventually};

const FLOW: &str = "flow: flow
restart: { max: 3, window: 1m, delay: 10ms }
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: numbers, rows: 100000, seed: 1 } }
  - { id: store, plugin: SQLiteOutput, from: rows, config: { path: out.db } }
";

#[test]
fn a_panic_that_goes_on_is_restarted_three_times_and_then_fails_with_its_cause() {
    let work = Work::with_flow(FLOW);
    let ran = work.aqueduct_with(&["run", "flow.yaml"], &[("FAILPOINTS", "chan.send=panic(scripted)")]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("restarting from the last checkpoint").count(), 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("task: rows") && ran.stderr.contains("scripted"), "{}", ran.stderr);
}

#[test]
fn a_panic_that_passes_costs_nothing() {
    let work = Work::with_flow(FLOW);
    work.aqueduct_with(&["run", "flow.yaml"], &[("FAILPOINTS", "chan.send=2*panic(scripted)->off")]).ok();
    let connection = rusqlite::Connection::open(work.file("out.db")).expect("a database");
    let rows: i64 = connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get(0)).expect("rows");
    assert_eq!(rows, 100_000);
}

#[test]
fn a_wrong_setting_is_never_retried() {
    let work = Work::with_flow(&FLOW.replace("path: out.db", "path: no/such/folder/out.db"));
    let ran = work.aqueduct(&["run", "flow.yaml"]);
    assert!(matches!(ran.code, Some(1..=3)), "{}", ran.stderr);
    assert!(!ran.stderr.contains("restarting"), "{}", ran.stderr);
    assert!(ran.stderr.contains("help:"), "{}", ran.stderr);
}

#[test]
fn a_paused_daemon_lets_go_and_goes_on() {
    let text =
        FLOW.replace("rows: 100000", "rate: 2000").replace("restart:", "checkpoint: { interval: 20ms }\nrestart:");
    let work = Work::with_flow(&text);
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    daemon.wait_for_state("running", Duration::from_secs(20));
    let count = || {
        let connection = rusqlite::Connection::open(work.file("out.db")).expect("a database");
        connection.query_row("SELECT count(*) FROM numbers", [], |row| row.get::<_, i64>(0)).unwrap_or(0)
    };
    eventually("rows", Duration::from_secs(20), || count() > 0);
    daemon.pause();
    assert_eq!(daemon.status().expect("a paused daemon answers")["state"], "paused");
    let paused_at = count();
    daemon.resume();
    eventually("rows after the pause", Duration::from_secs(20), || count() > paused_at);
    assert_eq!(daemon.stop(), Some(0), "{}", log_of(work.path()));
}

#[test]
fn secrets_do_not_show() {
    let text = "flow: flow
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: customers, rows: 10, seed: 1 } }
  - { id: hide, plugin: Masking, from: rows, config: { columns: { email: { hash: { salt: \"${env:CANARY}\" } } } } }
  - { id: store, plugin: SQLiteOutput, from: hide, config: { path: \"${env:CANARY}/out.db\" } }
";
    let work = Work::with_flow(text);
    let canary = "CANARY-7f3a91";
    for command in ["validate", "plan", "run", "preview", "doctor", "verify"] {
        let ran = work.aqueduct_with(&[command, "flow.yaml", "--log", "trace"], &[("CANARY", canary)]);
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(canary), "{command} shows a secret: {text}");
        }
    }
}
