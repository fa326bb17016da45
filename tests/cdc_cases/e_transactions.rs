//! E. Transactions: whole or not at all, in the order of their commits.

use std::time::Duration;

use aqueduct_test_servers::{Options, Server};

use super::conformance::{each, on_each};
use super::list::CASES;
use crate::harness::captured::Captured;
use crate::harness::writer::Writer;

/// Two accounts tables whose sum never changes.
fn bank<'a>(server: &'a Server) -> Captured<'a> {
    let case = Captured::on(server);
    for table in ["a", "b"] {
        let values: Vec<String> = (0..20).map(|id| format!("({id}, 100)")).collect();
        case.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, balance INT); INSERT INTO {table} VALUES {}",
            values.join(",")
        ));
    }
    case
}

#[test]
fn case_050_a_transaction_over_two_tables_is_never_seen_in_parts() {
    each(50, |server| {
        let mut case = bank(server);
        case.start();
        case.settle();
        let mut random = crate::harness::Random(50);
        let writer = Writer::start(case.database.connect(), Duration::ZERO, move |client, _| {
            let (from, to, amount) = (random.below(20), random.below(20), random.below(9));
            client.sql(&format!(
                "BEGIN; UPDATE a SET balance = balance - {amount} WHERE id = {from}; UPDATE b SET balance = balance + {amount} WHERE id = {to}; COMMIT"
            ));
        });
        let (mut polls, mut torn) = (0, 0);
        while writer.count() < 10_000 {
            torn += i64::from(
                case.copied_number("SELECT (SELECT sum(balance) FROM a) + (SELECT sum(balance) FROM b)") != 4_000,
            );
            polls += 1;
            std::thread::park_timeout(Duration::from_millis(10));
        }
        writer.stop();
        case.settle();
        assert_eq!(torn, 0, "of {polls} looks");
        assert!(polls > 50);
    });
}

#[test]
fn case_051_rollbacks_savepoints_and_empty_transactions() {
    each(51, |server| {
        let mut case = Captured::on(server).only(&["t", "zz_marker"]);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO t VALUES (1, 'a')");
        case.start();
        case.caught_up();
        let mut session = case.database.connect();
        session.sql("BEGIN; INSERT INTO t VALUES (2, 'rolled back'); ROLLBACK");
        session.sql("BEGIN; INSERT INTO t VALUES (3, 'c'); SAVEPOINT s; INSERT INTO t VALUES (4, 'rolled back'); UPDATE t SET v = 'rolled back' WHERE id = 1; ROLLBACK TO SAVEPOINT s; INSERT INTO t VALUES (5, 'e'); COMMIT");
        session.sql("BEGIN; COMMIT");
        session.sql("BEGIN; SAVEPOINT s; INSERT INTO t VALUES (6, 'f'); RELEASE SAVEPOINT s; SAVEPOINT s; DELETE FROM t; ROLLBACK TO SAVEPOINT s; COMMIT");
        for id in 0..200 {
            session.sql(&format!("INSERT INTO other VALUES ({id})"));
        }
        case.caught_up();
        assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|a\n3|c\n5|e\n6|f");
        case.crash();
        case.caught_up();
        assert_eq!(case.copied("SELECT * FROM t ORDER BY id"), "1|a\n3|c\n5|e\n6|f");
    });
}

#[test]
fn case_052_long_and_short_transactions_interleaved_with_a_restart() {
    each(52, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b')");
        case.start();
        case.settle();
        let mut long = case.database.connect();
        long.sql("BEGIN; INSERT INTO t VALUES (100, 'long'); UPDATE t SET v = 'long' WHERE id = 1");
        for id in 10..40 {
            case.sql(&format!("INSERT INTO t VALUES ({id}, 'short'); UPDATE t SET v = 's{id}' WHERE id = 2"));
        }
        case.caught_up();
        case.crash();
        case.sql("INSERT INTO t VALUES (50, 'after the restart')");
        case.caught_up();
        long.sql("INSERT INTO t VALUES (101, 'long'); DELETE FROM t WHERE id = 10");
        case.crash();
        long.sql("COMMIT");
        case.settle();
        assert_eq!(case.copied("SELECT v FROM t WHERE id IN (1, 100, 101)"), "long\nlong\nlong");
        case.survives_a_kill();
    });
}

