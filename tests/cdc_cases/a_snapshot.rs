//! A. Snapshot and the handoff to the stream.

use std::collections::HashSet;
use std::time::Duration;

use aqueduct_test_servers::{Kind, Options, Server};

use super::conformance::{each, on_each};
use super::list::CASES;
use crate::harness::captured::Captured;
use crate::harness::writer::Writer;

/// Rows that make several chunks of the size below.
const ROWS: usize = 3_000;
const SMALL_CHUNKS: &str = "chunk_rows: 200";
/// Every chunk takes a while, so that writers write into it.
const SLOW_CHUNKS: &str = "snap.select=sleep(15);snap.chunk_done=sleep(5)";

/// `INSERT` of rows `(id, v)` with ids from 0.
pub fn rows(server: &Server, table: &str, count: usize) -> String {
    if server.kind().is_mysql() {
        let values: Vec<String> = (0..count).map(|id| format!("({id},'v{id}')")).collect();
        format!("INSERT INTO {table} (id, v) VALUES {}", values.join(","))
    } else {
        format!("INSERT INTO {table} (id, v) SELECT i, 'v' || i FROM generate_series(0, {}) i", count - 1)
    }
}

/// A table `t (id, v)` with rows, captured in small chunks.
fn filled<'a>(server: &'a Server, count: usize) -> Captured<'a> {
    let case = Captured::on(server).setting(SMALL_CHUNKS);
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))");
    case.sql(&rows(server, "t", count));
    case
}

/// Statements on `t` (and others) that the server was asked since the log was switched on.
fn selects(server: &Server, table: &str) -> usize {
    let log = if server.kind().is_mysql() {
        std::fs::read_to_string(server.folder().join("general.log")).unwrap_or_default()
    } else {
        server.log()
    };
    let reads = |line: &&str| (line.contains("SELECT") || line.contains("COPY")) && line.contains(table);
    log.lines().filter(reads).count()
}

fn with_statement_log(kind: Kind) -> Server {
    let options = if kind.is_mysql() {
        Options::new().config("general-log=1").config("general-log-file=../general.log")
    } else {
        Options::new().config("log_statement=all")
    };
    Server::start(kind, options)
}

#[test]
fn case_001_a_snapshot_under_two_writers_takes_no_lock() {
    on_each(CASES, 1, |kind| {
        let server = with_statement_log(kind);
        let mut case = filled(&server, ROWS);
        let writers =
            [1, 2].map(|seed| Writer::churn(case.database.connect(), "t", 4_000, seed, Duration::from_millis(2)));
        case.start();
        case.until("rows of the snapshot", |case| case.copied_number("SELECT count(*) FROM t") > 1_000);
        case.caught_up();
        assert!(writers.map(Writer::stop).iter().all(|count| *count > 20), "the writers were held up");
        case.settle();
        let log = std::fs::read_to_string(server.folder().join("general.log")).unwrap_or_else(|_| server.log());
        for lock in ["FLUSH TABLES", "LOCK TABLES", "LOCK TABLE ", "GET_LOCK"] {
            assert!(!log.to_uppercase().contains(lock), "{lock} was said");
        }
    });
}

#[test]
fn case_002_changes_around_the_marks_of_a_chunk_end_in_the_right_row() {
    each(2, |server| {
        let mut case = filled(server, ROWS).environment("FAILPOINTS", SLOW_CHUNKS);
        let writer = Writer::churn(case.database.connect(), "t", ROWS as u64, 3, Duration::from_millis(1));
        case.start();
        case.caught_up();
        case.until("several chunks", |case| case.copied_number("SELECT count(*) FROM t") > 1_000);
        writer.stop();
        case.settle();
        case.survives_a_kill();
    });
}

#[test]
fn case_003_a_row_deleted_during_its_chunk_does_not_come_back() {
    each(3, |server| {
        let mut case = filled(server, 2_000).environment("FAILPOINTS", SLOW_CHUNKS);
        case.start();
        for id in (0..2_000).step_by(7) {
            case.sql(&format!("DELETE FROM t WHERE id = {id}"));
        }
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id % 7 = 0"), 0);
    });
}

