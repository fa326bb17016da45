//! Tables that change their shape.

use super::{Fold, Reader, Settings, Shop};

const BASE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')";

/// Runs statements under a running capture, checks the target, and returns what came.
fn log_of(schema: &str, statements: &str) -> Vec<String> {
    let shop = Shop::new(schema);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    fold.log.clear();
    shop.run(statements);
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    // The new shape is captured from here on.
    for table in fold.tables.keys().cloned().collect::<Vec<_>>() {
        shop.run(&format!("INSERT INTO \"{table}\"(rowid) VALUES (77); DELETE FROM \"{table}\" WHERE rowid = 1"));
    }
    let mut log = fold.log.clone();
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    log.retain(|entry| !entry.is_empty());
    log
}

#[test]
fn a_column_that_is_null_everywhere_costs_nothing() {
    let log = log_of(BASE, "ALTER TABLE t ADD COLUMN b INTEGER");
    assert_eq!(log, ["t:AddColumns([\"b\"])"]);
}

#[test]
fn a_column_with_values_is_read_again() {
    let log = log_of(BASE, "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 5");
    assert_eq!(log, ["t:AddColumns([\"b\"])", "t:AA"]);
    let log =
        log_of(BASE, "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = 9 WHERE id = 2; DELETE FROM t WHERE id = 1");
    assert_eq!(log, ["t:BAD", "t:AddColumns([\"b\"])", "t:A"]);
}

#[test]
fn names_change() {
    assert_eq!(
        log_of(
            BASE,
            "INSERT INTO t VALUES (3, 'z'); ALTER TABLE t RENAME COLUMN a TO b; INSERT INTO t VALUES (4, 'w')"
        ),
        ["t:II", "t:RenameColumn { from: \"a\", to: \"b\" }"]
    );
    assert_eq!(log_of(BASE, "ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (4, 'w')"), ["t:I", "u:RenameTable(t)"]);
    assert_eq!(
        log_of(
            BASE,
            "ALTER TABLE t RENAME TO old; CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (8, 8)"
        ),
        ["old:RenameTable(t)", "t:CreateTable", "t:I"]
    );
    let two =
        "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE TABLE u(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (5)";
    let swap = "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; INSERT INTO t VALUES (6)";
    let log = log_of(two, swap);
    assert!(log.contains(&"x:RenameTable(t)".to_owned()) && log.contains(&"t:RenameTable(u)".to_owned()), "{log:?}");
}

#[test]
fn tables_come_and_go() {
    assert_eq!(log_of(BASE, "INSERT INTO t VALUES (3, 'z'); DROP TABLE t"), ["t:I", "t:DropTable"]);
    assert_eq!(
        log_of(BASE, "CREATE TABLE u(id INTEGER PRIMARY KEY); INSERT INTO u VALUES (1), (2)"),
        ["u:CreateTable", "u:II"]
    );
    assert_eq!(
        log_of(
            BASE,
            "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, c TEXT); INSERT INTO t VALUES (7, 1, 'c')"
        ),
        ["t:AddColumns([\"c\"])", "t:AlterColumns([\"a\"])", "t:Truncate", "t:I"]
    );
    assert_eq!(
        log_of(BASE, "DROP TABLE t; CREATE TABLE t(a INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (5, 1)"),
        ["t:DropTable", "t:CreateTable", "t:I"]
    );
}

#[test]
fn a_column_is_dropped_once_the_triggers_are_gone() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    assert!(shop.db.execute_batch("ALTER TABLE t DROP COLUMN a").is_err(), "a trigger reads it");
    shop.run(
        "BEGIN; DROP TRIGGER _aqueduct_t_i; DROP TRIGGER _aqueduct_t_u; DROP TRIGGER _aqueduct_t_d; \
              DROP TRIGGER _aqueduct_t_b; DROP TRIGGER _aqueduct_t_c; ALTER TABLE t DROP COLUMN a; COMMIT",
    );
    shop.run("DELETE FROM t WHERE id = 1");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert!(fold.log.contains(&"t:DropColumns([\"a\"])".to_owned()));
}

#[test]
fn triggers_that_someone_removed_come_back() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, position) = reader.all();
    drop(reader);
    shop.run("DROP TRIGGER _aqueduct_t_d; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (3, 'z')");
    let mut reader = Reader::open(shop.settings(), Some(&position)).unwrap();
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    shop.run("DELETE FROM t WHERE id = 2");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn a_new_unique_index_is_watched() {
    let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    let mut reader = shop.reader();
    let (mut fold, _) = reader.all();
    shop.run("CREATE UNIQUE INDEX i ON t(a)");
    reader.drain(&mut fold).unwrap();
    shop.run("REPLACE INTO t VALUES (3, 'x')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert!(!fold.log.contains(&"t:Truncate".to_owned()), "nothing was missed: {:?}", fold.log);
    shop.run("DROP INDEX i; CREATE UNIQUE INDEX j ON t(a, id); CREATE UNIQUE INDEX k ON t(a); REPLACE INTO t VALUES (4, 'y')");
    reader.drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
    assert!(fold.log.contains(&"t:Truncate".to_owned()), "a replaced row went unseen: {:?}", fold.log);
}

#[test]
fn ddl_while_nobody_reads_is_decoded_with_the_columns_of_its_time() {
    let shop = Shop::new(BASE);
    let mut reader = shop.reader();
    let (mut fold, position) = reader.all();
    drop(reader);
    shop.run(
        "INSERT INTO t VALUES (3, 'z'); ALTER TABLE t RENAME COLUMN a TO b; UPDATE t SET b = 'q' WHERE id = 3; \
              ALTER TABLE t ADD COLUMN c TEXT; UPDATE t SET c = 'new' WHERE id = 1; ALTER TABLE t RENAME TO v; \
              INSERT INTO v VALUES (4, 'b', 'c'); CREATE TABLE t(x TEXT); INSERT INTO t VALUES ('x')",
    );
    Reader::open(shop.settings(), Some(&position)).unwrap().drain(&mut fold).unwrap();
    fold.assert_equals(&shop);
}

#[test]
fn ddl_in_the_middle_of_a_snapshot() {
    for ddl in [
        "ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'd'",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t RENAME TO v",
        "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'again')",
        "VACUUM",
    ] {
        let shop = Shop::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)");
        shop.fill("INSERT INTO t SELECT value, 'v'", 50);
        let mut reader = Reader::open(Settings { chunk_rows: 8, ..shop.settings() }, None).unwrap();
        let mut fold = Fold::default();
        while fold.tables.is_empty() || fold.rows("t").len() < 16 {
            fold.apply(&reader.poll().unwrap());
        }
        shop.run(ddl);
        let table = if ddl.contains("TO v") { "v" } else { "t" };
        shop.run(&format!(
            "DELETE FROM {table} WHERE id IN (3, 30); INSERT OR IGNORE INTO {table}(id) VALUES (3), (99)"
        ));
        reader.drain(&mut fold).unwrap();
        fold.assert_equals(&shop);
    }
}

#[test]
fn virtual_tables_and_views_are_left_alone() {
    let shop = Shop::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; \
                          CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('x')",
    );
    let mut reader = shop.reader();
    let (fold, _) = reader.all();
    assert_eq!(fold.tables.keys().collect::<Vec<_>>(), ["t"]);
}
