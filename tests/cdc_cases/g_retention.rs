//! G. What the server keeps for us, and what we take from it.

use std::time::Duration;

use aqueduct_test_servers::{Options, Server};

use super::conformance::{each, on_each};
use super::g_positions::{fill, running, slot_of};
use super::list::CASES;
use crate::harness::captured::Captured;

#[test]
fn case_084_a_slot_that_somebody_else_uses() {
    each(84, |server| {
        let mut case = running(server);
        let slot = slot_of(&case);
        case.stop();
        let program = if server.kind().name() == "postgres15" {
            "/usr/lib/postgresql/15/bin/pg_recvlogical"
        } else {
            "pg_recvlogical"
        };
        let mut thief = std::process::Command::new(program)
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &server.port().to_string(),
                "-U",
                "postgres",
                "-d",
                case.database.name(),
                "-S",
                &slot,
            ])
            .args(["--start", "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=none"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("pg_recvlogical is there");
        case.until("the slot is taken", |case| {
            case.database
                .number("SELECT count(*) FROM pg_replication_slots WHERE active AND database = current_database()")
                == 1
        });
        case.start();
        case.until("the holder is named", |case| {
            let log = case.log();
            log.contains("active") && log.contains("pg_recvlogical")
        });
        thief.kill().expect("it runs");
        thief.wait().expect("it ends");
        case.sql("INSERT INTO t VALUES (10, 'meanwhile')");
        case.settle();
    });
}

#[test]
fn case_085_server_ids_that_clash() {
    each(85, |server| {
        let mut first = Captured::on(server).setting("server_id: 4242");
        fill(&first);
        first.start();
        first.settle();
        let mut second = Captured::on(server).setting("server_id: 4242");
        fill(&second);
        second.start();
        // The server ends the older reader. Whoever loses says why, and nobody fights on for ever.
        first.until("a message about the id", |case| {
            case.log().contains("server_id") || second.log().contains("server_id")
        });
        let mut kicked = Captured::on(server);
        fill(&kicked);
        kicked.start();
        kicked.settle();
    });
}

#[test]
fn case_086_an_idle_table_beside_busy_ones_lets_the_log_go() {
    each(86, |server| {
        let mut case = running(server);
        let busy = server.database();
        busy.sql("CREATE TABLE busy (id serial, v text)");
        let before = case
            .database
            .text("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database()");
        busy.sql("INSERT INTO busy (v) SELECT repeat('x', 500) FROM generate_series(1, 60000)");
        let sql = format!(
            "SELECT CASE WHEN confirmed_flush_lsn > '{before}'::pg_lsn + 20000000 THEN 1 ELSE 0 END FROM pg_replication_slots WHERE database = current_database()"
        );
        case.until("the slot moves on without a row of its own", |case| case.database.number(&sql) == 1);
        case.crash();
        case.settle();
    });
}

#[test]
fn case_087_nothing_is_confirmed_before_it_is_durable() {
    each(87, |server| {
        let mut case = running(server);
        // The target cannot write: somebody else holds its lock.
        let lock = rusqlite::Connection::open(case.work.file("copy.db")).expect("the target");
        lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
        case.sql("INSERT INTO t VALUES (10, 'held up')");
        let place = case.database.text("SELECT pg_current_wal_lsn()");
        for _ in 0..30 {
            case.sql("INSERT INTO zz_marker VALUES ((SELECT min(id) - 1 FROM zz_marker))");
            let passed = format!(
                "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn >= '{place}'"
            );
            assert_eq!(case.database.number(&passed), 0, "confirmed while the target held nothing");
            std::thread::park_timeout(Duration::from_millis(30));
        }
        lock.execute_batch("ROLLBACK").expect("free again");
        drop(lock);
        case.settle();
    });
}

#[test]
fn case_088_slot_and_publication_belong_to_who_made_them() {
    on_each(CASES, 88, |kind| {
        let server = Server::start(kind, Options::new());
        let mut own = running(&server);
        own.stop();
        let mut given = Captured::on(&server).setting("publication: mine").setting("slot: my_slot");
        fill(&given);
        given.sql("CREATE PUBLICATION mine FOR ALL TABLES");
        given.sql("SELECT pg_create_logical_replication_slot('my_slot', 'pgoutput')");
        given.start();
        given.settle();
        given.stop();
        // Starting the flow over gives back what the flow made, and leaves what it was given.
        own.command(&["checkpoint", "reset", "flow.yaml", "--state", "state", "--yes"]);
        given.command(&["checkpoint", "reset", "flow.yaml", "--state", "state", "--yes"]);
        assert_eq!(given.database.number("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'my_slot'"), 1);
        assert_eq!(given.database.number("SELECT count(*) FROM pg_publication WHERE pubname = 'mine'"), 1);
    });
}
