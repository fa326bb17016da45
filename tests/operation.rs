//! What a person does with a running flow: look at it, pause it, go on, stop it, scrape it; and before it: look ahead.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Finished, Work, eventually, program};

const LIMIT: Duration = Duration::from_secs(60);

/// Never ends: 2,000 rows a second into SQLite.
const FLOW: &str = "flow: flow
checkpoint: { interval: 100ms }
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: orders, seed: 1, rate: 2000 } }
  - { id: big, plugin: Filter, from: rows, config: { where: \"quantity > 1\" } }
  - { id: store, plugin: SQLiteOutput, from: big, config: { path: out.db } }
";

fn ask(work: &Work, what: &str) -> Finished {
    work.aqueduct(&[what, "flow.yaml", "--state", "state"])
}

fn epoch(daemon: &Daemon) -> u64 {
    daemon.status().and_then(|status| status["checkpoint"]["epoch"].as_u64()).unwrap_or(0)
}

#[test]
fn a_flow_is_watched_paused_resumed_and_stopped_from_the_command_line() {
    let work = Work::with_flow(FLOW);
    let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    daemon.wait_for_state("running", LIMIT);
    let shown = ask(&work, "status").ok().stdout;
    for word in ["flow  running", "rows", "FakerInput", "big", "Filter", "store", "SQLiteOutput"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    assert_eq!(ask(&work, "pause").ok().stdout.trim(), "flow: paused");
    let at_rest = epoch(&daemon);
    ask(&work, "resume").ok();
    daemon.wait_for_state("running", LIMIT);
    eventually("epochs go on", LIMIT, || epoch(&daemon) > at_rest);
    ask(&work, "stop").ok();
    assert_eq!(daemon.wait(), Some(0));
    let gone = ask(&work, "status");
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);
    assert!(gone.stderr.contains("no daemon answers"), "{}", gone.stderr);
}

/// A request as a scraper sends it: status line and body.
fn get(address: SocketAddr, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.lines().next()?.to_owned(), body.to_owned()))
}

/// Runs the flow of a folder with its page of metrics.
fn run_with_metrics(work: &Work) -> (Child, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let mut command = program();
    command.current_dir(work.path()).args(["run", "flow.yaml", "--state", "state", "--progress", "none"]);
    let daemon = command.args(["--metrics-listen", &address.to_string()]).spawn().expect("the program starts");
    eventually("ready", LIMIT, || get(address, "/readyz").is_some_and(|(status, _)| status.contains("200")));
    (daemon, address)
}

