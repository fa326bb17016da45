//! The examples: each flow file as it stands, on real servers, or by the tests that it brings.

use std::path::Path;

use aqueduct_test_servers::{Database, Kind, shared};

use crate::harness::captured::LIMIT;
use crate::harness::daemon::Daemon;
use crate::harness::service::{ORDERS, PAGES, Service};
use crate::harness::texts::lite;
use crate::harness::{Work, eventually};

/// A folder with an example in it, its checkpoints often enough for a test.
fn example(name: &str) -> Work {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).join("flow.yaml");
    let flow = std::fs::read_to_string(file).expect("the example");
    let work = Work::new();
    // The daemon's folder is found by the file's name here.
    work.write(&format!("{name}.yaml"), flow.replace("delivery:", "checkpoint: { interval: 50ms }\ndelivery:"));
    work
}

fn start(work: &Work, name: &str, environment: &[(&str, &str)]) -> Daemon {
    Daemon::start(work.path(), &format!("{name}.yaml"), "state", environment)
}

fn duck(path: &Path, sql: &str) -> Option<i64> {
    let config = duckdb::Config::default().access_mode(duckdb::AccessMode::ReadOnly).ok()?;
    let connection = duckdb::Connection::open_with_flags(path, config).ok()?;
    connection.query_row(sql, [], |row| row.get(0)).ok()
}

#[test]
fn mysql_to_duckdb() {
    let source = shared(Kind::MySql8).database();
    source.sql("CREATE TABLE orders (id INT PRIMARY KEY, amount DECIMAL(12,2)); INSERT INTO orders VALUES (1, 10.50)");
    let work = example("mysql_to_duckdb");
    let url = source.url("cdc");
    let flow = std::fs::read_to_string(work.file("mysql_to_duckdb.yaml")).expect("the flow");
    work.write("mysql_to_duckdb.yaml", flow.replace("database: shop", &format!("database: {}", source.name())));
    let daemon = start(&work, "mysql_to_duckdb", &[("SHOP_URL", &url)]);
    daemon.wait_for_state("running", LIMIT);
    source.sql("INSERT INTO orders VALUES (2, 2.25); UPDATE orders SET amount = 20.25 WHERE id = 1");
    // Compares at a position that the flow comes to, and has the flow let go of the file meanwhile.
    let verified = work.aqueduct_with(&["verify", "mysql_to_duckdb.yaml", "--state", "state"], &[("SHOP_URL", &url)]);
    assert!(verified.ok().stdout.contains("0 missing, 0 extra, 0 different"));
    assert_eq!(daemon.stop(), Some(0));
    let warehouse = work.file("warehouse.duckdb");
    assert_eq!(duck(&warehouse, "SELECT CAST(sum(amount) * 100 AS BIGINT) FROM orders"), Some(2_250));
}

#[test]
fn postgres_to_postgres() {
    let (source, target) = (shared(Kind::Postgres15).database(), shared(Kind::Postgres18).database());
    source.sql(
        "CREATE TABLE customers (id INT PRIMARY KEY, email TEXT, phone TEXT);
         CREATE TABLE orders (id INT PRIMARY KEY, amount NUMERIC(12,2));
         INSERT INTO customers VALUES (1, 'a@example.org', '0301234567'); INSERT INTO orders VALUES (1, 10)",
    );
    let work = example("postgres_to_postgres");
    let (from, to) = (source.url("cdc"), target.url("cdc"));
    let daemon = start(&work, "postgres_to_postgres", &[("SOURCE_URL", &from), ("TARGET_URL", &to)]);
    let there = |sql: &str| found(&target, sql);
    eventually("the snapshot", LIMIT, || there("SELECT amount FROM shop.orders") == "10.00");
    source.sql("UPDATE orders SET amount = 12");
    eventually("the change", LIMIT, || there("SELECT amount FROM shop.orders") == "12.00");
    eventually("both versions", LIMIT, || {
        there("SELECT string_agg(amount || ' ' || is_current, ', ' ORDER BY amount) FROM shop_history.orders")
            == "10.00 false, 12.00 true"
    });
    assert_eq!(there("SELECT phone FROM shop.customers"), "******4567");
    assert!(!there("SELECT email FROM shop.customers").contains("example"));
    assert_eq!(daemon.stop(), Some(0));
}