#[test]
fn case_004_a_row_inserted_deleted_and_inserted_again_during_its_chunk() {
    each(4, |server| {
        let mut case = filled(server, 2_000).environment("FAILPOINTS", SLOW_CHUNKS);
        case.start();
        for id in (1..2_000).step_by(19) {
            case.sql(&format!("DELETE FROM t WHERE id = {id}; INSERT INTO t VALUES ({id}, 'second')"));
            case.sql(&format!("DELETE FROM t WHERE id = {id}; INSERT INTO t VALUES ({id}, 'third')"));
        }
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE v = 'third'"), 106);
    });
}

#[test]
fn case_005_a_key_moved_into_a_chunk_that_was_read_is_one_row() {
    each(5, |server| {
        let mut case = filled(server, 2_000).environment("FAILPOINTS", SLOW_CHUNKS);
        case.start();
        case.until("the first chunk", |case| case.copied_number("SELECT count(*) FROM t") > 0);
        for id in (1_500..1_600).rev() {
            case.sql(&format!("UPDATE t SET id = -{id} WHERE id = {id}"));
        }
        case.sql("UPDATE t SET id = id + 10000 WHERE id BETWEEN 0 AND 50");
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t"), 2_000);
    });
}

#[test]
fn case_006_after_a_kill_finished_chunks_are_not_read_again() {
    on_each(CASES, 6, |kind| {
        let server = with_statement_log(kind);
        let mut case = filled(&server, ROWS);
        case.set_environment("FAILPOINTS", "snap.chunk_done=sleep(40)");
        case.start();
        case.until("half of the chunks", |case| case.copied_number("SELECT count(*) FROM t") >= 1_500);
        case.kill();
        case.set_environment("FAILPOINTS", "");
        let before = selects(&server, "FROM");
        case.start();
        case.settle();
        let chunks = case.copied_number("SELECT count(*) FROM t");
        assert_eq!(chunks, ROWS as i64);
        assert!(before > 0, "the log shows the statements");
        // Those that two readers had in hand, and no other. Fifteen full chunks, and what is behind the last edge.
        let reads = reads_of_chunks(&server, kind);
        let ranges: HashSet<&str> = reads.iter().map(String::as_str).collect();
        assert_eq!(ranges.len(), ROWS / 200 + 1, "{reads:#?}");
        assert!(reads.len() <= ranges.len() + 2, "{} reads of {} chunks: {reads:#?}", reads.len(), ranges.len());
    });
}

/// The statements that read a range of `t`, as often as they were asked.
fn reads_of_chunks(server: &Server, kind: Kind) -> Vec<String> {
    let (log, columns) = if kind.is_mysql() {
        let log = std::fs::read_to_string(server.folder().join("general.log"));
        (log.expect("the log of statements"), "SELECT `id`,`v` FROM")
    } else {
        (server.log(), "SELECT \"id\",\"v\" FROM")
    };
    log.lines()
        // MySQL's log names a prepared statement twice.
        .filter(|line| !line.contains("Prepare"))
        .filter_map(|line| line.find(columns).map(|at| line[at..].to_owned()))
        .collect()
}

#[test]
fn case_007_a_kill_between_the_last_chunk_and_the_stream_loses_nothing() {
    each(7, |server| {
        let mut case = filled(server, 1_000).environment("FAILPOINTS", "snap.chunk_done=4*off->sleep(30000)");
        case.start();
        case.until("almost all rows", |case| case.copied_number("SELECT count(*) FROM t") >= 600);
        case.sql("UPDATE t SET v = 'changed' WHERE id % 3 = 0; DELETE FROM t WHERE id % 5 = 0");
        case.kill();
        case.sql("INSERT INTO t VALUES (5000, 'while it was down')");
        case.set_environment("FAILPOINTS", "");
        case.start();
        case.settle();
    });
}

