//! Promise: HTTP services are read and written through failures and kills without loss, and each row has its effect once.

use crate::harness::captured::LIMIT;
use crate::harness::daemon::Daemon;
use crate::harness::service::{ORDERS, PAGES, Service};
use crate::harness::texts::lite;
use crate::harness::{Work, eventually};

/// The first column of the first row.
fn text(work: &Work, sql: &str) -> Option<String> {
    lite(&work.file("rows.db"), sql)?.into_iter().flatten().next()?
}

#[test]
fn a_service_is_asked_once_per_row_with_its_values() {
    let service = Service::start();
    let work = Work::with_flow(&format!(
        "flow: flow
tasks:
  - {{ id: numbers, plugin: For, config: {{ range: {{ from: 1, to: {PAGES} }}, column: number }} }}
  - id: orders
    plugin: HttpInput
    from: numbers
    config:
      url: {}/orders
      query: {{ page: \"${{row.number}}\" }}
      rows: orders
      columns: {{ id: int64, amount: \"decimal(12,2)\" }}
      client: {{ allow_hosts: [127.0.0.1], retry: {{ wait: 1ms }}, requests_per_second: 200 }}
  - {{ id: store, plugin: SQLiteOutput, from: orders, config: {{ path: rows.db, table: rows }} }}
",
        service.url()
    ));
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    let seen = text(&work, "SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || max(id) FROM rows");
    assert_eq!(seen, Some(format!("{0} {0} {0}", PAGES * ORDERS)));
    let asked: Vec<String> = service.requests();
    for page in 1..=PAGES {
        assert!(asked.iter().any(|line| line.starts_with(&format!("GET /orders?page={page} "))), "{asked:?}");
    }
}

#[test]
fn a_killed_writer_sends_again_under_the_same_keys() {
    const ROWS: usize = 400;
    let service = Service::start();
    let work = Work::with_flow(&format!(
        "flow: flow
checkpoint: {{ interval: 20ms }}
tasks:
  - {{ id: orders, plugin: FakerInput, config: {{ dataset: orders, rows: {ROWS}, seed: 7, rate: 400 }} }}
  - id: send
    plugin: HttpWriter
    from: orders
    config:
      url: {}/taken
      batch_rows: 3
      service_honours_key: true
      client: {{ allow_hosts: [127.0.0.1], retry: {{ wait: 1ms }} }}
",
        service.url()
    ));
    for kills in 1..=3 {
        let killed = Daemon::start(work.path(), "flow.yaml", "state", &[]);
        let enough = service.requests().len() + 15 * kills;
        eventually("some requests", LIMIT, || service.requests().len() >= enough);
        killed.kill();
    }
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    let mut ids: Vec<i64> = Vec::new();
    for body in service.taken() {
        let rows: serde_json::Value = serde_json::from_str(&body).expect("a list");
        ids.extend(rows.as_array().expect("a list").iter().map(|row| row["id"].as_i64().expect("an id")));
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((all, ids.len()), (ROWS, ROWS));
}
