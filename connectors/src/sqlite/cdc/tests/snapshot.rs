//! Rows that are read while they change.

use aqueduct_model::Polled;
use fail::FailScenario;

use super::{Fold, Reader, Settings, Shop};

/// A table of every kind in which SQLite keeps rows apart differently.
const KINDS: [(&str, &str); 4] = [
    ("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)", "value, 'v'"),
    ("CREATE TABLE t(id TEXT PRIMARY KEY, v TEXT)", "printf('k%03d', 100 - value), 'v'"),
    (
        "CREATE TABLE t(id TEXT COLLATE NOCASE, n INTEGER, v TEXT, PRIMARY KEY (id, n)) WITHOUT ROWID",
        "CASE value % 2 WHEN 1 THEN 'A' ELSE 'b' END, value, 'v'",
    ),
    ("CREATE TABLE t(a TEXT, v TEXT)", "value, 'v'"),
];

fn small_chunks(shop: &Shop) -> Settings {
    Settings { chunk_rows: 7, ..shop.settings() }
}

#[test]
fn chunks_and_changes_fit_together_in_tables_of_every_kind() {
    let _scenario = FailScenario::setup();
    for (schema, row) in KINDS {
        let shop = Shop::new(schema);
        shop.fill(&format!("INSERT INTO t SELECT {row}"), 60);
        let mut reader = Reader::open(small_chunks(&shop), None).unwrap();
        let mut fold = Fold::default();
        let key = if schema.contains("id") { "id" } else { "a" };
        for step in 0..40 {
            fold.apply(&reader.poll().unwrap());
            shop.run(&format!(
                "UPDATE t SET v = 'u{step}' WHERE (SELECT count(*) FROM t AS o WHERE o.{key} < t.{key}) = {}",
                step * 7 % 60
            ));
            shop.run(&format!(
                "DELETE FROM t WHERE (SELECT count(*) FROM t AS o WHERE o.{key} < t.{key}) = {}",
                step * 11 % 60
            ));
            // Keys jump over the edge of what was read, both ways.
            let jump = if schema.contains("INTEGER PRIMARY KEY") { "100 - id" } else { "'x' || v" };
            let place = format!("rowid = {}", step + 1);
            if !schema.contains("WITHOUT") {
                shop.run(&format!("UPDATE OR IGNORE t SET {key} = {jump} WHERE {place}"));
            } else {
                shop.run(&format!("UPDATE OR IGNORE t SET id = 'a' || n WHERE n = {}", step + 1));
            }
        }
        reader.drain(&mut fold).unwrap();
        fold.assert_equals(&shop);
    }
}

#[test]
fn a_snapshot_row_never_overwrites_a_newer_one() {
    let _scenario = FailScenario::setup();
    let shop = Shop::new(KINDS[0].0);
    shop.fill("INSERT INTO t SELECT value, 'old'", 30);
    let mut reader = Reader::open(small_chunks(&shop), None).unwrap();
    let mut fold = Fold::default();
    while fold.tables.is_empty() || fold.rows("t").is_empty() {
        fold.apply(&reader.poll().unwrap());
    }
    shop.run("UPDATE t SET v = 'new' WHERE id IN (3, 25)");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn a_snapshot_goes_on_after_a_restart() {
    for (schema, row) in KINDS {
        let shop = Shop::new(schema);
        shop.fill(&format!("INSERT INTO t SELECT {row}"), 40);
        let (mut fold, mut position) = (Fold::default(), None);
        for step in 0..12 {
            let mut reader = Reader::open(small_chunks(&shop), position.as_ref()).unwrap();
            for _ in 0..3 {
                fold.apply(&reader.poll().unwrap());
            }
            while reader.position().is_none() {
                fold.apply(&reader.poll().unwrap());
            }
            position = reader.position();
            shop.run(&format!("UPDATE t SET v = v || {step}"));
        }
        Reader::open(small_chunks(&shop), position.as_ref()).unwrap().drain(&mut fold).unwrap();
        fold.assert_equals(&shop);
    }
}

#[test]
fn vacuum_starts_a_snapshot_over_where_it_may_renumber_rows() {
    let shop = Shop::new(KINDS[3].0);
    shop.fill("INSERT INTO t SELECT value, 'v'", 40);
    shop.run("DELETE FROM t WHERE rowid < 20 AND rowid % 3 > 0");
    let mut reader = Reader::open(small_chunks(&shop), None).unwrap();
    let mut fold = Fold::default();
    while fold.tables.is_empty() || fold.rows("t").len() < 14 {
        fold.apply(&reader.poll().unwrap());
    }
    shop.run("VACUUM; DELETE FROM t WHERE a = '30'; UPDATE t SET v = 'w' WHERE a = '3'");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert!(fold.log.contains(&"t:Truncate".to_owned()));
}

#[test]
fn tables_that_are_named_later_are_read_from_then_on() {
    let shop = Shop::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY); CREATE TABLE b(id INTEGER PRIMARY KEY); INSERT INTO b VALUES (1)",
    );
    let only = |tables: &[&str]| Settings { tables: tables.iter().map(|&t| t.to_owned()).collect(), ..shop.settings() };
    let mut fold = Fold::default();
    let position = Reader::open(only(&["a"]), None).unwrap().drain(&mut fold).unwrap();
    shop.run("INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)");
    let position = Reader::open(only(&["A", "B"]), Some(&position)).unwrap().drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    shop.run("INSERT INTO a VALUES (2); INSERT INTO b VALUES (3)");
    Reader::open(only(&["b"]), Some(&position)).unwrap().drain(&mut fold).unwrap();
    assert_eq!((fold.rows("a").len(), fold.rows("b").len()), (1, 3), "a table that is named no more stays as it is");
}

#[test]
fn an_idle_source_says_so_and_a_batch_keeps_to_its_budget() {
    let shop = Shop::new(KINDS[0].0);
    shop.fill("INSERT INTO t SELECT value, 'v'", 100);
    let mut reader = shop.reader();
    reader.budget.max_rows = 10;
    let mut fold = Fold::default();
    let mut largest = 0;
    loop {
        match reader.poll().unwrap() {
            Polled::Idle => break,
            given => {
                if let Polled::Batch(batch) = &given {
                    largest = largest.max(batch.num_rows());
                }
                fold.apply(&given);
            }
        }
    }
    fold.assert_equals(&shop);
    shop.run("UPDATE t SET v = 'w'");
    loop {
        match reader.poll().unwrap() {
            Polled::Batch(batch) => largest = largest.max(batch.num_rows()),
            Polled::Schema(_) => {}
            _ => break,
        }
    }
    assert!(largest <= 11, "{largest}");
}
