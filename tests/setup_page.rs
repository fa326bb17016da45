//! The statements that the pages tell administrators to run make an account that can capture.

use std::path::Path;

use aqueduct_test_servers::{Kind, Options, Server};

use crate::harness::captured::Captured;

/// The statements of the block that is marked with `name`, as the page has them.
fn block(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/change-data-capture.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let start = format!("```sql {name}\n");
    let text = page.split_once(&start).unwrap_or_else(|| panic!("no block {name}")).1;
    text.split_once("```").expect("the block ends").0.to_owned()
}

#[track_caller]
fn an_account_made_as_the_page_says_can_capture(kind: Kind, name: &str, setting: &str) {
    // Test servers do not sync their logs, which `doctor` finds.
    let options = if kind.is_mysql() { Options::new().config("sync-binlog=1") } else { Options::new() };
    let server = Server::start(kind, options);
    let database = server.named_database("shop");
    database.sql("CREATE TABLE orders (id INT PRIMARY KEY, v INT); INSERT INTO orders VALUES (1, 1)");
    let mut case = Captured::of(database).setting(setting);
    case.sql(&block(name));
    let url = case.database.url("capture").replace("capture:capture@", "capture:a%20long%20password@");
    case.change_url(url);
    let doctor = case.command(&["doctor", "flow.yaml"]);
    assert!(!doctor.stdout.contains('✗'), "{}", doctor.stdout);
    case.start();
    case.settle();
    case.sql("UPDATE orders SET v = 2");
    case.settle();
}

#[test]
fn on_mysql() {
    an_account_made_as_the_page_says_can_capture(Kind::MySql8, "mysql", "heartbeat: 1s");
}

#[test]
fn on_mariadb() {
    an_account_made_as_the_page_says_can_capture(Kind::MariaDb, "mariadb", "heartbeat: 1s");
}

#[test]
fn on_postgres() {
    an_account_made_as_the_page_says_can_capture(Kind::Postgres15, "postgres", "publication: aqueduct_shop");
}