#[test]
fn case_053_many_rows_with_one_log_position() {
    each(53, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id int, v text); ALTER TABLE t REPLICA IDENTITY FULL");
        case.start();
        case.settle();
        for round in 0..5 {
            // A page of rows of one statement share positions; without a key a row that comes twice shows.
            case.sql(&format!("INSERT INTO t SELECT i, 'r{round}' FROM generate_series(1, 3000) i"));
            case.crash();
            case.sql("INSERT INTO t VALUES (0, 'x'); INSERT INTO t VALUES (0, 'y')");
            case.crash();
        }
        case.settle();
        assert_eq!(case.copied_number("SELECT count(*) FROM t"), 15_010);
    });
}

#[test]
fn case_054_a_transaction_larger_than_memory() {
    each(54, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100)); CREATE TABLE s (id INT PRIMARY KEY); INSERT INTO s VALUES (1)");
        case.start();
        case.settle();
        let series = if server.kind().is_mysql() {
            "SELECT seq, REPEAT('x', 60) FROM seq_1_to_600000"
        } else {
            "SELECT i, repeat('x', 60) FROM generate_series(1, 600000) i"
        };
        if server.kind().is_mysql() {
            case.sql(&format!("INSERT INTO t {series}"));
        } else {
            // A part of it is rolled back while the rest is streamed already.
            case.sql(&format!("BEGIN; INSERT INTO t {series}; SAVEPOINT s; UPDATE t SET v = 'rolled back' WHERE id < 100000; ROLLBACK TO SAVEPOINT s; INSERT INTO s VALUES (2); COMMIT"));
        }
        std::thread::park_timeout(Duration::from_millis(700));
        assert!(
            [0, 600_000].contains(&case.copied_number("SELECT count(*) FROM t")),
            "a part of a transaction is seen"
        );
        case.crash();
        case.until("all rows", |case| case.copied_number("SELECT count(*) FROM t") == 600_000);
        case.caught_up();
        assert!(case.memory_peak_mib() <= 256, "{} MiB", case.memory_peak_mib());
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE v <> 'rolled back'"), 600_000);
    });
}

#[test]
fn case_056_transactions_in_two_phases() {
    each(56, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))");
        case.start();
        case.settle();
        let mut session = case.database.connect();
        let name = case.database.name().to_owned();
        if server.kind().is_mysql() {
            for (n, end) in [(1, "COMMIT"), (2, "ROLLBACK"), (3, "COMMIT")] {
                session.sql(&format!(
                    "XA START '{name}{n}'; INSERT INTO t VALUES ({n}, 'xa'); XA END '{name}{n}'; XA PREPARE '{name}{n}'"
                ));
                case.sql(&format!("INSERT INTO t VALUES ({}, 'between')", n + 10));
                case.caught_up();
                assert_eq!(
                    case.copied_number(&format!("SELECT count(*) FROM t WHERE id = {n}")),
                    0,
                    "prepared is not committed"
                );
                case.crash();
                session.sql(&format!("XA {end} '{name}{n}'"));
                case.settle();
            }
            session.sql(&format!(
                "XA START '{name}4'; INSERT INTO t VALUES (4, 'one'); XA END '{name}4'; XA COMMIT '{name}4' ONE PHASE"
            ));
        } else {
            for (n, end) in [(1, "COMMIT"), (2, "ROLLBACK"), (3, "COMMIT")] {
                session.sql(&format!("BEGIN; INSERT INTO t VALUES ({n}, 'two'); PREPARE TRANSACTION '{name}{n}'"));
                case.sql(&format!("INSERT INTO t VALUES ({}, 'between')", n + 10));
                case.caught_up();
                assert_eq!(
                    case.copied_number(&format!("SELECT count(*) FROM t WHERE id = {n}")),
                    0,
                    "prepared is not committed"
                );
                case.crash();
                session.sql(&format!("{end} PREPARED '{name}{n}'"));
                case.settle();
            }
        }
        case.settle();
        assert_eq!(case.copied("SELECT count(*) FROM t WHERE id < 4"), "2");
    });
}

