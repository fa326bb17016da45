//! Promise: `aqueduct trace` shows one row's way through a flow with every change of it, and why it ends where it ends;
//! `aqueduct replay` keeps what sources gave, and shows offline what an edited flow makes of it.

use std::time::Duration;

use crate::harness::daemon::Daemon;
use crate::harness::{Work, eventually};

const FLOW: &str = "flow: flow
checkpoint: { interval: 50ms }
tasks:
  - { id: shop, plugin: CdcInput, config: { engine: sqlite, path: shop.db, tables: [orders] } }
  - { id: named, plugin: Function, from: shop, config: { columns: { vat: amount * 2 } } }
  - { id: large, plugin: Filter, from: named, config: { where: amount > 100 } }
  - { id: totals, plugin: Group, from: named, config: { by: [region], totals: { total: sum(amount) } } }
  - { id: store_large, plugin: SQLiteOutput, from: large, config: { path: out.db } }
  - { id: store_totals, plugin: SQLiteOutput, from: totals, config: { path: out.db } }
";
const SHOP: &str = "PRAGMA journal_mode = WAL;
CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT, amount INTEGER);
INSERT INTO orders VALUES (1, 'north', 120), (2, 'south', 80), (3, 'north', 5);";
const LIMIT: Duration = Duration::from_secs(60);

fn shop() -> (Work, rusqlite::Connection) {
    let work = Work::with_flow(FLOW);
    let shop = rusqlite::Connection::open(work.file("shop.db")).expect("a database");
    shop.execute_batch(SHOP).expect("a shop");
    (work, shop)
}

#[test]
fn a_row_is_followed_through_every_task() {
    let (work, _shop) = shop();
    let way = work.aqueduct(&["trace", "flow.yaml", "2"]).ok().stdout;
    for line in [
        "shop (CdcInput)\n    read from orders",
        "        insert id=2  region=south  amount=80\n",
        "    out orders\n        insert id=2  region=south  amount=80  vat=160\n",
        "    nothing came out: the row was left out (where: amount > 100)\n",
        "store_large (SQLiteOutput)\n    it did not come here\n",
        "    out totals\n        insert region=south  total=80\n",
        "store_totals (SQLiteOutput)\n    written to totals with batch ",
        "    committed with epoch ",
    ] {
        assert!(way.contains(line), "{line}\nin\n{way}");
    }
    let large = work.aqueduct(&["trace", "flow.yaml", "id=1", "--table", "orders"]).ok().stdout;
    assert!(large.contains("store_large (SQLiteOutput)\n    written to orders with batch "), "{large}");
    assert!(!work.file("out.db").exists() && !work.file(".aqueduct").exists());
}

#[test]
fn a_key_that_is_nowhere_is_an_error_with_a_way_out() {
    let (work, _shop) = shop();
    let lost = work.aqueduct(&["trace", "flow.yaml", "99"]);
    assert_eq!((lost.code, lost.stdout.as_str()), (Some(1), ""), "{}", lost.stderr);
    assert!(
        lost.stderr.contains("no source gave a row with this key") && lost.stderr.contains("help: "),
        "{}",
        lost.stderr
    );
    let mixed = work.aqueduct(&["trace", "flow.yaml", "a=1,2"]);
    assert_eq!(mixed.code, Some(2), "{}", mixed.stderr);
}

