//! What really happened to other engines: each is a test that a naive implementation fails.

use std::time::Duration;

use aqueduct_test_servers::{Kind, Options, Server, shared};

use super::a_snapshot::rows;
use super::conformance::on_each;
use super::g_positions::{fill, running, slot_of};
use super::list::FAILURES;
use crate::harness::captured::Captured;
use crate::harness::writer::Writer;

fn each(number: u16, mut test: impl FnMut(&'static Server)) {
    on_each(FAILURES, number, |kind: Kind| test(shared(kind)));
}

/// Kills the daemon at a named point of the protocol while rows come, starts it again, and compares.
fn killed_at(server: &Server, points: &[&str]) {
    let mut case = running(server);
    let writer = Writer::churn(case.database.connect(), "t", 500, 9, Duration::from_millis(1));
    for point in points {
        for visit in [1, 4] {
            case.kill();
            case.set_environment("FAILPOINTS", &format!("{point}={visit}*off->1*sleep(60000)"));
            case.start();
            std::thread::park_timeout(Duration::from_millis(400));
            case.kill();
            case.set_environment("FAILPOINTS", "");
            case.start();
        }
    }
    writer.stop();
    case.settle();
}

#[test]
fn failure_01_acknowledged_before_it_is_durable() {
    each(1, |server| {
        killed_at(
            server,
            &["src.ack_before", "src.ack_after", "ckpt.log_before", "ckpt.log_after", "sink.commit_before"],
        );
        let mut case = running(server);
        case.kill();
        let confirmed = case.database.text(&format!(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{}'",
            slot_of(&case)
        ));
        assert!(confirmed.contains('/'), "{confirmed}");
        case.sql("INSERT INTO t VALUES (50, 'x')");
        case.start();
        case.settle();
    });
}

#[test]
fn failure_02_several_rows_share_one_position() {
    each(2, |server| {
        let mut case = Captured::on(server).sinks(
            "  - { id: copy, plugin: SQLiteOutput, from: origin, config: { path: copy.db, staging_bytes: 1KiB } }",
        );
        case.sql("CREATE TABLE t (id int, v text); ALTER TABLE t REPLICA IDENTITY FULL");
        case.start();
        case.settle();
        for round in 0..4 {
            case.sql(&format!("COPY t FROM PROGRAM 'seq 1 4000 | sed s/$/,r{round}/' WITH (FORMAT csv)"));
            std::thread::park_timeout(Duration::from_millis(40 * round));
            case.crash();
        }
        case.settle();
        assert_eq!(case.copied("SELECT count(*), count(DISTINCT id || v) FROM t"), "16000|16000");
    });
}

#[test]
fn failure_03_the_start_position_is_lost_when_a_snapshot_is_killed() {
    each(3, |server| {
        let mut case =
            Captured::on(server).setting("chunk_rows: 100").environment("FAILPOINTS", "snap.chunk_done=sleep(30)");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))");
        case.sql(&rows(server, "t", 2_000));
        case.start();
        case.until("the first chunk", |case| case.copied_number("SELECT count(*) FROM t") > 0);
        // Changes of rows that were read, and then the kill: they are in the log only.
        case.sql("UPDATE t SET v = 'changed' WHERE id < 50; DELETE FROM t WHERE id BETWEEN 60 AND 80");
        case.kill();
        case.sql("UPDATE t SET v = 'while down' WHERE id BETWEEN 81 AND 99");
        case.start();
        case.settle();
    });
}

#[test]
fn failure_04_a_killed_snapshot_goes_on_where_it_was() {
    each(4, |server| {
        let mut case = Captured::on(server).setting("chunk_rows: 100");
        for table in ["a", "b", "c"] {
            case.sql(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(40))"));
            case.sql(&rows(server, table, 1_000));
        }
        case.set_environment("FAILPOINTS", "snap.chunk_done=sleep(15)");
        case.start();
        case.until("most of it", |case| {
            ["a", "b", "c"].iter().map(|t| case.copied_number(&format!("SELECT count(*) FROM {t}"))).sum::<i64>()
                > 1_500
        });
        case.kill();
        // Nothing that is in the target already disappears when it goes on.
        let before: i64 =
            ["a", "b", "c"].iter().map(|t| case.copied_number(&format!("SELECT count(*) FROM {t}"))).sum();
        case.start();
        let mut least = i64::MAX;
        case.until("all of it", |case| {
            let now =
                ["a", "b", "c"].iter().map(|t| case.copied_number(&format!("SELECT count(*) FROM {t}"))).sum::<i64>();
            least = least.min(now);
            now == 3_000
        });
        assert!(least >= before, "{least} after {before}");
        case.settle();
    });
}

#[test]
fn failure_05_a_slot_made_anew_skips_data() {
    each(5, |server| {
        let mut case = running(server);
        case.stop();
        let slot = slot_of(&case);
        case.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
        case.sql("INSERT INTO t VALUES (10, 'in the gap')");
        case.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
        case.sql("INSERT INTO t VALUES (11, 'behind the gap')");
        case.start();
        let log = case.fails();
        assert!(log.contains("on_lost_position"), "{log}");
    });
}