/// A value of the target; empty while it has no such table.
fn found(target: &Database<'_>, sql: &str) -> String {
    let rows = target.connect().run(sql).unwrap_or_default();
    rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
}

#[test]
fn sharded_merge() {
    let server = shared(Kind::MySql8);
    let (one, two) = (server.named_database("shard_a"), server.named_database("shard_b"));
    for (shard, amount) in [(&one, 1), (&two, 2)] {
        shard.sql("CREATE TABLE orders (id INT PRIMARY KEY, amount INT)");
        shard.sql(&format!("INSERT INTO orders VALUES (1, {amount}), (2, {amount})"));
    }
    let work = example("sharded_merge");
    let flow = std::fs::read_to_string(work.file("sharded_merge.yaml")).expect("the flow");
    work.write("sharded_merge.yaml", flow.replace("shop_*", "shard_*"));
    let url = server.url("cdc");
    let daemon = start(&work, "sharded_merge", &[("SHARDS_URL", &url)]);
    let rows = || {
        let sql =
            "SELECT group_concat(shard || id || '=' || amount, ' ') FROM (SELECT * FROM orders ORDER BY shard, id)";
        let rows = lite(&work.file("merged.db"), sql).unwrap_or_default();
        rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
    };
    eventually("all shards", LIMIT, || rows() == "shard_a1=1 shard_a2=1 shard_b1=2 shard_b2=2");
    two.sql("UPDATE orders SET amount = 7 WHERE id = 1");
    one.sql("TRUNCATE TABLE orders");
    eventually("one shard is empty, the other is not", LIMIT, || rows() == "shard_b1=7 shard_b2=2");
    work.aqueduct_with(&["verify", "sharded_merge.yaml", "--state", "state"], &[("SHARDS_URL", &url)]).ok();
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn cdc_aggregate() {
    let work = example("cdc_aggregate");
    let shop = rusqlite::Connection::open(work.file("shop.db")).expect("a database");
    // The statements of the page.
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cdc_aggregate/README.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let statements: Vec<&str> =
        page.split("sqlite3 shop.db \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let [create, update] = statements.as_slice() else { panic!("{statements:?}") };
    shop.execute_batch(create).expect("the page's statements");
    let daemon = start(&work, "cdc_aggregate", &[]);
    let totals = work.file("totals.db");
    let found = || {
        lite(
            &totals,
            "SELECT region || ' ' || orders || ' ' || revenue || ' ' || unpaid FROM revenue_per_region WHERE unpaid IS NOT NULL",
        )
    };
    let holds = |row: &str| found().is_some_and(|rows| rows.iter().flatten().flatten().eq([row]));
    eventually("the open order's region", LIMIT, || holds("south 1 80 80"));
    shop.execute_batch(update).expect("the page's statement");
    eventually("the order in its new region", LIMIT, || holds("north 2 200 80"));
    assert_eq!(daemon.stop(), Some(0));
}

/// A folder with all files of an example in it.
fn whole_example(name: &str) -> Work {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    let work = Work::new();
    for entry in std::fs::read_dir(folder).expect("the example") {
        let path = entry.expect("a file").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        work.write(&file, std::fs::read(&path).expect("a file of the example"));
    }
    work
}

/// Runs what the page says, up to the program itself.
fn shop_of(work: &Work) {
    let page = std::fs::read_to_string(work.file("README.md")).expect("the page");
    let sql = page.split('"').nth(1).expect("statements that make the shop");
    rusqlite::Connection::open(work.file("shop.db")).expect("a database").execute_batch(sql).expect("a shop");
}

#[test]
fn subflow_per_day() {
    let work = whole_example("subflow_per_day");
    shop_of(&work);
    let killed = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    eventually("some days", LIMIT, || {
        std::fs::read_dir(work.file("state/subflow_per_day/runs/load")).is_ok_and(|days| days.count() > 3)
    });
    killed.kill();
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none"]).ok();
    let rows = |sql: &str| lite(&work.file("report.db"), sql).expect("the report");
    let texts = |sql: &str| rows(sql).into_iter().flatten().flatten().collect::<Vec<_>>().join(" ");
    assert_eq!(texts("SELECT * FROM days ORDER BY day"), "2026-01-02 2 200 2026-01-31 1 7");
    assert_eq!(texts("SELECT count(*), sum(amount) FROM orders_of_days"), "3 207");
    assert_eq!(texts("SELECT count(*), count(DISTINCT day), min(_status), max(_status) FROM load_runs"), "31 31 ok ok");
}

#[test]
fn for_each_table() {
    let work = whole_example("for_each_table");
    shop_of(&work);
    let run =
        ["run", "flow.yaml", "--state", "state", "--progress", "none", "--param", "tables=orders,nothing,customers"];
    let shown = work.aqueduct(&run).ok().stdout;
    assert!(shown.contains("nothing") && shown.contains("failed"), "{shown}");
    let rows = |sql: &str| lite(&work.file("copy.db"), sql).expect("the copy");
    assert_eq!((rows("SELECT * FROM orders").len(), rows("SELECT * FROM customers").len()), (1, 1));
}

#[test]
fn while_paging_api() {
    let service = Service::start();
    let work = whole_example("while_paging_api");
    let url = format!("service={}", service.url());
    work.aqueduct(&["run", "flow.yaml", "--state", "state", "--progress", "none", "--param", &url]).ok();
    let texts = |sql: &str| {
        let rows = lite(&work.file("copy.db"), sql).expect("the copy");
        rows.into_iter().flatten().flatten().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        texts("SELECT count(*), min(id), max(id) FROM orders"),
        format!("{} 1 {}", PAGES * ORDERS, PAGES * ORDERS)
    );
    assert_eq!(texts("SELECT count(*), max(number) FROM pages"), format!("{PAGES} {PAGES}"));
    assert!(service.requests().iter().all(|request| !request.contains(&format!("page={}", PAGES + 1))));
}

#[test]
fn orders_in_time() {
    let work = whole_example("orders_in_time");
    std::fs::create_dir(work.file("in")).expect("a folder");
    let page = std::fs::read_to_string(work.file("README.md")).expect("the page");
    let files = page.lines().filter_map(|line| line.strip_prefix("printf '")?.split_once("' > "));
    let files: Vec<(&str, &str)> = files.collect();
    assert_eq!(files.len(), 3, "{page}");
    for (rows, file) in files {
        work.write(file, rows.replace("\\n", "\n"));
    }
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    let text = |file: &str, sql: &str| {
        let rows = lite(&work.file(file), sql).unwrap_or_default();
        rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
    };
    let report = || {
        let sql = "SELECT group_concat(id || ' ' || round(rate, 2) || ' ' || coalesce(round(paid, 2), 'none'), ', ')
             FROM (SELECT * FROM settled ORDER BY id)";
        text("report.db", sql)
    };
    eventually("the order that was paid, and the one whose hour is over", LIMIT, || {
        report() == "1 1.1 10.0, 2 1.2 none"
    });
    work.write("in/orders_2.csv", "id,currency,amount,placed_at\n4,EUR,5,2026-03-01 08:00:00\n");
    eventually("an order that came a day late", LIMIT, || {
        text("late.db", "SELECT group_concat(id) FROM orders") == "4"
    });
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(report(), "1 1.1 10.0, 2 1.2 none");
}

#[test]
fn examples_pass_their_own_tests() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut command = crate::harness::program();
    // Every test says itself what its flow needs.
    command.current_dir(examples).arg("test").env_remove("MASKING_KEY");
    let passed = crate::harness::Finished::of(&mut command).ok();
    for name in ["masking_and_checks", "orders_in_time", "pivot_report", "switch_by_amount"] {
        assert!(passed.stdout.contains(&format!("ok     ./{name}/flow")), "{name}: {}", passed.stdout);
    }
}
