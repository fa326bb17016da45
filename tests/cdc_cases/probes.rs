//! What a decoder of the binary log must get right: eleven probes that a published one failed.

use aqueduct_test_servers::{Kind, Options, Server, certificates, shared, shared_with};

use super::conformance::on_each;
use super::h_connection::verified;
use super::list::PROBES;
use crate::harness::captured::Captured;

/// A table, captured empty: the rows come from the stream alone.
fn streams(server: &Server, columns: &str, rows: &[&str]) -> String {
    let mut case = Captured::on(server);
    case.sql(&format!("CREATE TABLE t (id INT PRIMARY KEY, {columns})"));
    case.start();
    case.caught_up();
    let mut session = case.database.connect();
    session.sql("SET sql_mode = '', time_zone = '+00:00'");
    for (id, row) in rows.iter().enumerate() {
        session.sql(&format!("INSERT INTO t VALUES ({id}, {row})"));
    }
    case.settle();
    case.copied("SELECT * FROM t ORDER BY id")
}

#[test]
fn probe_01_microseconds_are_kept() {
    on_each(PROBES, 1, |kind| {
        let rows = streams(
            shared(kind),
            "a DATETIME(6), b TIMESTAMP(6) NULL, c TIME(6)",
            &["'2024-02-29 12:34:56.123456', '2024-02-29 12:34:56.123456', '12:34:56.123456'"],
        );
        assert_eq!(rows, "0|2024-02-29T12:34:56.123456|2024-02-29T12:34:56.123456Z|45296123456");
    });
}

#[test]
fn probe_02_compressed_events_are_delivered() {
    on_each(PROBES, 2, |kind| {
        let server = shared_with(kind, Options::new().config("log-bin-compress=1"));
        let rows = streams(server, "v LONGTEXT", &["REPEAT('x', 300)", "REPEAT('y', 100000)"]);
        assert_eq!(rows.len(), 300 + 100_000 + 5);
    });
}

#[test]
fn probe_03_the_year_0000_is_not_1900() {
    on_each(PROBES, 3, |kind| {
        assert_eq!(streams(shared(kind), "y YEAR", &["'0000'", "1901", "2155", "NULL"]), "0|0\n1|1901\n2|2155\n3|NULL");
    });
}

#[test]
fn probe_04_minus_one_is_minus_one() {
    on_each(PROBES, 4, |kind| {
        let rows =
            streams(shared(kind), "a TINYINT, b SMALLINT, c MEDIUMINT, d INT, e BIGINT", &["-1, -1, -1, -1, -1"]);
        assert_eq!(rows, "0|-1|-1|-1|-1|-1");
    });
}

#[test]
fn probe_05_null_is_not_absent() {
    on_each(PROBES, 5, |kind| {
        let server = shared_with(kind, Options::new().config("binlog-row-image=MINIMAL"));
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT); INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)");
        case.start();
        case.settle();
        case.sql("UPDATE t SET a = NULL WHERE id = 1; UPDATE t SET b = 20 WHERE id = 2");
        case.settle();
        assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|NULL|1\n2|2|20");
    });
}

#[test]
fn probe_06_latin1_is_decoded() {
    on_each(PROBES, 6, |kind| {
        assert_eq!(streams(shared(kind), "v VARCHAR(10) CHARACTER SET latin1", &["'é'", "'€'"]), "0|é\n1|€");
    });
}

#[test]
fn probe_07_bytes_that_are_no_text() {
    on_each(PROBES, 7, |kind| {
        let rows = streams(
            shared(kind),
            "a VARBINARY(4), b BINARY(3), u UUID",
            &["x'FF00FE', x'80', '123e4567-e89b-12d3-a456-426655440000'"],
        );
        assert_eq!(rows, "0|FF00FE|800000|123e4567-e89b-12d3-a456-426655440000");
    });
}

#[test]
fn probe_08_negative_times() {
    on_each(PROBES, 8, |kind| {
        let rows = streams(
            shared(kind),
            "a TIME, b TIME(3)",
            &["'-01:00:00', '-00:00:00.250'", "'-838:59:59', '-01:00:00.001'"],
        );
        assert_eq!(rows, "0|-3600000000|-250000\n1|-3020399000000|-3600001000");
    });
}

#[test]
fn probe_09_a_value_of_17_megabytes() {
    on_each(PROBES, 9, |kind| {
        let server = shared(kind);
        server.admin("SET GLOBAL max_allowed_packet = 1073741824");
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)");
        case.start();
        case.caught_up();
        case.sql("INSERT INTO t VALUES (1, REPEAT('x', 17000000)), (2, REPEAT('y', 17000000))");
        case.caught_up();
        assert_eq!(
            case.copied("SELECT id, length(v), hex(substr(v, -1)) FROM t ORDER BY id"),
            "1|17000000|78\n2|17000000|79"
        );
    });
}

#[test]
fn probe_10_tls() {
    on_each(PROBES, 10, |kind| {
        let server = shared_with(kind, Options::new().tls());
        server.admin("CREATE USER IF NOT EXISTS 'secure'@'%' IDENTIFIED BY 'secure' REQUIRE SSL");
        server.admin("GRANT ALL ON *.* TO 'secure'@'%'");
        let mut case = verified(Captured::on(server), "secure", &certificates().authority);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1)");
        case.start();
        case.settle();
        case.sql("INSERT INTO t VALUES (2)");
        case.settle();
    });
}

#[test]
fn probe_11_resume_inside_a_transaction() {
    on_each(PROBES, 11, |kind: Kind| {
        let mut case = Captured::on(shared(kind)).environment("FAILPOINTS", "src.mid_tx=2*off->sleep(300)->off");
        case.sql(
            "CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(200)); CREATE TABLE b (id INT PRIMARY KEY, v VARCHAR(200))",
        );
        case.start();
        case.settle();
        for round in 0..4 {
            let statements: Vec<String> = (0..400)
                .map(|n| {
                    format!(
                        "INSERT INTO {} VALUES ({}, REPEAT('x', 150))",
                        if n % 2 == 0 { "a" } else { "b" },
                        round * 400 + n
                    )
                })
                .collect();
            case.sql(&format!("BEGIN; {}; COMMIT", statements.join("; ")));
            case.crash();
        }
        case.settle();
    });
}