#[test]
fn a_refused_row_tells_why() {
    let work = Work::with_flow(
        "flow: casts
tasks:
  - { id: rows, plugin: CSVInput, config: { path: rows.csv, key: [id] } }
  - { id: one, plugin: Function, from: rows, on_bad_row: dead_letter, config: { columns: { n: \"cast(text as int)\" } } }
  - { id: store, plugin: SQLiteOutput, from: one, config: { path: out.db, mode: append } }
",
    );
    work.write("rows.csv", "id,text\n1,7\n2,seven\n");
    let way = work.aqueduct(&["trace", "flow.yaml", "id=2"]).ok().stdout;
    assert!(way.contains("    refused: ") && way.contains("store (SQLiteOutput)\n    it did not come here"), "{way}");
    assert!(!work.file(".aqueduct").exists());
}

/// Records a run with changes and a `kill -9`, then edits the flow.
#[test]
fn an_edited_flow_is_compared_on_what_was_recorded() {
    let (work, shop) = shop();
    let record = |work: &Work| {
        let mut command = crate::harness::program();
        command.current_dir(work.path()).args(["replay", "flow.yaml", "--state", "state", "--record", "kept"]);
        command.spawn().expect("the program starts")
    };
    let out = work.file("out.db");
    let total = |region: &str| {
        let sql = format!("SELECT total FROM totals WHERE region = '{region}'");
        let rows = crate::harness::texts::lite(&out, &sql).unwrap_or_default();
        rows.first().and_then(|row| row.first().cloned().flatten()).unwrap_or_default()
    };
    let mut first = record(&work);
    eventually("the snapshot", LIMIT, || total("north") == "125");
    shop.execute_batch("UPDATE orders SET amount = 200 WHERE id = 2; DELETE FROM orders WHERE id = 3")
        .expect("changes");
    eventually("the changes", LIMIT, || total("south") == "200" && total("north") == "120");
    first.kill().expect("a child that was not waited for");
    first.wait().expect("a killed child ends");
    shop.execute_batch("INSERT INTO orders VALUES (4, 'west', 7)").expect("a change");
    let mut second = record(&work);
    eventually("what came meanwhile", LIMIT, || total("west") == "7");
    let stopping = work.aqueduct(&["stop", "flow.yaml", "--state", "state"]);
    assert_eq!(stopping.code, Some(0), "{}", stopping.stderr);
    assert!(second.wait().expect("a child ends").success());

    let same = work.aqueduct(&["replay", "flow.yaml", "--from", "kept"]).ok().stdout;
    assert!(same.contains("make the same tables: store_large 2 rows, store_totals 3 rows"), "{same}");
    work.write("edited.yaml", FLOW.replace("amount > 100", "amount > 150").replace("sum(amount)", "count(*)"));
    let edited = work.aqueduct(&["replay", "edited.yaml", "--from", "kept"]);
    assert_eq!(edited.code, Some(1), "{}", edited.stderr);
    for line in [
        "store_large · orders: 2 rows before, 1 after",
        "  - 1   north   120     240",
        "store_totals · totals: 3 rows before, 3 after",
        "  - north   120\n  + north   1\n",
        "- kept/flow.yaml, + edited.yaml: 2 tables differ",
    ] {
        assert!(edited.stdout.contains(line), "{line}\nin\n{}", edited.stdout);
    }
    work.aqueduct(&["replay", "edited.yaml", "--from", "kept", "--against", "edited.yaml"]).ok();
    let way = work.aqueduct(&["trace", "flow.yaml", "3", "--from", "kept"]).ok().stdout;
    assert!(way.contains("insert id=3") && way.contains("delete id=3"), "{way}");
    let other = work.aqueduct(&["replay", "edited.yaml", "--state", "state2", "--record", "kept"]);
    assert_eq!(other.code, Some(2), "{}", other.stderr);
    let none = work.aqueduct(&["replay", "flow.yaml", "--from", "nowhere"]);
    assert!(none.code != Some(0) && none.stderr.contains("nowhere"), "{}", none.stderr);
}

#[test]
fn a_daemon_can_be_recorded_only_from_where_it_stands() {
    let (work, _shop) = shop();
    let daemon = Daemon::start(work.path(), "flow.yaml", "state", &[]);
    daemon.wait_for_state("running", LIMIT);
    assert_eq!(daemon.stop(), Some(0));
    // The recording of a flow that was run in between has a gap.
    std::fs::create_dir_all(work.file("kept/shop")).expect("a folder");
    work.write("kept/flow.yaml", FLOW);
    work.write("kept/shop/rows", "");
    work.write("kept/shop/index.jsonl", "{\"kind\":\"begin\",\"position\":{\"elsewhere\":1}}\n");
    let gap = work.aqueduct(&["replay", "flow.yaml", "--state", "state", "--record", "kept"]);
    assert_eq!(gap.code, Some(2), "{}", gap.stderr);
    assert!(gap.stderr.contains("does not hold the position"), "{}", gap.stderr);
}
