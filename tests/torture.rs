//! `aqueduct torture` on a user's flow: it survives, says so, and leaves nothing behind.

use std::time::Duration;

use aqueduct_test_servers::{Kind, shared};
use rusqlite::Connection;

use crate::harness::bank::{Bank, flow};
use crate::harness::writer::Writer;
use crate::harness::{Finished, Work};

const EQUAL: &str = "0 missing, 0 extra, 0 different; receipts without gap or overlap";

/// The numbers of the line of a fault: times, survived.
#[track_caller]
fn line(finished: &Finished, fault: &str) -> (u32, u32) {
    let table = finished.stdout.rsplit("\n\n").next().unwrap_or_default();
    let line = table.lines().find(|line| line.starts_with(fault)).unwrap_or_else(|| panic!("{fault}: {table}"));
    let mut numbers = line[28..].split_whitespace().map(|text| text.parse().expect("a number"));
    (numbers.next().expect("times"), numbers.next().expect("survived"))
}

#[test]
fn a_flow_between_files_survives_and_nothing_is_left_behind() {
    let work = Work::with_flow(&flow("bank"));
    let bank = Bank::open(&work.file("bank.db"), 7, Duration::from_millis(2));
    let arguments =
        ["torture", "flow.yaml", "--faults", "5", "--only", "kill,restart,locked,disconnect", "--seed", "3"];
    let finished = work.aqueduct(&arguments).ok();
    bank.close();
    assert!(finished.stdout.contains(EQUAL), "{}", finished.stdout);
    assert_eq!((line(&finished, "SIGKILL"), line(&finished, "SIGTERM")), ((2, 2), (1, 1)));
    assert_eq!(line(&finished, "target locked"), (2, 2));
    assert!(finished.stdout.contains("–  no server is reached by TCP"));
    // The user's own targets were not touched, and the source is as it was.
    assert!(!work.file("copy.db").exists() && !work.file("copy.duckdb").exists());
    let source = Connection::open(work.file("bank.db")).expect("the bank");
    let left: i64 = source
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name LIKE '\\_%' ESCAPE '\\'", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(left, 0);
}

#[test]
fn a_flow_between_servers_survives_faults_of_the_network_and_a_migration() {
    let (source, target) = (shared(Kind::MariaDb).database(), shared(Kind::Postgres15).database());
    source.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))");
    let flow = format!(
        "flow: copy\ntasks:
  - {{ id: shop, plugin: CdcInput, config: {{ engine: mariadb, url: '${{env:SHOP}}', tables: ['{}.*'] }} }}
  - {{ id: copy, plugin: PostgresOutput, from: shop, config: {{ url: '${{env:COPY}}' }} }}\n",
        source.name()
    );
    let work = Work::with_flow(&flow);
    let (shop, copy) = (source.url("cdc"), target.url("cdc"));
    let environment = [("SHOP", shop.as_str()), ("COPY", copy.as_str())];
    let refused = work.aqueduct_with(&["torture", "flow.yaml"], &environment);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--scratch copy='${env:SCRATCH_URL}'"), "{}", refused.stderr);

    let writer = Writer::churn(source.connect(), "t", 300, 5, Duration::from_millis(3));
    let ddl = format!("shop=ALTER TABLE {}.t ADD COLUMN extra INT DEFAULT 5", source.name());
    let only = "kill,disconnect,lost-reply,ddl,unreachable";
    let finished = work.aqueduct_with(
        &["torture", "flow.yaml", "--faults", "5", "--only", only, "--scratch", "copy=${env:COPY}", "--ddl", &ddl],
        &environment,
    );
    writer.stop();
    let finished = finished.ok();
    assert!(finished.stdout.contains(EQUAL), "{}", finished.stdout);
    for fault in ["SIGKILL", "connections cut", "replies lost", "server unreachable", "statement at the source"] {
        assert_eq!(line(&finished, fault), (1, 1), "{}", finished.stdout);
    }
    assert_eq!(target.text("SELECT count(*) FROM information_schema.columns WHERE column_name = 'extra'"), "1");
    for secret in ["cdc:cdc", "password"] {
        assert!(!finished.stdout.contains(secret) && !finished.stderr.contains(secret));
    }
}
