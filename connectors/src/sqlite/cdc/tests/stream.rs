//! Changes as they happen.

use aqueduct_model::{ErrorKind, Polled};
use fail::FailScenario;

use super::{Fold, Reader, Shop};
use crate::cdc::SnapshotMode;

const ORDERS: &str = "CREATE TABLE orders(id INTEGER PRIMARY KEY, item TEXT, price REAL, raw BLOB)";

#[test]
fn rows_come_first_and_then_every_change() {
    let shop = Shop::new(ORDERS);
    shop.run("INSERT INTO orders VALUES (1, 'a', 1.5, x'00ff'), (2, 'b', NULL, NULL)");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    fold.assert_equals(&shop);
    shop.run(
        "BEGIN; INSERT INTO orders VALUES (3, 'c', 0.1, NULL); UPDATE orders SET id = 9 WHERE id = 1; \
              DELETE FROM orders WHERE id = 2; COMMIT",
    );
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert_eq!(fold.log, ["orders:CreateTable", "orders:II", "orders:IBAD"]);
}

#[test]
fn nothing_of_a_rolled_back_transaction_is_seen() {
    let shop = Shop::new(ORDERS);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("BEGIN; INSERT INTO orders(id) VALUES (1); ROLLBACK; \
              BEGIN; INSERT INTO orders(id) VALUES (2); SAVEPOINT s; INSERT INTO orders(id) VALUES (3); ROLLBACK TO s; COMMIT");
    reader.drain(&mut fold).unwrap();
    assert_eq!(fold.rows("orders"), ["2|null|null|null"]);
}

#[test]
fn a_position_lies_between_transactions_only() {
    let _scenario = FailScenario::setup();
    let shop = Shop::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n INTEGER); CREATE TABLE b(id INTEGER PRIMARY KEY, n INTEGER)",
    );
    shop.fill("INSERT INTO a SELECT value, 100", 50);
    shop.fill("INSERT INTO b SELECT value, 100", 50);
    let mut reader = shop.reader();
    reader.budget.max_rows = 2;
    let (mut fold, _) = reader.all();
    shop.run("BEGIN; UPDATE a SET n = n - 7; UPDATE b SET n = n + 7; COMMIT");
    shop.run("BEGIN; UPDATE b SET n = n - 1 WHERE id = 4; UPDATE a SET n = n + 1 WHERE id = 9; COMMIT");
    let mut edges = 0;
    loop {
        let polled = reader.poll().unwrap();
        fold.apply(&polled);
        if reader.position().is_some() {
            edges += 1;
            assert_eq!(total(&fold), 10_000, "half a transaction");
            if matches!(polled, Polled::Idle) {
                break;
            }
        }
    }
    assert!(edges > 0);
    fold.assert_equals(&shop);
}

fn total(fold: &Fold) -> i64 {
    let number = |row: &String| row.split('|').nth(1).unwrap().parse::<i64>().unwrap();
    ["a", "b"].iter().flat_map(|table| fold.rows(table)).map(|row| number(&row)).sum()
}

#[test]
fn a_restart_goes_on_exactly_where_it_stopped() {
    let _scenario = FailScenario::setup();
    let shop = Shop::new(ORDERS);
    let mut reader = shop.reader();
    let (mut fold, mut position) = reader.all();
    for id in 1..20 {
        shop.run(&format!("INSERT INTO orders(id) VALUES ({id})"));
        if id % 3 == 0 {
            reader = Reader::open(shop.settings(), Some(&position)).unwrap();
        }
        position = reader.drain(&mut fold).unwrap();
    }
    fold.assert_equals(&shop);
}

#[test]
fn an_unknown_change_stops_the_flow() {
    let _scenario = FailScenario::setup();
    let shop = Shop::new(ORDERS);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    for (op, table) in [(77, 1), (0, 99)] {
        shop.run(&format!("INSERT INTO _aqueduct_changes(tbl, version, op) VALUES ({table}, 1, {op})"));
        let last = shop.number("SELECT max(seq) FROM _aqueduct_changes");
        let error = reader.drain(&mut fold).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data);
        let text = error.to_string();
        assert!(text.contains(&format!("change {last} ")) && text.contains(&format!("kind {op}")), "{text}");
        shop.run(&format!("DELETE FROM _aqueduct_changes WHERE seq = {last}"));
        reader = shop.reader();
        fold = Fold::default();
    }
}

#[test]
fn a_row_that_does_not_fit_is_set_aside_and_its_key_is_gone_from_the_target() {
    let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 1), (2, 'two')");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    assert_eq!(fold.rows("t"), ["1|1"]);
    shop.run("UPDATE t SET n = 'one' WHERE id = 1; UPDATE t SET n = 2 WHERE id = 2; UPDATE t SET n = 'x' WHERE id = 2");
    shop.run("INSERT INTO t VALUES (3, 3)");
    reader.drain(&mut fold).unwrap();
    assert_eq!(fold.rows("t"), ["3|3"]);
    assert_eq!(reader.bad.count(), 3);
}

#[test]
fn tables_without_a_key_are_followed_row_by_row() {
    let shop = Shop::new("CREATE TABLE t(a, b TEXT); INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2.5, NULL)");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("DELETE FROM t WHERE rowid = 1; UPDATE t SET b = 'y' WHERE rowid = 3; INSERT INTO t VALUES ('z', 'z')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn names_of_any_kind_are_captured() {
    let shop = Shop::new(
        "CREATE TABLE \"we\"\"ird; -- 'name\"(\"ro;w\" INTEGER PRIMARY KEY, \"select\" TEXT UNIQUE, \"a\"\"b\" BLOB); \
         CREATE TABLE 订单(编号 TEXT PRIMARY KEY, 数 INTEGER) WITHOUT ROWID; CREATE TABLE rowids(rowid TEXT, n INTEGER)",
    );
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("INSERT INTO \"we\"\"ird; -- 'name\" VALUES (1, 'x', NULL); REPLACE INTO \"we\"\"ird; -- 'name\" VALUES (2, 'x', x'01'); \
              INSERT INTO 订单 VALUES ('一', 1); UPDATE 订单 SET 编号 = '二'; INSERT INTO rowids VALUES ('a', 1); UPDATE rowids SET rowid = 'b'");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn snapshot_modes() {
    let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let with = |snapshot| super::Settings { snapshot, ..shop.settings() };
    let mut never = Reader::open_as("never", with(SnapshotMode::Never), None).unwrap();
    let (mut fold, _) = never.all();
    assert_eq!(fold.rows("t"), [] as [&str; 0]);
    shop.run("INSERT INTO t VALUES (2); CREATE TABLE later(id INTEGER PRIMARY KEY); INSERT INTO later VALUES (5)");
    never.drain(&mut fold).unwrap();
    assert_eq!((fold.rows("t"), fold.rows("later")), (vec!["2".to_owned()], vec!["5".to_owned()]));

    let mut only = Reader::open_as("only", with(SnapshotMode::InitialOnly), None).unwrap();
    let (fold, _) = only.all();
    fold.assert_equals(&shop);
    assert!(matches!(only.poll().unwrap(), Polled::Finished));

    let mut always = Reader::open_as("always", with(SnapshotMode::Always), None).unwrap();
    let (mut fold, position) = always.all();
    shop.run("INSERT INTO t VALUES (3); DELETE FROM t WHERE id = 1");
    let mut always = Reader::open_as("always", with(SnapshotMode::Always), Some(&position)).unwrap();
    always.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert!(fold.log.contains(&"t:AA".to_owned()), "existing rows come again as updates: {:?}", fold.log);
}
