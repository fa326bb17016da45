//! E. What the log holds and what it does not: truncates, cascades, partial images, compressed and encrypted logs.

use aqueduct_test_servers::{Kind, Options, Server, shared_with};

use super::conformance::{each, on_each};
use super::list::CASES;
use crate::harness::captured::Captured;

#[test]
fn case_059_truncate() {
    each(59, |server| {
        let mut case = Captured::on(server);
        for table in ["a", "b", "parent"] {
            case.sql(&format!(
                "CREATE TABLE {table} (id INT PRIMARY KEY, v INT); INSERT INTO {table} VALUES (1, 1), (2, 2)"
            ));
        }
        if !server.kind().is_mysql() {
            case.sql("CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES parent); INSERT INTO child VALUES (1, 1)");
        }
        case.start();
        case.settle();
        case.sql("INSERT INTO a VALUES (3, 3); TRUNCATE TABLE a; INSERT INTO a VALUES (4, 4)");
        case.settle();
        if server.kind().is_mysql() {
            case.sql("TRUNCATE b");
            case.sql("CREATE TABLE p (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))");
            case.sql("INSERT INTO p VALUES (1, 1), (11, 11)");
            case.settle();
        } else {
            case.sql("BEGIN; INSERT INTO b VALUES (7, 7); TRUNCATE a, b; INSERT INTO b VALUES (8, 8); COMMIT; TRUNCATE parent CASCADE");
            case.settle();
        }
        case.survives_a_kill();
    });
}

#[test]
fn case_060_foreign_key_cascades_are_never_silent() {
    each(60, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE parent (id INT PRIMARY KEY, v INT)");
        for (child, action) in
            [("c", "ON DELETE CASCADE ON UPDATE CASCADE"), ("n", "ON DELETE SET NULL ON UPDATE CASCADE")]
        {
            case.sql(&format!("CREATE TABLE {child} (id INT PRIMARY KEY, parent INT, CONSTRAINT fk_{child} FOREIGN KEY (parent) REFERENCES parent (id) {action})"));
        }
        case.sql("INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3); INSERT INTO c VALUES (1, 1), (2, 1), (3, 2); INSERT INTO n VALUES (1, 1), (2, 3)");
        if server.kind().is_mysql() {
            // The log does not hold the children's changes: refused unless the settings say otherwise.
            case.is_refused(&["fk_c"]);
            case.change_setting("cascade", "cascade: warn");
            case.start();
            case.settle();
            assert!(case.log().contains("fk_c"), "a warning names the key: {}", case.log());
            return;
        }
        case.start();
        case.settle();
        case.sql(
            "DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 20 WHERE id = 2; DELETE FROM parent WHERE id = 3",
        );
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_063_partial_row_images() {
    on_each(CASES, 63, |kind| {
        for image in ["MINIMAL", "NOBLOB"] {
            let server = shared_with(kind, Options::new().config(format!("binlog-row-image={image}")));
            let mut case = Captured::on(server);
            case.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(20) DEFAULT 'dflt', c TEXT, d BLOB)");
            case.sql("INSERT INTO t VALUES (1, 1, 'b', 'c', 'd'), (2, 2, NULL, NULL, NULL), (3, 3, 'b', 'c', 'd')");
            case.start();
            case.settle();
            case.sql("UPDATE t SET a = 10 WHERE id = 1; UPDATE t SET b = NULL WHERE id = 1; UPDATE t SET c = NULL, d = x'00' WHERE id = 3");
            case.sql("INSERT INTO t (id) VALUES (4); INSERT INTO t (id, c) VALUES (5, 'only c'); UPDATE t SET id = 6 WHERE id = 3; DELETE FROM t WHERE id = 2");
            case.sql("BEGIN; INSERT INTO t VALUES (7, 7, 'x', 'y', 'z'); UPDATE t SET a = 8 WHERE id = 7; UPDATE t SET b = 'w' WHERE id = 7; COMMIT");
            case.settle();
            case.survives_a_kill();
        }
    });
}

/// Works with a server whose log is written in another way.
fn works_with(kind: Kind, options: Options) {
    let server = Server::start(kind, options);
    let mut case = Captured::on(&server);
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, u INT UNSIGNED, e ENUM('a','b'), v VARCHAR(2000), c VARCHAR(20) CHARACTER SET latin1)");
    case.sql("INSERT INTO t VALUES (1, 4294967295, 'b', REPEAT('v', 1500), 'é')");
    case.start();
    case.settle();
    let rows: Vec<String> = (2..400).map(|id| format!("({id}, 4294967295, 'a', REPEAT('w', {id}), 'ü')")).collect();
    case.sql(&format!("BEGIN; INSERT INTO t VALUES {}; UPDATE t SET v = REPEAT('x', 600), u = 3000000000 WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0; COMMIT", rows.join(",")));
    case.settle();
    case.crash();
    case.sql("UPDATE t SET e = 'b' WHERE id < 100");
    case.settle();
}

#[test]
fn case_064_row_metadata_checksums_and_compressed_logs() {
    on_each(CASES, 64, |kind| {
        works_with(kind, Options::new().config("binlog-row-metadata=MINIMAL").config("binlog-checksum=NONE"));
        works_with(kind, Options::new().config("binlog-checksum=CRC32"));
        let compressed = if kind == Kind::MariaDb { "log-bin-compress=1" } else { "binlog-transaction-compression=ON" };
        works_with(kind, Options::new().config(compressed));
    });
}

#[test]
fn case_065_an_encrypted_log_and_row_annotations() {
    on_each(CASES, 65, |kind| {
        let keys = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(keys.path(), "1;770A8A65DA156D24EE2A093277530142F5D5A2C5D2E6A7B1E1B5F5C1C1D1E1F1\n")
            .expect("keys");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(keys.path(), open).expect("rights");
        let options = Options::new()
            .config("plugin-load-add=file_key_management")
            .config(format!("file-key-management-filename={}", keys.path().display()))
            .config("encrypt-binlog=1")
            .config("binlog-annotate-row-events=1");
        works_with(kind, options);
        works_with(kind, Options::new().config("binlog-annotate-row-events=0"));
    });
}
