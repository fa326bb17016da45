//! Replays up to a recorded edge, and tables as they were.

use aqueduct_model::{Polled, Position};

use super::{Fold, Reader, Settings, Shop};

const BASE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE k(a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID";

fn replay(settings: Settings, from: &Position, until: &Position, fold: &mut Fold) {
    let mut reader = Reader::open(settings, Some(from)).unwrap();
    reader.budget.until = Some(until.clone());
    reader.drain(fold).unwrap();
    assert_eq!(reader.position().as_ref(), Some(until));
    assert!(matches!(reader.poll().unwrap(), Polled::Idle));
}

#[test]
fn changes_come_again_up_to_the_edge_and_no_further() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (fold, start) = reader.all();
    let mut first = fold.clone();
    shop.run("INSERT INTO t VALUES (1, 'a'), (2, 'b'); REPLACE INTO t VALUES (1, 'c'); INSERT INTO k VALUES ('x', 1)");
    shop.run("ALTER TABLE t ADD COLUMN w TEXT");
    let edge = reader.drain(&mut first).unwrap();
    shop.run("DELETE FROM t; INSERT INTO k VALUES ('y', 2); ALTER TABLE t RENAME TO u");
    reader.drain(&mut first.clone()).unwrap();
    let mut again = fold;
    replay(shop.settings(), &start, &edge, &mut again);
    assert_eq!(again.tables, first.tables);
    assert_eq!(again.log, first.log);
}

#[test]
fn a_replayed_snapshot_shows_the_rows_of_its_edge() {
    let shop = Shop::new(BASE);
    shop.fill("INSERT INTO t SELECT value, 'v' || value", 60);
    shop.fill("INSERT INTO k SELECT 'k' || (value % 7), value", 60);
    let settings = || Settings { chunk_rows: 9, ..shop.settings() };
    let mut edges = vec![(Position::default(), Fold::default())];
    let mut reader = Reader::open(settings(), None).unwrap();
    let mut fold = Fold::default();
    let mut quiet = 0;
    let mut step = 0;
    while quiet < 2 {
        let polled = reader.poll().unwrap();
        quiet = if matches!(polled, Polled::Idle) { quiet + 1 } else { 0 };
        fold.apply(&polled);
        if let Some(position) = reader.position() {
            edges.push((position, fold.clone()));
        }
        step += 1;
        if step < 30 {
            shop.run(&format!(
                "UPDATE t SET v = v || '{step}' WHERE id % 5 = {}; DELETE FROM t WHERE id = {}; INSERT OR REPLACE INTO t VALUES ({}, 'n'); \
                 UPDATE OR IGNORE k SET b = b + 100 WHERE b = {step}; DELETE FROM k WHERE b = {}",
                step % 5, step * 2, 90 - step, step + 20
            ));
        }
    }
    assert!(edges.len() > 15, "{}", edges.len());
    for from in 0..edges.len() {
        for to in [from, from + 1, from + 3, edges.len() - 1] {
            let (Some((start, before)), Some((edge, after))) = (edges.get(from), edges.get(to)) else { continue };
            if edge.0.is_empty() {
                continue;
            }
            // A reader that comes back must still find its changes.
            let mut again = before.clone();
            if start.0.is_empty() {
                continue;
            }
            replay(settings(), start, edge, &mut again);
            assert_eq!(again.tables, after.tables, "edge {from} to {to}");
        }
    }
    for (edge, shown) in edges.iter().filter(|(edge, _)| !edge.0.is_empty()) {
        let mut seen = Fold::default();
        let mut scan = Reader::scan(settings(), Some(edge));
        loop {
            match scan.poll().unwrap() {
                Polled::Finished => break,
                given => seen.apply(&given),
            }
        }
        assert_eq!(seen.tables, shown.tables);
    }
}

#[test]
fn a_scan_without_an_edge_shows_the_present_and_needs_no_capture() {
    let shop = Shop::new(BASE);
    shop.fill("INSERT INTO t SELECT value, 'v'", 30);
    let mut scan = Reader::scan(shop.settings(), None);
    scan.budget.max_rows = 7;
    let mut seen = Fold::default();
    loop {
        match scan.poll().unwrap() {
            Polled::Finished => break,
            given => seen.apply(&given),
        }
    }
    seen.assert_equals(&shop);
}

#[test]
fn a_scan_that_cannot_be_exact_says_so() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, edge) = reader.all();
    shop.run("DROP TABLE t");
    let unnoticed = Reader::scan(shop.settings(), Some(&edge)).poll().unwrap_err();
    assert_eq!(unnoticed.kind(), aqueduct_model::ErrorKind::LostPosition);
    let now = reader.drain(&mut fold).unwrap();
    let gone = Reader::scan(shop.settings(), Some(&edge)).poll().unwrap_err();
    assert_eq!(gone.kind(), aqueduct_model::ErrorKind::LostPosition);
    assert!(Reader::scan(shop.settings(), Some(&now)).poll().is_ok());
    reader.acknowledge(&now).unwrap();
    assert!(Reader::scan(shop.settings(), Some(&now)).poll().is_ok());
}