#[test]
fn case_057_engines_without_transactions_and_tables_made_from_queries() {
    each(57, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE i (id INT PRIMARY KEY, v INT) ENGINE=InnoDB; CREATE TABLE m (id INT PRIMARY KEY, v INT) ENGINE=MyISAM");
        case.sql("CREATE TABLE a (id INT PRIMARY KEY, v INT) ENGINE=Aria; CREATE TABLE h (id INT PRIMARY KEY, v INT) ENGINE=MEMORY");
        case.sql("INSERT INTO i VALUES (1, 1); INSERT INTO m VALUES (1, 1); INSERT INTO a VALUES (1, 1); INSERT INTO h VALUES (1, 1)");
        case.start();
        case.settle();
        case.sql("BEGIN; INSERT INTO i VALUES (2, 2); INSERT INTO m VALUES (2, 2); INSERT INTO a VALUES (2, 2); INSERT INTO h VALUES (2, 2); COMMIT");
        // What MyISAM wrote stays although the transaction is rolled back.
        case.sql("BEGIN; INSERT INTO i VALUES (3, 3); INSERT INTO m VALUES (3, 3); ROLLBACK");
        case.sql("CREATE TABLE made (PRIMARY KEY (id)) SELECT id, v FROM i; INSERT INTO made VALUES (9, 9)");
        case.settle();
        assert_eq!(case.copied("SELECT count(*) FROM m"), "3");
        case.survives_a_kill();
    });
}

#[test]
fn case_058_changes_in_statement_format_are_an_error() {
    each(58, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1)");
        case.start();
        case.settle();
        case.database.connect().sql("SET SESSION binlog_format = 'STATEMENT'; INSERT INTO t VALUES (2, 2)");
        let log = case.fails();
        assert!(log.contains("binlog_format") && log.to_uppercase().contains("ROW"), "{log}");
        assert!(log.contains("binlog."), "the place in the log is named: {log}");
    });
}

#[test]
fn case_061_what_triggers_do_arrives_once() {
    each(61, |server| {
        let mut case = Captured::on(server);
        case.sql("CREATE TABLE t (id INT PRIMARY KEY, v INT); CREATE TABLE audit (n INT, what VARCHAR(20))");
        if server.kind().is_mysql() {
            case.sql("CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO audit VALUES (NEW.id, 'insert')");
            case.sql("CREATE TRIGGER up BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = NEW.v + 1000");
        } else {
            case.sql("ALTER TABLE audit REPLICA IDENTITY FULL");
            case.sql("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO audit VALUES (NEW.id, 'insert'); RETURN NULL; END$$");
            case.sql("CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()");
            case.sql("CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := NEW.v + 1000; RETURN NEW; END$$");
            case.sql("CREATE TRIGGER up BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION g()");
        }
        case.start();
        case.settle();
        case.sql("INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); UPDATE t SET v = v * 2");
        case.settle();
        case.survives_a_kill();
        assert_eq!(case.copied_number("SELECT count(*) FROM audit"), 3);
    });
}

#[test]
fn case_062_replication_filters_are_seen_at_the_start() {
    on_each(CASES, 62, |kind| {
        for filter in ["binlog-ignore-db=hidden", "binlog-do-db=shown"] {
            let server = Server::start(kind, Options::new().config(filter));
            let case = Captured::of(server.named_database("hidden"));
            case.sql("CREATE TABLE t (id INT PRIMARY KEY)");
            let doctor = case.command(&["doctor", "flow.yaml"]);
            let said = format!("{}{}", doctor.stdout, doctor.stderr);
            assert!(
                said.contains("binlog_do_db") || said.contains("binlog_ignore_db") || said.contains("binlog-"),
                "{said}"
            );
            assert_ne!(doctor.code, Some(0));
        }
    });
}
