//! Positions that are gone, logs that are pruned, databases that are not what they should be.

use aqueduct_model::{ErrorKind, Position};
use fail::FailScenario;

use super::{Fold, Reader, Settings, Shop};
use crate::cdc::LostPosition;
use crate::sqlite::cdc::{check, remove_capture};

const BASE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')";

fn changes(shop: &Shop) -> i64 {
    shop.number("SELECT count(*) FROM _aqueduct_changes")
}

fn assert_lost(shop: &Shop, position: &Position) {
    let Err(error) = Reader::open(shop.settings(), Some(position)) else { panic!("a lost position went unnoticed") };
    assert_eq!(error.kind(), ErrorKind::LostPosition, "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("resnapshot")));
    let again = Settings { on_lost_position: LostPosition::Resnapshot, ..shop.settings() };
    let mut fold = Fold::default();
    Reader::open(again, Some(position)).unwrap().drain(&mut fold).unwrap();
    fold.assert_equals(shop);
    assert!(fold.log.contains(&"t:Truncate".to_owned()), "the target's rows are of unknown age");
}

#[test]
fn a_removed_log_is_a_lost_position() {
    let shop = Shop::new(BASE);
    let (_, position) = shop.reader().all();
    assert!(remove_capture(&shop.path(), "aqueduct").unwrap() >= 7);
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%aqueduct%'"), 0);
    shop.run("INSERT INTO t VALUES (2, 'unseen')");
    assert_lost(&shop, &position);
}

#[test]
fn an_older_copy_is_a_lost_position() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run(&format!("VACUUM INTO '{}'", shop.folder.path().join("backup.db").display()));
    shop.run("INSERT INTO t VALUES (2, 'y')");
    let position = reader.drain(&mut fold).unwrap();
    drop(reader);
    let Shop { db, folder } = shop;
    drop(db);
    std::fs::rename(folder.path().join("backup.db"), folder.path().join("shop.db")).unwrap();
    let db = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
    assert_lost(&Shop { db, folder }, &position);
}

#[test]
fn a_pruned_position_is_lost() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, old) = reader.all();
    shop.run("INSERT INTO t VALUES (2, 'y'), (3, 'z')");
    let new = reader.drain(&mut fold).unwrap();
    reader.acknowledge(&new).unwrap();
    assert_eq!(changes(&shop), 1, "the newest one stays");
    assert_lost(&shop, &old);
}

