//! Flows that flows run: each item's effect once through SIGKILLs, loops, failures, sources that are read per row.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Random, Work, eventually};

const KILLS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(300);

fn number(path: &Path, sql: &str) -> Option<i64> {
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.busy_timeout(Duration::from_secs(10)).ok()?;
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

fn texts(path: &Path, sql: &str) -> Vec<String> {
    let connection = Connection::open(path).expect("a database");
    let mut statement = connection.prepare(sql).expect("a query");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts")
}

#[test]
fn a_thousand_items_killed_fifty_times_have_their_effect_once() {
    let work = Work::with_flow(
        "flow: flow
checkpoint: { interval: 50ms }
tasks:
  - { id: items, plugin: For, config: { range: { from: 1, to: 1000 }, column: n } }
  - { id: each, plugin: SubFlow, from: items, config: { flow: one.yaml, parallel: 4, keep: [n] } }
  - { id: rows, plugin: SQLiteOutput, from: each, config: { path: rows.db, table: back } }
  - { id: ends, plugin: SQLiteOutput, from: each.runs, config: { path: ends.db, table: ends } }
",
    );
    work.write(
        "one.yaml",
        "flow: one
params: { n: 0 }
checkpoint: { interval: 50ms, store: redb }
tasks:
  - { id: parts, plugin: For, config: { range: { from: 1, to: 3 }, column: part } }
  - { id: of_item, plugin: SQL, from: parts, config: { query: \"select part, ${params.n} as item from items\", table: effects } }
  - { id: effect, plugin: SQLiteOutput, from: of_item, config: { path: effects.db } }
  - { id: back, plugin: Return, from: parts }
",
    );
    let (effects, rows, ends) = (work.file("effects.db"), work.file("rows.db"), work.file("ends.db"));
    let mut random = Random(20_261_124);
    let mut kills = 0;
    let begun = Instant::now();
    loop {
        let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        if kills == KILLS {
            assert_eq!(daemon.wait(), Some(0), "{}", log_of(work.path()));
            break;
        }
        let until = Instant::now() + Duration::from_micros(100_000 + random.below(900_000));
        while Instant::now() < until && !daemon.has_ended() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if daemon.has_ended() {
            break;
        }
        daemon.kill();
        kills += 1;
        assert!(
            begun.elapsed() < LIMIT,
            "{} items",
            number(&effects, "SELECT count(DISTINCT item) FROM effects").unwrap_or(0)
        );
    }
    println!("{kills} kills in {} s", begun.elapsed().as_secs());
    let counts =
        "SELECT count(*) * 1000000 + count(DISTINCT item) * 100 + count(DISTINCT item * 10 + part) % 100 FROM effects";
    assert_eq!(number(&effects, counts), Some(3_000 * 1_000_000 + 1_000 * 100), "{}", log_of(work.path()));
    assert_eq!(number(&rows, "SELECT count(*) FROM back"), Some(3_000));
    assert_eq!(number(&rows, "SELECT count(DISTINCT n * 10 + part) FROM back"), Some(3_000));
    assert_eq!(number(&ends, "SELECT count(*) FROM ends"), Some(1_000));
    assert_eq!(number(&ends, "SELECT count(DISTINCT n) FROM ends WHERE _status = 'ok' AND _rows = 3"), Some(1_000));
}

#[test]
fn a_loop_goes_on_while_its_condition_holds_and_where_it_was() {
    let work = Work::with_flow(
        "flow: flow
params: { pages: 12 }
checkpoint: { interval: 20ms }
tasks:
  - { id: start, plugin: Starter }
  - id: pages
    plugin: While
    from: start
    config: { flow: page.yaml, while: page < pages, params: { page: 1, pages: \"${row.pages}\" }, carry: { page: next } }
  - { id: store, plugin: SQLiteOutput, from: pages, config: { path: pages.db, table: pages } }
  - { id: ends, plugin: SQLiteOutput, from: pages.runs, config: { path: ends.db, table: ends } }
",
    );
    work.write(
        "page.yaml",
        "flow: page
params: { page: 0, pages: 0 }
tasks:
  - { id: start, plugin: Starter }
  - { id: next, plugin: SQL, from: start, config: { query: \"select page, pages, page + 1 as next from start\" } }
  - { id: effect, plugin: SQLiteOutput, from: next, config: { path: effects.db, table: effects } }
  - { id: back, plugin: Return, from: next }
",
    );
    let mut random = Random(7);
    for _ in 0..6 {
        let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        std::thread::park_timeout(Duration::from_micros(50_000 + random.below(300_000)));
        daemon.kill();
    }
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    assert_eq!(
        number(&work.file("effects.db"), "SELECT count(*) * 100 + count(DISTINCT page) FROM effects"),
        Some(1_212)
    );
    assert_eq!(number(&work.file("pages.db"), "SELECT count(*) * 100 + max(page) FROM pages"), Some(1_212));
    assert_eq!(number(&work.file("ends.db"), "SELECT count(*) * 100 + max(_runs) FROM ends"), Some(112));
}

#[test]
fn a_run_that_fails_is_a_row_or_stops_the_flow_and_goes_on_once_it_is_mended() {
    let flow = |on_error: &str| {
        format!(
            "flow: flow
restart: {{ max: 0 }}
tasks:
  - {{ id: files, plugin: For, config: {{ items: [a.csv, b.csv], column: file }} }}
  - {{ id: load, plugin: SubFlow, from: files, config: {{ flow: load.yaml, on_error: {on_error}, params: {{ file: \"${{row.file}}\" }} }} }}
  - {{ id: ends, plugin: SQLiteOutput, from: load.runs, config: {{ path: ends.db, table: ends }} }}
"
        )
    };
    let work = Work::with_flow(&flow("continue"));
    work.write(
        "load.yaml",
        "flow: load
params: { file: { type: string, required: true } }
restart: { max: 0 }
tasks:
  - { id: read, plugin: CSVInput, config: { path: \"${params.file}\" } }
  - { id: store, plugin: SQLiteOutput, from: read, config: { path: rows.db, table: rows } }
",
    );
    work.write("a.csv", "id,v\n1,one\n2,two\n");
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    let said = texts(
        &work.file("ends.db"),
        "SELECT file || ' ' || _status || ' ' || coalesce(_error, '') FROM ends ORDER BY file",
    );
    assert!(
        said[0].starts_with("a.csv ok") && said[1].starts_with("b.csv failed") && said[1].contains("b.csv"),
        "{said:?}"
    );
    // The same, where a failure stops the flow: what was done is not done again once the cause is mended.
    work.write("flow.yaml", flow("fail"));
    std::fs::remove_file(work.file("ends.db")).expect("the ends");
    let failed = work.aqueduct(&["run", "flow.yaml", "--state", "again", "--progress", "none"]);
    assert_eq!(failed.code, Some(2), "{}", failed.stderr);
    assert!(failed.stderr.contains("b.csv") && failed.stderr.contains("load"), "{}", failed.stderr);
    work.write("b.csv", "id,v\n3,three\n");
    work.aqueduct(&["run", "flow.yaml", "--state", "again", "--progress", "none"]).ok();
    assert_eq!(number(&work.file("rows.db"), "SELECT count(*) FROM rows"), Some(2 + 2 + 1));
    assert_eq!(number(&work.file("ends.db"), "SELECT count(*) FROM ends WHERE _status = 'ok'"), Some(2));
}

#[test]
fn for_goes_through_the_rows_of_a_query() {
    let work = Work::with_flow(
        "flow: flow
tasks:
  - id: shops
    plugin: For
    config: { query: { plugin: CSVInput, config: { path: shops.csv } } }
  - { id: each, plugin: SubFlow, from: shops, config: { flow: shop.yaml, params: { shop: \"${row.name}\" } } }
  - { id: ends, plugin: SQLiteOutput, from: each.runs, config: { path: ends.db, table: ends } }
",
    );
    work.write(
        "shop.yaml",
        "flow: shop
params: { shop: { type: string, required: true } }
tasks:
  - { id: one, plugin: For, config: { items: [\"${params.shop}\"], column: shop } }
  - { id: store, plugin: SQLiteOutput, from: one, config: { path: rows.db, table: shops } }
",
    );
    work.write("shops.csv", "id,name\n1,north\n2,south\n");
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    assert_eq!(texts(&work.file("rows.db"), "SELECT shop FROM shops ORDER BY shop"), ["north", "south"]);
    assert_eq!(number(&work.file("ends.db"), "SELECT count(*) FROM ends WHERE _status = 'ok'"), Some(2));
}

#[test]
fn a_source_with_an_input_is_read_once_per_row() {
    let work = Work::with_flow(
        "flow: flow
tasks:
  - { id: files, plugin: For, config: { items: [a.csv, b.csv], column: file } }
  - { id: read, plugin: CSVInput, from: files, config: { path: \"${row.file}\" } }
  - { id: store, plugin: SQLiteOutput, from: read, config: { path: rows.db, table: rows } }
",
    );
    work.write("a.csv", "id,v\n1,one\n2,two\n");
    work.write("b.csv", "id,v\n3,three\n");
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    assert_eq!(texts(&work.file("rows.db"), "SELECT v FROM rows ORDER BY id"), ["one", "two", "three"]);
    // Nothing that has no row may name one.
    work.write(
        "flow.yaml",
        "flow: flow
tasks:
  - { id: read, plugin: CSVInput, config: { path: \"${row.file}\" } }
  - { id: store, plugin: SQLiteOutput, from: read, config: { path: rows.db } }
",
    );
    let refused = work.aqueduct(&["validate", "flow.yaml"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("flow.yaml:3:") && refused.stderr.contains("from: <task>"), "{}", refused.stderr);
}

#[test]
fn a_flow_that_runs_itself_for_ever_is_stopped() {
    let work = Work::with_flow(
        "flow: flow
restart: { max: 0 }
tasks:
  - { id: start, plugin: Starter }
  - { id: again, plugin: SubFlow, from: start, config: { flow: flow.yaml } }
",
    );
    let failed = work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]);
    assert_eq!(failed.code, Some(2), "{}", failed.stderr);
    assert!(failed.stderr.contains("16 deep"), "{}", failed.stderr);
}

#[test]
fn hooks_are_run_when_they_are_due_and_told_what_happened() {
    let work = Work::with_flow(
        "flow: flow
restart: { max: 0 }
before: hook.yaml
on_success: hook.yaml
after: hook.yaml
tasks:
  - { id: read, plugin: CSVInput, on_error: hook.yaml, config: { path: a.csv } }
  - { id: store, plugin: SQLiteOutput, from: read, on_error: other.yaml, config: { path: rows.db, table: rows } }
",
    );
    work.write(
        "hook.yaml",
        "flow: hook
params: { event: '', flow: '', task: '', kind: '' }
tasks:
  - { id: start, plugin: Starter }
  - { id: tell, plugin: SQLiteOutput, from: start, config: { path: told.db, table: told } }
",
    );
    let run = ["run", "flow.yaml", "--state", "state", "--progress", "none"];
    let told = || {
        texts(&work.file("told.db"), "SELECT event || ' ' || task || ' ' || kind FROM told ORDER BY rowid").join(", ")
    };
    assert_eq!(work.aqueduct(&run).code, Some(2), "there is no a.csv");
    assert_eq!(told(), "before  , on_error read config, after read config");
    work.write("a.csv", "id,v\n1,one\n");
    work.aqueduct(&run).ok();
    assert_eq!(told(), "before  , on_error read config, after read config, on_success  , after  ");
    // Once in the flow's life.
    work.aqueduct(&run).ok();
    assert_eq!(number(&work.file("told.db"), "SELECT count(*) FROM told"), Some(5));
    assert_eq!(number(&work.file("rows.db"), "SELECT count(*) FROM rows"), Some(1));
}

#[test]
fn a_hook_may_be_a_list_of_tasks_that_gets_the_event_as_a_row() {
    let work = Work::with_flow(
        "flow: flow
restart: { max: 0 }
before:
  - { id: items, plugin: For, config: { items: [1, 2], column: n } }
  - { id: seeds, plugin: SQLiteOutput, from: items, config: { path: a.db, table: seeds } }
on_error:
  - { id: what, plugin: SQL, from: event, config: { query: \"select task, kind, length(error) > 0 as said from event\" } }
  - { id: tell, plugin: SQLiteOutput, from: what, config: { path: told.db, table: told } }
tasks:
  - { id: read, plugin: SQLiteInput, config: { path: a.db, table: \"${params.table}\" } }
  - { id: store, plugin: SQLiteOutput, from: read, config: { path: rows.db, table: rows } }
params: { table: nothing }
",
    );
    let run = ["run", "flow.yaml", "--state", "state", "--progress", "none"];
    assert_ne!(work.aqueduct(&run).code, Some(0), "there is no such table");
    assert_eq!(texts(&work.file("told.db"), "SELECT task || ' ' || kind || ' ' || said FROM told"), ["read config 1"]);
    work.aqueduct(&[&run[..], &["-p", "table=seeds"]].concat()).ok();
    assert_eq!(number(&work.file("rows.db"), "SELECT count(*) FROM rows"), Some(2), "seeded once");
}

#[test]
fn one_run_is_paused_resumed_and_cancelled_while_the_others_go_on() {
    let work = Work::with_flow(
        "flow: flow
checkpoint: { interval: 50ms }
tasks:
  - { id: shops, plugin: For, config: { items: [north, south, west], column: shop } }
  - { id: load, plugin: SubFlow, from: shops, config: { flow: one.yaml, parallel: 3, on_error: continue } }
  - { id: ends, plugin: SQLiteOutput, from: load.runs, config: { path: ends.db, table: ends } }
",
    );
    work.write(
        "one.yaml",
        "flow: one
params: { shop: { type: string, required: true } }
checkpoint: { interval: 50ms }
tasks:
  - { id: read, plugin: FakerInput, config: { dataset: orders, rows: 600, rate: 100 } }
  - { id: store, plugin: SQLiteOutput, from: read, config: { path: \"${params.shop}.db\" } }
",
    );
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    let run = |number: usize, state: &str| {
        let status = daemon.status()?;
        let run = status["runs"]
            .as_array()?
            .iter()
            .find(|run| run["name"].as_str().is_some_and(|name| name.starts_with(&format!("load/{number:012}-"))))?;
        (run["state"] == state).then(|| run["name"].as_str().expect("a name").to_owned())
    };
    let steer = |word: &str, name: &str| {
        let done = work.aqueduct(&[word, "flow.yaml", "--state", "state", "--run", name]).ok();
        done.stdout.trim().to_owned()
    };
    eventually("three runs", LIMIT, || (0..3).all(|number| run(number, "running").is_some()));
    let name = |number| run(number, "running").expect("it runs");
    let (north, south) = (name(0), name(1));
    assert_eq!(steer("pause", &north), format!("{north}: paused"));
    assert_eq!(steer("stop", &south), format!("{south}: ended"));
    let unknown = work.aqueduct(&["pause", "flow.yaml", "--state", "state", "--run", "load/nothing"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("load/nothing") && unknown.stderr.contains("status"), "{}", unknown.stderr);
    // The third one ends by itself, and the paused one still waits.
    eventually("the third run", LIMIT, || run(2, "running").is_none());
    assert!(run(0, "paused").is_some());
    let shown = work.aqueduct(&["status", "flow.yaml", "--state", "state"]).ok();
    assert!(shown.stdout.contains(&north), "{}", shown.stdout);
    assert_ne!(steer("resume", &north), format!("{north}: paused"));
    let mut daemon = daemon;
    assert_eq!(daemon.wait(), Some(0), "{}", log_of(work.path()));
    let said = "SELECT shop || ' ' || _status || ' ' || coalesce(_error, '') FROM ends ORDER BY shop";
    let said = texts(&work.file("ends.db"), said);
    assert_eq!(said[0].trim(), "north ok");
    assert!(said[1].starts_with("south failed the run was cancelled"), "{said:?}");
    assert_eq!(said[2].trim(), "west ok");
    for shop in ["north", "west"] {
        assert_eq!(number(&work.file(&format!("{shop}.db")), "SELECT count(*) FROM orders"), Some(600));
    }
    assert!(number(&work.file("south.db"), "SELECT count(*) FROM orders").is_none_or(|rows| rows < 600));
}
