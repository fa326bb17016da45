//! Turns: a pipeline behind others (`execution: serial`), and an input behind one that is read first, are opened once what
//! stands before them has ended and is durable, also through SIGKILLs.

use std::time::Duration;

use rusqlite::Connection;

use crate::harness::daemon::{Daemon, log_of};
use crate::harness::{Random, Work};

const ROWS: i64 = 30_000;
const KILLS: u32 = 12;

#[test]
fn a_pipeline_reads_what_the_one_before_it_wrote() {
    // The tables that the later ones read are made by the earlier ones: a source that is opened too early fails.
    let work = Work::with_flow(&format!(
        "flow: flow
execution: serial
restart: {{ max: 0 }}
checkpoint: {{ interval: 20ms }}
tasks:
  - {{ id: made, plugin: FakerInput, config: {{ dataset: orders, rows: {ROWS}, rate: 30000 }} }}
  - {{ id: one, plugin: SQLiteOutput, from: made, config: {{ path: one.db, table: orders }} }}
  - {{ id: again, plugin: SQLiteInput, config: {{ path: one.db, table: orders }} }}
  - {{ id: two, plugin: SQLiteOutput, from: again, config: {{ path: two.db, table: orders }} }}
  - {{ id: last, plugin: SQLiteInput, config: {{ path: two.db, table: orders }} }}
  - {{ id: sum, plugin: SQL, from: last, config: {{ query: \"select count(*) as n, count(distinct id) as ids from last\", mode: bounded }} }}
  - {{ id: three, plugin: SQLiteOutput, from: sum, config: {{ path: three.db, table: sums }} }}
"
    ));
    let mut random = Random(20_261_123);
    let mut kills = 0;
    let code = loop {
        let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        std::thread::park_timeout(Duration::from_micros(50_000 + random.below(400_000)));
        if kills == KILLS || daemon.has_ended() {
            break daemon.wait();
        }
        daemon.kill();
        kills += 1;
    };
    assert_eq!(code, Some(0), "{}", log_of(work.path()));
    for (database, table) in [("one.db", "orders"), ("two.db", "orders")] {
        let connection = Connection::open(work.file(database)).expect("a database");
        let rows: i64 =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count");
        assert_eq!(rows, ROWS, "{database}: {}", log_of(work.path()));
    }
    let connection = Connection::open(work.file("three.db")).expect("a database");
    let sums: (i64, i64) =
        connection.query_row("SELECT n, ids FROM sums", [], |row| Ok((row.get(0)?, row.get(1)?))).expect("one row");
    assert_eq!(sums, (ROWS, ROWS), "{}", log_of(work.path()));
    // Each of the later sources was opened once per life, and never before its turn.
    assert!(!log_of(work.path()).contains("no such table"), "{}", log_of(work.path()));
}

#[test]
fn what_rules_refer_to_is_read_before_the_first_row_is_checked() {
    const KNOWN: i64 = 2_000;
    let work = Work::with_flow(&format!(
        "flow: flow
restart: {{ max: 0 }}
checkpoint: {{ interval: 20ms }}
tasks:
  - {{ id: orders, plugin: FakerInput, config: {{ dataset: orders, rows: {ROWS}, rate: 15000 }} }}
  - {{ id: customers, plugin: FakerInput, config: {{ dataset: customers, rows: {KNOWN}, rate: 5000 }} }}
  - id: check
    plugin: Checker
    from: [orders, customers]
    config:
      state_memory: 1MiB
      rules:
        - {{ column: id, check: unique }}
        - {{ column: customer_id, check: {{ reference: {{ input: customers, in: [id] }} }} }}
  - {{ id: good, plugin: SQLiteOutput, from: check, config: {{ path: good.db, table: orders }} }}
  - {{ id: bad, plugin: SQLiteOutput, from: check.rejected, config: {{ path: bad.db, table: orders }} }}
"
    ));
    let mut random = Random(20_261_124);
    let mut kills = 0;
    let code = loop {
        let mut daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        std::thread::park_timeout(Duration::from_micros(50_000 + random.below(400_000)));
        if kills == KILLS || daemon.has_ended() {
            break daemon.wait();
        }
        daemon.kill();
        kills += 1;
    };
    assert_eq!(code, Some(0), "{}", log_of(work.path()));
    let ask = |database: &str, sql: &str| -> i64 {
        let connection = Connection::open(work.file(database)).expect("a database");
        connection.query_row(sql, [], |row| row.get(0)).expect("a number")
    };
    let (good, bad) = (ask("good.db", "SELECT count(*) FROM orders"), ask("bad.db", "SELECT count(*) FROM orders"));
    assert!(good > 0 && bad > 0 && good + bad == ROWS, "{good} + {bad}: {}", log_of(work.path()));
    assert!(ask("good.db", "SELECT max(customer_id) FROM orders") <= KNOWN);
    assert!(ask("bad.db", "SELECT min(customer_id) FROM orders") > KNOWN);
    let reasons = "SELECT count(*) FROM orders WHERE reasons <> 'customer_id is not in customers'";
    assert_eq!(ask("bad.db", reasons), 0);
}
