//! H. Pressure: blocked and slow targets, many tables.

use std::time::{Duration, Instant};

use aqueduct_test_servers::{Options, Server};

use super::conformance::{each, on_each};
use super::g_positions::{fill, running};
use super::list::CASES;
use crate::harness::captured::Captured;
use crate::harness::writer::Writer;

#[test]
fn case_097_the_server_restarts_and_dies_under_load() {
    on_each(CASES, 97, |kind| {
        let server = Server::start(kind, Options::new());
        let mut case = running(&server);
        for round in 0..20_u64 {
            let session = case.database.connect();
            let writer = Writer::start(session, Duration::from_millis(1), move |client, count| {
                // Fails while the server is down.
                let id = 1_000 * (round + 1) + count % 1_000;
                let _ = client.run(&format!("INSERT INTO t VALUES ({id}, 'x')"));
                let _ = client.run(&format!("UPDATE t SET v = 'r{round}' WHERE id = {}", id - 1));
            });
            while writer.count() < 60 {
                std::thread::park_timeout(Duration::from_millis(1));
            }
            if round % 2 == 0 {
                server.kill()
            } else {
                server.stop()
            }
            writer.stop();
            server.restart();
        }
        if case.daemon().has_ended() {
            case.crash();
        }
        case.settle();
    });
}

#[test]
fn case_099_a_blocked_target_does_not_time_the_source_out() {
    on_each(CASES, 99, |kind| {
        let server = Server::start(kind, Options::new().config("wal_sender_timeout=2s"));
        let mut case = running(&server);
        let walsender = "SELECT pid FROM pg_stat_replication";
        let before = case.database.text(walsender);
        let lock = rusqlite::Connection::open(case.work.file("copy.db")).expect("the target");
        lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        let start = Instant::now();
        let mut id = 100;
        // Three times the server's patience, with rows that cannot go anywhere.
        while start.elapsed() < Duration::from_secs(6) {
            case.sql(&format!("INSERT INTO t SELECT i, 'x' FROM generate_series({id}, {}) i", id + 999));
            id += 1_000;
            std::thread::park_timeout(Duration::from_millis(50));
        }
        assert_eq!(case.database.text(walsender), before, "the same connection: {}", server.log());
        lock.execute_batch("ROLLBACK").expect("free again");
        drop(lock);
        case.settle();
    });
}

#[test]
fn case_100_a_slow_target_holds_the_source_back() {
    each(100, |server| {
        // Every write takes a while.
        let mut case = Captured::on(server).environment("FAILPOINTS", "sink.write=sleep(60)");
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(300))");
        case.start();
        case.settle();
        for round in 0..20 {
            case.sql(&format!("INSERT INTO t SELECT seq + {}, REPEAT('x', 250) FROM seq_1_to_20000", round * 20_000));
        }
        case.until("some of it", |case| case.copied_number("SELECT count(*) FROM t") > 20_000);
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
        case.set_environment("FAILPOINTS", "");
        case.crash();
        case.until("all rows", |case| case.copied_number("SELECT count(*) FROM t") == 400_000);
        case.settle();
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
    });
}

#[test]
fn case_101_many_tables() {
    on_each(CASES, 101, |kind| {
        let server = Server::start(
            kind,
            if kind.is_mysql() { Options::new() } else { Options::new().config("max_locks_per_transaction=4096") },
        );
        let mut case = Captured::on(&server);
        let mut session = case.database.connect();
        // Fewer where each table is a relation to be locked and published.
        let count = if kind.is_mysql() { 2_000 } else { 1_000 };
        for chunk in 0..count / 50 {
            let tables: Vec<String> =
                (0..50).map(|n| format!("CREATE TABLE m{} (id INT PRIMARY KEY, v INT)", chunk * 50 + n)).collect();
            session.sql(&tables.join("; "));
        }
        session.sql(&format!("INSERT INTO m0 VALUES (1, 1); INSERT INTO m{} VALUES (1, 1)", count - 1));
        // One of them at first: quick, and small.
        case = case.only(&["m7", "zz_marker"]);
        let begun = Instant::now();
        case.start();
        case.caught_up();
        println!("one of {count} tables: {:?}, {} MiB", begun.elapsed(), case.memory_peak_mib());
        case.stop();
        case.tables = vec![case.qualified("*")];
        case.start();
        case.until("all tables", |case| {
            case.copied_number("SELECT count(*) FROM sqlite_master WHERE name LIKE 'm%' AND type = 'table'") == count
        });
        let statements: Vec<String> =
            (0..count).step_by(37).map(|n| format!("INSERT INTO m{n} VALUES (2, {n})")).collect();
        session.sql(&statements.join("; "));
        case.settle();
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
    });
}

#[test]
fn case_102_patterns_odd_names_and_the_same_table_in_two_schemas() {
    each(102, |server| {
        let mut case = Captured::on(server);
        fill(&case);
        let mysql = server.kind().is_mysql();
        let name = case.database.name().to_owned();
        // Characters that mean something in patterns of other kinds are themselves here.
        let quote = if mysql { '`' } else { '"' };
        for table in ["a+b", "a.b", "aab", "item_1", "itemX1"] {
            case.sql(&format!("CREATE TABLE {quote}{table}{quote} (id INT PRIMARY KEY, v INT); INSERT INTO {quote}{table}{quote} VALUES (1, 1)"));
        }
        case = case.only(&["a+b", "item_*", "t", "zz_marker"]);
        case.start();
        case.caught_up();
        let captured = case.copied("SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' ORDER BY name)");
        assert_eq!(captured, "a+b,item_1,t,zz_marker");
        case.stop();
        // Two schemas, one table name, one target: kept apart by the template.
        let other = if mysql { format!("{name}_two") } else { "two".to_owned() };
        let create = if mysql { "DATABASE" } else { "SCHEMA" };
        let mut both = Captured::on(server).sink_settings("table: \"{schema}_{table}\"");
        let first = if mysql { both.database.name().to_owned() } else { "public".to_owned() };
        fill(&both);
        both.sql(&format!("CREATE {create} {other}; CREATE TABLE {other}.t (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO {other}.t VALUES (9, 'other')"));
        both.tables.push(format!("{other}.*"));
        both.start();
        both.until("both tables", |case| {
            case.copied_number(&format!(
                "SELECT (SELECT count(*) FROM {first}_t) * 10 + (SELECT count(*) FROM {other}_t)"
            )) == 31
        });
        both.sql(&format!("INSERT INTO {other}.t VALUES (10, 'x'); DELETE FROM t WHERE id = 1"));
        both.until("changes of both", |case| {
            case.copied_number(&format!(
                "SELECT (SELECT count(*) FROM {first}_t) * 10 + (SELECT count(*) FROM {other}_t)"
            )) == 22
        });
    });
}