#[test]
fn case_008_empty_tables_tables_of_one_row_and_tables_dropped_during_the_snapshot() {
    each(8, |server| {
        let mut case = filled(server, ROWS).setting("on_table_error: park").environment("FAILPOINTS", SLOW_CHUNKS);
        case.sql("CREATE TABLE nothing (id INT PRIMARY KEY, v VARCHAR(40))");
        case.sql("CREATE TABLE one (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO one VALUES (1, 'one')");
        case.sql("CREATE TABLE u_dropped (id INT PRIMARY KEY, v VARCHAR(40))");
        case.sql(&rows(server, "u_dropped", ROWS));
        case.start();
        case.until("the first rows", |case| case.copied_number("SELECT count(*) FROM t") > 0);
        case.sql("DROP TABLE u_dropped");
        case.settle();
        assert_eq!(case.copied("SELECT * FROM one"), "1|one");
        // A table without rows is there all the same: those that it had from the start, and those made later.
        case.sql("CREATE TABLE nothing_yet (id INT PRIMARY KEY, v VARCHAR(40))");
        let known = "SELECT count(*) FROM sqlite_master WHERE name IN ('nothing', 'nothing_yet')";
        case.until("the empty tables", |case| case.copied_number(known) == 2);
        case.sql("INSERT INTO nothing VALUES (1, 'something')");
        case.settle();
    });
}

