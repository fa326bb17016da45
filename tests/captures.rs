//! What a person does about captures from the command line: approve a change, retire a flow.

use aqueduct_test_servers::{Kind, shared};

use crate::harness::captured::Captured;

#[test]
fn a_table_that_asks_waits_until_it_is_approved() {
    let mut case = Captured::on(shared(Kind::MariaDb)).setting("schema_change: ask").setting("heartbeat: 100ms");
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)");
    case.start();
    case.settle();
    assert_eq!(case.command(&["approve", "flow.yaml", "--state", "state"]).ok().stdout, "no table waits\n");
    case.sql("ALTER TABLE t ADD COLUMN w INT DEFAULT 7; INSERT INTO t VALUES (2, 2, 2)");
    case.until("the table waits", |case| {
        case.command(&["approve", "flow.yaml", "--state", "state"]).stdout.contains(".t  parked")
    });
    case.sql("INSERT INTO zz_marker VALUES (-1)");
    case.until("other tables go on", |case| case.copied_number("SELECT count(*) FROM zz_marker WHERE id = -1") == 1);
    assert_eq!(case.copied_number("SELECT count(*) FROM t"), 1);
    let unknown = case.command(&["approve", "flow.yaml", "nothing", "--state", "state"]);
    assert_eq!(unknown.code, Some(2), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("lists those that wait"), "{}", unknown.stderr);
    let name = case.qualified("t");
    case.command(&["approve", "flow.yaml", &name, "--state", "state"]).ok();
    case.settle();
}

#[test]
fn a_retired_flow_leaves_nothing_at_the_server() {
    let mut case = Captured::on(shared(Kind::Postgres15));
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)");
    case.start();
    case.settle();
    let own = "SELECT (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())
                    + (SELECT count(*) FROM pg_publication)";
    assert_eq!(case.database.text(own), "2");
    let running = case.command(&["retire", "flow.yaml", "--state", "state"]);
    assert_eq!(running.code, Some(3), "{}", running.stderr);
    assert!(running.stderr.contains("aqueduct stop"), "{}", running.stderr);
    case.stop();
    let done = case.command(&["retire", "flow.yaml", "--state", "state"]).ok().stdout;
    assert!(done.contains("dropped the replication slot") && done.contains("dropped the publication"), "{done}");
    assert_eq!(case.database.text(own), "0");
}