/// The value of the first sample that begins so.
fn sample(page: &str, name: &str) -> f64 {
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {page}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn a_running_flow_is_scraped() {
    let work = Work::with_flow(FLOW);
    let (mut daemon, address) = run_with_metrics(&work);
    assert_eq!(get(address, "/healthz").expect("an answer").1, "ok\n");
    assert!(get(address, "/elsewhere").expect("an answer").0.contains("404"));
    let mut page = String::new();
    eventually("rows are stored and counted", LIMIT, || {
        page = get(address, "/metrics").map(|(_, body)| body).unwrap_or_default();
        page.contains("aqueduct_checkpoints_total{") && sample(&page, "aqueduct_checkpoints_total{") >= 2.0
    });
    assert_eq!(sample(&page, "aqueduct_flow_running{flow=\"flow\"}"), 1.0);
    let read = sample(&page, "aqueduct_component_received_events_total{flow=\"flow\",task=\"rows\"");
    let passed = sample(&page, "aqueduct_component_sent_events_total{flow=\"flow\",task=\"big\"");
    assert!(read > passed && passed > 0.0, "{read} rows read, {passed} passed on: {page}");
    daemon.kill().expect("a child that was not waited for");
    daemon.wait().expect("a killed child ends");
}

/// Never ends: 2,000 rows a second through rules, one of which refers to rows that are read before.
const CHECKED: &str = "flow: flow
checkpoint: { interval: 100ms }
tasks:
  - { id: rows, plugin: FakerInput, config: { dataset: orders, seed: 1, rate: 2000 } }
  - { id: customers, plugin: FakerInput, config: { dataset: customers, seed: 2, rows: 40 } }
  - id: check
    plugin: Checker
    from: [rows, customers]
    config:
      rules:
        - { name: \"a \\\"handful\\\"\", column: quantity, check: { range: { max: 3 } } }
        - { column: id, check: unique }
        - { column: customer_id, check: { reference: { input: customers, in: [id] } } }
  - { id: store, plugin: SQLiteOutput, from: check, config: { path: out.db } }
";

#[test]
fn each_rule_has_its_counters_on_the_page_of_metrics_and_in_status() {
    let work = Work::with_flow(CHECKED);
    let (mut daemon, address) = run_with_metrics(&work);
    let count = |page: &str, what: &str, rule: &str| {
        let labels = "flow=\"flow\",task=\"check\",plugin=\"Checker\"";
        sample(page, &format!("aqueduct_rule_{what}_rows_total{{{labels},rule=\"{rule}\"}}"))
    };
    let mut page = String::new();
    eventually("rows are checked, and some break each rule that they can break", LIMIT, || {
        page = get(address, "/metrics").map(|(_, body)| body).unwrap_or_default();
        page.contains("aqueduct_rule_broken_rows_total{") && count(&page, "broken", "customer_id reference") > 0.0
    });
    let (handful, unique) = ("a \\\"handful\\\"", "id unique");
    assert!(count(&page, "broken", handful) > 0.0 && count(&page, "broken", unique) == 0.0, "{page}");
    let checked = count(&page, "checked", handful);
    assert!(checked > count(&page, "broken", handful) && count(&page, "checked", unique) > 0.0, "{page}");
    let status = ask(&work, "status").ok().stdout;
    for word in ["rows checked", "a \"handful\"", "id unique", "customer_id reference"] {
        assert!(status.contains(word), "{word}: {status}");
    }
    let status = work.aqueduct(&["status", "flow.yaml", "--state", "state", "--json"]).ok().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    let tasks = status["tasks"].as_array().expect("tasks");
    let of = |id: &str| tasks.iter().find(|task| task["id"] == id).expect("the task");
    assert_eq!(of("check")["rules"].as_array().map(Vec::len), Some(3), "{status}");
    assert!(of("store").get("rules").is_none(), "{status}");
    daemon.kill().expect("a child that was not waited for");
    daemon.wait().expect("a killed child ends");
}

#[test]
fn metrics_are_for_this_machine_only() {
    let work = Work::with_flow(FLOW);
    let refused = work.aqueduct(&["run", "flow.yaml", "--metrics-listen", "0.0.0.0:9100"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--metrics-listen") && refused.stderr.contains("127.0.0.1"), "{}", refused.stderr);
}

#[test]
fn preview_shows_the_first_rows_at_every_edge_and_writes_nothing() {
    let work = Work::with_flow(FLOW);
    let shown = work.aqueduct(&["preview", "flow.yaml", "--rows", "3"]).ok().stdout;
    let (before, after) = shown.split_once("big → store").expect("both edges");
    assert!(before.contains("rows → big (Filter)"), "{shown}");
    let rows = |table: &str| table.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert_eq!(rows(before), 3, "{shown}");
    assert!(rows(after) <= 3 && after.contains("quantity"), "{shown}");
    assert!(!work.file("out.db").exists() && !work.file(".aqueduct").exists());
}

#[test]
fn preview_reads_what_rules_refer_to_whole() {
    let customers = "plugin: FakerInput, config: { dataset: customers, seed: 2, rows: 40 }";
    let known = "plugin: CSVInput, config: { path: known.csv }";
    assert!(CHECKED.contains(customers));
    let work = Work::with_flow(&CHECKED.replace(customers, known));
    // The first orders are of customer 1, who comes last.
    let lines: Vec<String> = (1..=40).rev().map(|id| id.to_string()).collect();
    work.write("known.csv", format!("id\n{}\n", lines.join("\n")));
    let shown = work.aqueduct(&["preview", "flow.yaml", "--rows", "3"]).ok().stdout;
    let (_, passed) = shown.split_once("check → store").expect("the edge behind the rules");
    assert!(passed.contains("customer_id"), "{shown}");
}

#[test]
fn doctor_names_what_is_missing_and_what_to_do() {
    let work = Work::with_flow(
        "flow: flow
tasks:
  - { id: shop, plugin: CdcInput, config: { engine: sqlite, path: missing.db, tables: [orders] } }
  - { id: store, plugin: SQLiteOutput, from: shop, config: { path: out.db } }
",
    );
    let sick = work.aqueduct(&["doctor", "flow.yaml"]);
    assert_eq!(sick.code, Some(3), "{}", sick.stdout);
    assert!(sick.stdout.contains("✗ shop") && sick.stdout.contains("missing.db"), "{}", sick.stdout);
    let shop = rusqlite::Connection::open(work.file("missing.db")).expect("a database");
    shop.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, amount TEXT)")
        .expect("a table");
    let well = work.aqueduct(&["doctor", "flow.yaml"]).ok();
    assert!(!well.stdout.contains('✗') && well.stdout.contains("✓ shop"), "{}", well.stdout);
    assert!(!work.file("out.db").exists(), "doctor changes nothing");
}

#[test]
fn preview_leaves_the_dead_letters_of_the_flow_alone() {
    let work = Work::with_flow(FLOW);
    let letters = work.file(".aqueduct/flow/dead_letters");
    std::fs::create_dir_all(&letters).expect("a folder");
    let kept = letters.join("epoch-0000000009.jsonl");
    std::fs::write(&kept, "{}\n").expect("a dead letter");
    work.aqueduct(&["preview", "flow.yaml"]).ok();
    assert!(kept.exists());
}