#[test]
fn case_009_chunks_by_every_kind_of_key() {
    each(9, |server| {
        let mysql = server.kind().is_mysql();
        let mut case = Captured::on(server).setting("chunk_rows: 7");
        let keys: &[(&str, &str)] = if mysql {
            &[
                ("BIGINT UNSIGNED", "18446744073709551615 - {}"),
                ("INT", "{} * 7 - 100"),
                ("BIGINT", "{} * 1000000000000"),
                ("VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "CONCAT('kEy', {})"),
                ("VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "CONCAT(IF({0} % 2, 'K', 'k'), {0})"),
                ("DECIMAL(20,5)", "{} * 1.00007 - 20"),
                ("DATE", "DATE('2024-01-01') + INTERVAL {} DAY"),
                ("BINARY(16)", "UNHEX(MD5({}))"),
                ("DATETIME(6)", "TIMESTAMP('2024-01-01') + INTERVAL {} MICROSECOND"),
            ]
        } else {
            &[
                ("int", "{} * 7 - 100"),
                ("bigint", "{}::bigint * 1000000000000"),
                ("text", "'kEy' || {}"),
                ("varchar(30) COLLATE \"C\"", "'k' || {}"),
                ("numeric(20,5)", "{} * 1.00007 - 20"),
                ("numeric", "{} * 1e30"),
                ("date", "'2024-01-01'::date + {}"),
                ("uuid", "md5({}::text)::uuid"),
                ("timestamptz", "'2024-01-01'::timestamptz + {} * interval '1 microsecond'"),
                ("bytea", "decode(md5({}::text), 'hex')"),
            ]
        };
        for (i, (kind, expression)) in keys.iter().enumerate() {
            case.sql(&format!("CREATE TABLE k{i} (k {kind} PRIMARY KEY, n INT)"));
            let insert = |n: usize| {
                format!("({}, {n})", expression.replace("{0}", &n.to_string()).replace("{}", &n.to_string()))
            };
            let values: Vec<String> = (0..40).map(insert).collect();
            case.sql(&format!("INSERT INTO k{i} VALUES {}", values.join(",")));
        }
        case.sql("CREATE TABLE two (a INT, b VARCHAR(10), n INT, PRIMARY KEY (b, a))");
        let values: Vec<String> = (0..60).map(|n| format!("({}, 'b{}', {n})", n % 20, n / 20)).collect();
        case.sql(&format!("INSERT INTO two VALUES {}", values.join(",")));
        case.start();
        case.settle();
        for i in 0..keys.len() {
            case.sql(&format!("UPDATE k{i} SET n = n + 100 WHERE n < 20; DELETE FROM k{i} WHERE n BETWEEN 20 AND 25"));
        }
        case.sql("UPDATE two SET n = n + 100 WHERE n < 20; DELETE FROM two WHERE n BETWEEN 20 AND 25");
        case.settle();
    });
}

#[test]
fn case_010_key_order_under_a_collation_is_the_databases() {
    each(10, |server| {
        let kind = match server.kind() {
            Kind::MariaDb | Kind::MySql8 => "VARCHAR(30) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
            _ => "text COLLATE \"en-x-icu\"",
        };
        let mut case = Captured::on(server).setting("chunk_rows: 5").environment("FAILPOINTS", SLOW_CHUNKS);
        case.sql(&format!("CREATE TABLE t (k {kind} PRIMARY KEY, v VARCHAR(20))"));
        let words = [
            "zebra", "Äpfel", "apfel1", "Apfel2", "_x", "-y", "éa", "eb", "Ec", "öl", "ol2", "ß1", "ss2", "a-b", "ab2",
            "a c", "Z", "z1",
        ];
        let keys: Vec<String> = (0..6).flat_map(|n| words.iter().map(move |word| format!("{word}{n}"))).collect();
        let values: Vec<String> = keys.iter().map(|key| format!("('{key}', 'first')")).collect();
        case.sql(&format!("INSERT INTO t VALUES {}", values.join(",")));
        case.start();
        for (i, key) in keys.iter().enumerate() {
            match i % 3 {
                0 => case.sql(&format!("UPDATE t SET v = 'second' WHERE k = '{key}'")),
                1 => case.sql(&format!("DELETE FROM t WHERE k = '{key}'")),
                _ => case.sql(&format!("UPDATE t SET k = '{key}x' WHERE k = '{key}'")),
            };
        }
        case.settle();
    });
}

#[test]
fn case_011_equal_rows_of_a_table_without_a_key_keep_their_count() {
    each(11, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (a INT, b VARCHAR(10))");
        if !server.kind().is_mysql() {
            case.sql("ALTER TABLE t REPLICA IDENTITY FULL");
        }
        case.sql("INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL), (2, NULL), (3, 'z')");
        case.start();
        case.settle();
        case.sql("INSERT INTO t VALUES (1, 'x'), (4, 'n'), (4, 'n')");
        let one = if server.kind().is_mysql() {
            "DELETE FROM t WHERE a = 2 LIMIT 1"
        } else {
            "DELETE FROM t WHERE ctid = (SELECT ctid FROM t WHERE a = 2 LIMIT 1)"
        };
        case.sql(one);
        case.sql("UPDATE t SET b = 'w' WHERE a = 3");
        case.settle();
        case.survives_a_kill();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE a = 1"), 4);
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE a = 2"), 1);
    });
}

#[test]
fn case_012_a_table_added_to_a_flow_is_read_and_the_others_stream_on() {
    each(12, |server| {
        let mut case = Captured::on(server).only(&["t", "zz_marker"]).setting(SMALL_CHUNKS);
        case.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); CREATE TABLE u (id INT PRIMARY KEY, v VARCHAR(40))",
        );
        case.sql(&rows(server, "t", 500));
        case.sql(&rows(server, "u", 2_000));
        case.start();
        case.caught_up();
        assert_eq!(case.copied_number("SELECT count(*) FROM sqlite_master WHERE name = 'u'"), 0);
        case.stop();
        case.sql("UPDATE t SET v = 'while stopped' WHERE id < 10; UPDATE u SET v = 'while stopped' WHERE id < 10");
        case.tables = vec![case.qualified("*")];
        case.set_environment("FAILPOINTS", SLOW_CHUNKS);
        case.start();
        case.until("the first rows of the new table", |case| case.copied_number("SELECT count(*) FROM u") > 0);
        case.sql("INSERT INTO t VALUES (900, 'during')");
        case.until("the old table streams on", |case| case.copied_number("SELECT count(*) FROM t WHERE id = 900") == 1);
        case.crash();
        case.sql("UPDATE u SET v = 'late' WHERE id > 1900");
        case.settle();
    });
}

