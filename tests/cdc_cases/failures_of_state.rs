//! What really happened to other engines, continued: tables that come and go, types, memory, restores.

use aqueduct_test_servers::{Kind, Server, shared};

use super::a_snapshot::rows;
use super::conformance::on_each;
use super::g_positions::running;
use super::list::FAILURES;
use crate::harness::captured::{Captured, both_ways};

fn each(number: u16, mut test: impl FnMut(&'static Server)) {
    on_each(FAILURES, number, |kind: Kind| test(shared(kind)));
}

#[test]
fn failure_17_a_table_that_comes_or_goes_while_stopped() {
    each(17, |server| {
        let mut case = running(server);
        case.stop();
        case.sql("CREATE TABLE fresh (id INT PRIMARY KEY, v INT); INSERT INTO fresh VALUES (1, 1); DROP TABLE t; INSERT INTO fresh VALUES (2, 2)");
        case.start();
        case.settle();
        case.stop();
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, w INT); INSERT INTO t VALUES (7, 7)");
        case.start();
        case.settle();
        assert_eq!(case.copied("SELECT w FROM t WHERE id = 7"), "7");
    });
}

#[test]
fn failure_18_snapshot_types_are_the_streams() {
    each(18, |server| {
        let case = Captured::on(server);
        if server.kind().is_mysql() {
            both_ways(
                case,
                "a DECIMAL(20,4), b DATETIME(3), c TIMESTAMP(6) NULL, d BIT(3), e JSON, f FLOAT, g YEAR, h TIME(2)",
                &[
                    "1.5, '2024-02-29 12:00:00.5', '2024-02-29 12:00:00', b'101', '{\"b\":1,\"a\":2}', 0.1, 2024, '-01:00:00.5'",
                ],
            );
        } else {
            both_ways(
                case,
                "a numeric(20,4), b timestamp(3), c timestamptz, d bit(3), e jsonb, f real, g bool, h interval",
                &[
                    "1.5, '2024-02-29 12:00:00.5', '2024-02-29 12:00:00+03', B'101', '{\"b\":1,\"a\":2}', 0.1, true, '1 day -2 hours'",
                ],
            );
        }
    });
}

#[test]
fn failure_19_the_last_chunk_does_not_grow_without_bound() {
    each(19, |server| {
        // The table grows at its end while its chunks are read.
        let mut case =
            Captured::on(server).setting("chunk_rows: 500").environment("FAILPOINTS", "snap.chunk_done=sleep(5)");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))");
        case.sql(&rows(server, "t", 5_000));
        case.start();
        for round in 0..40 {
            let values: Vec<String> = (0..1_000).map(|n| format!("({}, 'grown')", 5_000 + round * 1_000 + n)).collect();
            case.sql(&format!("INSERT INTO t VALUES {}", values.join(",")));
        }
        case.settle();
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
    });
}

#[test]
fn failure_20_what_was_left_out_at_the_first_start_is_not_left_out_again() {
    each(20, |server| {
        let mut case = Captured::on(server).setting("snapshot: never");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'before')");
        case.start();
        case.until("a running flow", |case| {
            case.sql("DELETE FROM zz_marker WHERE id = -1; INSERT INTO zz_marker VALUES (-1)");
            case.copied_number("SELECT count(*) FROM zz_marker WHERE id = -1") == 1
        });
        case.sql("INSERT INTO t VALUES (2, 'streamed')");
        case.caught_up();
        case.kill();
        case.sql("INSERT INTO t VALUES (3, 'while down')");
        case.start();
        case.caught_up();
        assert_eq!(case.copied("SELECT id FROM t ORDER BY id"), "2\n3");
    });
}

#[test]
fn failure_21_bad_rows_do_not_pass_for_delivered() {
    each(21, |server| {
        let sinks = "  - { id: strict, plugin: Filter, from: origin, tables: [t], config: { where: \"v <> 'x'\" } }\n  - { id: copy, plugin: SQLiteOutput, from: strict, config: { path: copy.db } }";
        let mut case = Captured::on(server).sinks(sinks).setting("zero_dates: error");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), d DATE)");
        case.start();
        case.caught_up();
        case.sql("INSERT INTO t VALUES (1, 'good', '2024-01-01')");
        case.caught_up();
        case.database.connect().sql("SET sql_mode = ''; INSERT INTO t VALUES (2, 'bad', '0000-00-00')");
        case.fails();
        // It stands before the bad row, and goes on from there once the policy allows it.
        case.change_setting("zero_dates", "zero_dates: \"null\"");
        case.start();
        case.caught_up();
        assert_eq!(case.copied("SELECT id, d FROM t ORDER BY id"), "1|2024-01-01\n2|NULL");
    });
}

#[test]
fn failure_22_state_that_is_not_in_the_checkpoint_is_not_needed() {
    each(22, |server| {
        // A kill in the very first epoch, with nothing in the log yet, and again before the first row of the stream.
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a')");
        for point in ["src.connect", "snap.select", "ckpt.log_before", "sink.begin"] {
            case.set_environment("FAILPOINTS", &format!("{point}=sleep(60000)"));
            case.start();
            std::thread::park_timeout(std::time::Duration::from_millis(500));
            case.kill();
            case.sql("UPDATE t SET v = concat(v, 'x')");
        }
        case.set_environment("FAILPOINTS", "");
        case.start();
        case.settle();
    });
}

#[test]
fn failure_23_a_changed_setting_takes_and_starts_nothing_over() {
    each(23, |server| {
        let mut case = running(server);
        case.stop();
        let mut target = rusqlite::Connection::open(case.work.file("copy.db")).expect("the target");
        let mark = target.transaction().expect("a transaction");
        mark.execute("UPDATE t SET v = 'marked' WHERE id = 1", []).expect("a mark");
        mark.commit().expect("a commit");
        drop(target);
        // Another size of chunk: rows that are there are not read again.
        case.change_setting("chunk_rows", "chunk_rows: 3");
        case.start();
        case.sql("INSERT INTO t VALUES (10, 'streamed')");
        case.caught_up();
        assert_eq!(case.copied("SELECT v FROM t WHERE id = 1"), "marked");
        case.stop();
        // One table less takes effect.
        case.tables = vec![case.qualified("zz_marker")];
        case.start();
        case.sql("INSERT INTO t VALUES (11, 'not captured')");
        case.caught_up();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 11"), 0);
    });
}

#[test]
fn failure_24_zero_dates_zerofill_unsigned_and_enum() {
    each(24, |server| {
        let case = Captured::on(server).setting("zero_dates: \"null\"");
        let mut case = both_ways(
            case,
            "a INT(6) ZEROFILL, b BIGINT UNSIGNED, c ENUM('x', 'y'), d MEDIUMINT UNSIGNED, e SET('p', 'q')",
            &["42, 18446744073709551615, 'y', 16777215, 'p,q'", "0, 0, '', 0, ''"],
        );
        case.sql("CREATE TABLE z (id INT PRIMARY KEY, d DATE, t DATETIME(3))");
        case.database.connect().sql("SET sql_mode = ''; INSERT INTO z VALUES (1, '0000-00-00', '0000-00-00 00:00:00'), (2, '2024-01-00', '2024-00-01 10:00:00')");
        case.caught_up();
        case.until("both rows", |case| case.copied("SELECT id, d, t FROM z ORDER BY id") == "1|NULL|NULL\n2|NULL|NULL");
    });
}