#[test]
fn failure_06_idle_tables_hold_the_log() {
    each(6, |server| {
        let mut case = running(server);
        let other = server.database();
        other.sql("CREATE TABLE noise (v text)");
        let before = case
            .database
            .text("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()");
        other.sql("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
        let moved = format!(
            "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > '{before}'::pg_lsn + 10000000"
        );
        case.until("the slot moves on", |case| case.database.number(&moved) == 1);
    });
}

#[test]
fn failure_07_the_log_is_absent_on_a_new_primary() {
    on_each(FAILURES, 7, |kind| {
        let server = Server::start(kind, Options::new());
        let mut case = Captured::of(server.named_database("shop"));
        fill(&case);
        case.start();
        case.settle();
        case.stop();
        // The new primary has the rows and none of the log.
        let other = Server::start(kind, Options::new());
        let copy = Captured::of(other.named_database("shop"));
        fill(&copy);
        copy.sql("RESET MASTER; INSERT INTO t VALUES (10, 'new primary')");
        case.change_url(copy.database.url("cdc"));
        case.start();
        let log = case.fails();
        assert!(log.contains("on_lost_position"), "{log}");
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 10"), 0);
    });
}

#[test]
fn failure_08_a_full_buffer_holds_back_and_drops_nothing() {
    each(8, |server| {
        let mut case = Captured::on(server).environment("FAILPOINTS", "sink.write=sleep(20)");
        case.sql("CREATE TABLE t (id INT, v VARCHAR(300))");
        case.start();
        case.settle();
        for round in 0..10 {
            case.sql(&format!("INSERT INTO t SELECT seq + {}, REPEAT('x', 200) FROM seq_1_to_10000", round * 10_000));
        }
        case.settle();
        assert_eq!(case.copied("SELECT count(*), count(DISTINCT id) FROM t"), "100000|100000");
    });
}

#[test]
fn failure_09_killed_between_the_manifest_and_the_commit() {
    each(9, |server| {
        killed_at(
            server,
            &["sink.precommit", "ckpt.log_after_journal", "ckpt.log_after", "sink.commit_before", "ckpt.token_after"],
        );
    });
}

#[test]
fn failure_10_a_commit_whose_answer_is_lost() {
    each(10, |server| {
        killed_at(server, &["sink.commit_after_no_reply"]);
    });
}

#[test]
fn failure_11_insert_then_update_of_one_key_in_one_batch() {
    each(11, |server| {
        let mut case = running(server);
        case.sql("BEGIN; INSERT INTO t VALUES (10, 'a'); UPDATE t SET v = 'b' WHERE id = 10; UPDATE t SET v = 'c' WHERE id = 10; COMMIT");
        case.sql("BEGIN; INSERT INTO t VALUES (11, 'a'); DELETE FROM t WHERE id = 11; INSERT INTO t VALUES (11, 'b'); COMMIT");
        case.sql("BEGIN; INSERT INTO t VALUES (12, 'a'); UPDATE t SET id = 13 WHERE id = 12; INSERT INTO t VALUES (12, 'b'); DELETE FROM t WHERE id = 13; COMMIT");
        case.settle();
        assert_eq!(case.copied("SELECT * FROM t WHERE id >= 10 ORDER BY id"), "10|c\n11|b\n12|b");
        case.survives_a_kill();
    });
}

#[test]
fn failure_12_killed_between_the_halves_of_an_update() {
    each(12, |server| {
        killed_at(server, &["src.mid_tx", "sink.write", "chan.send"]);
    });
}

#[test]
fn failure_13_a_changed_primary_key() {
    each(13, |server| {
        let mut case = running(server);
        case.sql("UPDATE t SET id = 30 WHERE id = 3; UPDATE t SET id = 3 WHERE id = 2; UPDATE t SET id = 2, v = 'x' WHERE id = 30");
        case.settle();
        assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|a\n2|x\n3|b");
        case.survives_a_kill();
    });
}

#[test]
fn failure_14_unchanged_toast_is_not_null() {
    each(14, |server| {
        let mut case = Captured::on(server);
        case.sql(
            "CREATE TABLE t (id int PRIMARY KEY, n int, long text); ALTER TABLE t ALTER long SET STORAGE EXTERNAL",
        );
        case.sql("INSERT INTO t VALUES (1, 1, repeat('x', 100000))");
        case.start();
        case.settle();
        case.sql("UPDATE t SET n = 2");
        case.settle();
        assert_eq!(case.copied("SELECT n, length(long) FROM t"), "2|100000");
    });
}

#[test]
fn failure_15_ddl_while_stopped_does_not_change_how_older_rows_are_read() {
    each(15, |server| {
        let mut case = running(server);
        case.kill();
        case.sql("INSERT INTO t VALUES (10, 'two columns')");
        case.sql("ALTER TABLE t ADD COLUMN n INT; INSERT INTO t VALUES (11, 'three', 3); ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (12, 4)");
        case.start();
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn failure_16_the_last_rows_before_a_schema_change_are_kept() {
    each(16, |server| {
        let mut case = running(server);
        for round in 0..5 {
            let first = 100 * (round + 1);
            let values: Vec<String> = (first..first + 90).map(|id| format!("({id})")).collect();
            case.sql(&format!(
                "INSERT INTO t (id) VALUES {}; ALTER TABLE t ADD COLUMN c{round} INT; INSERT INTO t (id) VALUES ({})",
                values.join(","),
                first + 95
            ));
            if round % 2 == 0 {
                case.crash();
            }
        }
        case.settle();
    });
}