#[test]
fn case_013_a_table_removed_and_added_again() {
    each(13, |server| {
        let mut case = Captured::on(server).setting(SMALL_CHUNKS);
        case.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); CREATE TABLE u (id INT PRIMARY KEY, v VARCHAR(40))",
        );
        case.sql(&rows(server, "u", 300));
        case.start();
        case.settle();
        case.stop();
        case.tables = vec![case.qualified("t"), case.qualified("zz_marker")];
        case.sql("INSERT INTO u VALUES (1000, 'not captured')");
        case.start();
        case.sql("UPDATE u SET v = 'not captured' WHERE id < 50; DELETE FROM u WHERE id > 200; INSERT INTO t VALUES (1, 'a')");
        case.caught_up();
        case.stop();
        case.tables = vec![case.qualified("*")];
        case.start();
        case.settle();
        case.sql("INSERT INTO u VALUES (2000, 'captured')");
        case.settle();
    });
}

#[test]
fn case_014_each_snapshot_mode_does_what_it_says() {
    each(14, |server| {
        for mode in ["initial", "never", "always"] {
            let mut case = filled(server, 100).setting(&format!("snapshot: {mode}"));
            case.start();
            case.until("a running flow", |case| {
                case.sql("DELETE FROM zz_marker WHERE id = -1; INSERT INTO zz_marker VALUES (-1)");
                case.copied_number("SELECT count(*) FROM zz_marker WHERE id = -1") == 1
            });
            case.sql("INSERT INTO t VALUES (200, 'streamed')");
            case.caught_up();
            let expected = if mode == "never" { 1 } else { 101 };
            case.until(mode, |case| case.copied_number("SELECT count(*) FROM t") == expected);
            case.stop();
            case.sql("INSERT INTO t VALUES (201, 'while stopped')");
            case.start();
            case.caught_up();
            case.until(mode, |case| case.copied_number("SELECT count(*) FROM t") == expected + 1);
        }
        let mut case = filled(server, 100).setting("snapshot: initial_only");
        case.start();
        let code = case.daemon().wait();
        assert_eq!(code, Some(0), "{}", case.log());
        assert_eq!(case.copied_number("SELECT count(*) FROM t"), 100);
    });
}

#[test]
fn case_015_a_snapshot_stays_within_the_memory_bound() {
    each(15, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT)");
        case.sql("INSERT INTO t SELECT seq, seq % 1000 FROM seq_1_to_1000000");
        case.start();
        case.until("all rows", |case| case.copied_number("SELECT count(*) FROM t") == 1_000_000);
        case.caught_up();
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
        assert_eq!(
            case.copied_number("SELECT sum(id * 31 + v) FROM t"),
            case.database.number("SELECT CAST(sum(id * 31 + v) AS SIGNED) FROM t")
        );
    });
}

#[test]
fn case_016_a_transaction_that_is_open_when_the_slot_is_made_is_not_missed() {
    each(16, |server| {
        let mut case = filled(server, 200);
        let mut open = case.database.connect();
        open.sql("BEGIN; INSERT INTO t VALUES (1000, 'open'); UPDATE t SET v = 'open' WHERE id < 20");
        case.start();
        // The slot waits for the transaction; commits as soon as somebody waits for it, or after a while.
        let mut watcher = case.database.connect();
        for _ in 0..200 {
            if watcher
                .number("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' OR query LIKE '%SLOT%'")
                > 1
            {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        open.sql("COMMIT");
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE v = 'open'"), 21);
    });
}

#[test]
fn case_017_column_lists_and_row_filters_hold_for_snapshot_and_stream_alike() {
    each(17, |server| {
        let mut case = Captured::on(server).setting("publication: given");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40), secret TEXT)");
        case.sql(
            "ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1, 'a', 's'), (2, 'b', 's'), (103, 'c', 's')",
        );
        case.sql("CREATE PUBLICATION given FOR TABLE t WHERE (id < 100), TABLE zz_marker");
        case.start();
        case.caught_up();
        case.sql("INSERT INTO t VALUES (4, 'd', 's'), (104, 'e', 's'); UPDATE t SET id = 105 WHERE id = 1; UPDATE t SET id = 5 WHERE id = 103");
        case.caught_up();
        case.until("the filtered rows", |case| case.copied("SELECT id FROM t ORDER BY id") == "2\n4\n5");
    });
}
