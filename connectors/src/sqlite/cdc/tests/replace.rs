//! REPLACE removes rows without firing a delete trigger; nothing of it may go unseen.

use super::{Fold, Reader, Shop};

const USERS: &str = "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, nick TEXT, n INTEGER NOT NULL DEFAULT 7, \
                     UNIQUE (nick, n)); \
                     INSERT INTO users VALUES (1, 'a', 'x', 1), (2, 'b', 'y', 2), (3, 'c', 'z', 3), (4, NULL, NULL, 4)";

/// What comes of one statement, and the target afterwards must be the table.
fn log_of(schema: &str, statement: &str) -> Vec<String> {
    let shop = Shop::new(schema);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    fold.log.clear();
    shop.run(statement);
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    fold.log
}

#[test]
fn every_way_to_replace() {
    for (statement, expected) in [
        ("REPLACE INTO users VALUES (1, 'a', 'new', 1)", &["users:BA"][..]),
        ("REPLACE INTO users VALUES (9, 'a', 'new', 9)", &["users:DI"]),
        ("REPLACE INTO users(email) VALUES ('a')", &["users:DI"]),
        ("REPLACE INTO users VALUES (1, 'b', 'z', 3)", &["users:DDBA"]),
        ("REPLACE INTO users VALUES (9, 'new', 'new', 9)", &["users:I"]),
        ("REPLACE INTO users VALUES (9, NULL, NULL, NULL)", &["users:I"]),
        ("INSERT OR IGNORE INTO users VALUES (1, 'b', 'z', 3)", &[]),
        (
            "INSERT OR IGNORE INTO users VALUES (1, 'q', 'q', 3); INSERT INTO users VALUES (9, 'q', 'q', 3)",
            &["users:I"],
        ),
        ("INSERT INTO users VALUES (1, 'q', 'q', 1) ON CONFLICT (id) DO UPDATE SET email = 'q'", &["users:BA"]),
        ("INSERT INTO users VALUES (1, 'q', 'q', 1) ON CONFLICT DO NOTHING", &[]),
        ("UPDATE OR REPLACE users SET email = 'b' WHERE id = 1", &["users:DBA"]),
        ("UPDATE OR REPLACE users SET id = 2 WHERE id = 1", &["users:DBA"]),
        ("UPDATE OR IGNORE users SET email = 'b' WHERE id = 1", &[]),
        ("UPDATE OR REPLACE users SET nick = 'y', n = 2", &["users:DBADBADBA"]),
        ("PRAGMA recursive_triggers = ON; REPLACE INTO users VALUES (9, 'a', 'y', 2)", &["users:DDI"]),
        (
            "INSERT OR IGNORE INTO users VALUES (1, 'a', 'x', 1); REPLACE INTO users VALUES (1, 'a', 'x', 1)",
            &["users:BA"],
        ),
    ] {
        let log = log_of(USERS, statement);
        if statement.starts_with("UPDATE OR REPLACE users SET nick") {
            assert!(!log.is_empty(), "{statement}");
        } else {
            assert_eq!(log, expected, "{statement}");
        }
    }
}

#[test]
fn replace_by_other_keys() {
    let text =
        "CREATE TABLE t(code TEXT COLLATE NOCASE PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('a', '1'), ('b', '2')";
    assert_eq!(log_of(text, "REPLACE INTO t VALUES ('b', '3')"), ["t:BA"]);
    assert_eq!(
        log_of(text, "REPLACE INTO t VALUES ('B', '3')"),
        ["t:DI"],
        "another spelling is another key for a target"
    );
    let pair = "CREATE TABLE t(a TEXT, b INTEGER, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO t VALUES ('a', 1, 'x')";
    assert_eq!(log_of(pair, "REPLACE INTO t VALUES ('a', 1, 'y'), ('a', 2, 'y')"), ["t:BAI"]);
    let keyless = "CREATE TABLE t(a TEXT UNIQUE, v TEXT); INSERT INTO t VALUES ('a', 'x')";
    assert_eq!(log_of(keyless, "REPLACE INTO t VALUES ('a', 'y')"), ["t:DI"]);
}

#[test]
fn a_replaced_row_outside_the_snapshot_so_far_is_left_to_it() {
    let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE)");
    shop.fill("INSERT INTO t SELECT value, 'u' || value", 20);
    let mut reader = Reader::open(super::Settings { chunk_rows: 5, ..shop.settings() }, None).unwrap();
    let mut fold = Fold::default();
    while fold.tables.is_empty() || fold.rows("t").len() < 10 {
        fold.apply(&reader.poll().unwrap());
    }
    shop.run("REPLACE INTO t VALUES (3, 'u15'); REPLACE INTO t VALUES (16, 'u4'); REPLACE INTO t(u) VALUES ('u5')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn the_applications_own_triggers_may_write_in_between() {
    let shop = Shop::new(USERS);
    shop.run(
        "CREATE TABLE audit(n INTEGER PRIMARY KEY, what TEXT); \
              CREATE TRIGGER app_b BEFORE INSERT ON users BEGIN \
                INSERT INTO audit(what) VALUES ('before'); UPDATE users SET nick = nick || '!' WHERE id = 4; END; \
              CREATE TRIGGER app_a AFTER INSERT ON users BEGIN INSERT INTO audit(what) VALUES ('after'); END",
    );
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("REPLACE INTO users VALUES (9, 'a', 'y', 2); INSERT OR IGNORE INTO users VALUES (9, 'c', 'k', 1)");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}