#[test]
fn nothing_is_pruned_before_it_is_durable() {
    let _scenario = FailScenario::setup();
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (fold, position) = reader.all();
    shop.run("INSERT INTO t VALUES (2, 'y'); INSERT INTO t VALUES (3, 'z')");
    let mut lost = fold.clone();
    reader.drain(&mut lost).unwrap();
    drop(reader);
    let mut fold = fold;
    Reader::open(shop.settings(), Some(&position))
        .expect("what is not durable can be read again")
        .drain(&mut fold)
        .unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn the_slowest_flow_holds_the_log() {
    let shop = Shop::new(BASE);
    let mut fast = Reader::open_as("fast", shop.settings(), None).unwrap();
    let mut slow = Reader::open_as("slow", shop.settings(), None).unwrap();
    let (mut fast_fold, _) = fast.all();
    let (mut slow_fold, slow_position) = slow.all();
    shop.run("INSERT INTO t VALUES (2, 'y'), (3, 'z')");
    let durable = fast.drain(&mut fast_fold).unwrap();
    fast.acknowledge(&durable).unwrap();
    let held = changes(&shop);
    assert!(held > 1, "{held}");
    let mut slow = Reader::open_as("slow", shop.settings(), Some(&slow_position)).unwrap();
    let durable = slow.drain(&mut slow_fold).unwrap();
    slow_fold.assert_equals(&shop);
    slow.acknowledge(&durable).unwrap();
    assert_eq!(changes(&shop), 1);
}

#[test]
fn numbers_never_come_twice() {
    let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE); INSERT INTO t VALUES (1, 'x')");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    // The candidate of the failed insert stays in the log, and SQLite forgets its number.
    shop.db.execute_batch("INSERT OR FAIL INTO t VALUES (2, 'x')").unwrap_err();
    let position = reader.drain(&mut fold).unwrap();
    reader.acknowledge(&position).unwrap();
    shop.run("INSERT INTO t VALUES (3, 'z')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn logs_of_other_names_are_apart() {
    let shop = Shop::new(BASE);
    let other = Settings { log: "other".into(), ..shop.settings() };
    let mut one = shop.reader();
    let mut two = Reader::open(other, None).unwrap();
    let ((mut fold, _), (mut fold_two, _)) = (one.all(), two.all());
    shop.run("REPLACE INTO t VALUES (1, 'y'); INSERT INTO t VALUES (2, 'z')");
    one.drain(&mut fold).unwrap();
    two.drain(&mut fold_two).unwrap();
    fold.assert_equals(&shop);
    fold_two.assert_equals(&shop);
    remove_capture(&shop.path(), "other").unwrap();
    shop.run("INSERT INTO t VALUES (3, 'w')");
    one.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn a_locked_database_is_waited_for() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, position) = reader.all();
    shop.run("BEGIN IMMEDIATE; INSERT INTO t VALUES (2, 'y')");
    reader.drain(&mut fold).unwrap();
    reader.acknowledge(&position).expect("pruning waits for a better time");
    assert_eq!(fold.rows("t"), ["1|x"], "an open transaction is not seen");
    let before = fold.clone();
    let mut second = Reader::open(shop.settings(), Some(&position)).expect("a restart needs no lock");
    shop.run("COMMIT");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    let mut second_fold = before;
    second.drain(&mut second_fold).unwrap();
    second_fold.assert_equals(&shop);
}

#[test]
fn a_database_without_wal_works_too() {
    let shop = Shop::new(BASE);
    shop.run("PRAGMA journal_mode=DELETE");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("INSERT INTO t VALUES (2, 'y')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn files_that_are_no_database() {
    let shop = Shop::new(BASE);
    let kind = |settings| Reader::open(settings, None).err().map(|error| (error.kind(), error.to_string()));
    let missing = Settings { path: shop.folder.path().join("none.db"), ..shop.settings() };
    let (missing_kind, text) = kind(missing).unwrap();
    assert!(missing_kind == ErrorKind::Config && text.contains("none.db"), "{text}");
    let garbage = shop.folder.path().join("garbage.db");
    std::fs::write(&garbage, "this is not a database, it is a text of some length").unwrap();
    assert_eq!(kind(Settings { path: garbage, ..shop.settings() }).unwrap().0, ErrorKind::Config);
    let (unknown, text) = kind(Settings { tables: vec!["t".into(), "ordres".into()], ..shop.settings() }).unwrap();
    assert!(unknown == ErrorKind::Config && text.contains("ordres"), "{text}");
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%aqueduct%'"), 0, "nothing was made");
}

#[test]
fn the_doctor_names_what_to_do() {
    let shop = Shop::new(
        "CREATE TABLE keyless(a TEXT); CREATE TABLE p(id INTEGER PRIMARY KEY, a TEXT); \
                          CREATE UNIQUE INDEX i ON p(a) WHERE a > 'm'; PRAGMA journal_mode=DELETE",
    );
    let wrong: Vec<_> = check(&shop.settings()).into_iter().filter(|finding| !finding.ok).collect();
    let fixes: Vec<&str> = wrong.iter().filter_map(|finding| finding.fix.as_deref()).collect();
    assert_eq!(wrong.len(), 3, "{wrong:?}");
    assert!(fixes.contains(&"PRAGMA journal_mode=WAL"), "{fixes:?}");
    let missing = Settings { path: "none.db".into(), ..shop.settings() };
    assert!(!check(&missing)[0].ok);
    assert_eq!(shop.number("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%aqueduct%'"), 0, "nothing was made");
}
