//! G. Positions: rotations, failover, lost and foreign logs.

use aqueduct_test_servers::{Kind, Options, Server};

use super::conformance::on_each;
use super::list::CASES;
use crate::harness::captured::Captured;

/// A table `t (id, v)` with some rows on a server of the test's own, captured, settled.
pub fn running<'a>(server: &'a Server) -> Captured<'a> {
    let mut case = Captured::on(server);
    fill(&case);
    case.start();
    case.settle();
    case
}

pub fn fill(case: &Captured<'_>) {
    case.sql("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')");
}

fn own(kind: Kind) -> Server {
    Server::start(kind, Options::new())
}

#[test]
fn case_077_gtids_across_restarts_and_rotations() {
    on_each(CASES, 77, |kind| {
        let server = own(kind);
        let mut case = running(&server);
        for round in 0..4 {
            case.sql(&format!(
                "INSERT INTO t VALUES ({}, 'x'); FLUSH BINARY LOGS; UPDATE t SET v = 'r{round}' WHERE id = 1",
                10 + round
            ));
            if round % 2 == 0 {
                case.kill();
                server.restart();
                case.sql(&format!("INSERT INTO t VALUES ({}, 'down')", 20 + round));
                case.start();
            } else {
                server.restart();
            }
            case.settle();
        }
        if kind == Kind::MariaDb {
            // Another domain, and a gap in the numbers.
            case.database.connect().sql("SET gtid_domain_id = 7; INSERT INTO t VALUES (100, 'domain 7'); SET gtid_seq_no = 500; INSERT INTO t VALUES (101, 'gap')");
        } else {
            case.database.connect().sql("SET gtid_next = '11111111-1111-1111-1111-111111111111:5'; INSERT INTO t VALUES (100, 'foreign'); SET gtid_next = '11111111-1111-1111-1111-111111111111:9'; INSERT INTO t VALUES (101, 'gap')");
        }
        case.settle();
        case.crash();
        case.sql("INSERT INTO t VALUES (102, 'after')");
        case.settle();
    });
}

/// A primary and a replica of it that writes its own log.
fn pair(options: &Options) -> (Server, Server) {
    let primary = Server::start(Kind::MariaDb, options.clone());
    let replica = Server::start(Kind::MariaDb, options.clone().config("log-slave-updates=1"));
    replica.admin(&format!(
        "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={}, MASTER_USER='cdc', MASTER_PASSWORD='cdc', MASTER_USE_GTID=slave_pos; START SLAVE",
        primary.port()
    ));
    (primary, replica)
}

/// Waits until the replica has what the primary has.
fn replicated(primary: &Server, replica: &Server) {
    let position = primary.connect().text("SELECT @@gtid_binlog_pos");
    assert_eq!(
        replica.connect().number(&format!("SELECT MASTER_GTID_WAIT('{position}', 60)")),
        0,
        "the replica follows"
    );
}

#[test]
fn case_078_failover_to_a_replica_by_gtid() {
    on_each(CASES, 78, |_| {
        let (primary, replica) = pair(&Options::new());
        let mut case = Captured::of(primary.named_database("shop"));
        fill(&case);
        case.start();
        case.settle();
        case.sql("INSERT INTO t VALUES (10, 'captured'), (11, 'captured')");
        case.caught_up();
        case.kill();
        case.sql("INSERT INTO t VALUES (12, 'not captured yet')");
        replicated(&primary, &replica);
        primary.kill();
        replica.admin("STOP SLAVE; RESET SLAVE ALL; INSERT INTO shop.t VALUES (13, 'on the new primary'); UPDATE shop.t SET v = 'changed' WHERE id = 10; INSERT INTO shop.zz_marker VALUES (100)");
        case.change_url(format!("mysql://cdc:cdc@127.0.0.1:{}/shop", replica.port()));
        case.start();
        case.until("the new primary's rows", |case| {
            case.copied_number("SELECT count(*) FROM zz_marker WHERE id = 100") == 1
        });
        let expected = replica.connect_to("shop").text("SELECT id, v FROM t ORDER BY id");
        case.until("all rows", |case| case.copied("SELECT id, v FROM t ORDER BY id") == expected);
    });
}

#[test]
fn case_079_failover_without_gtid_is_refused() {
    on_each(CASES, 79, |kind| {
        let options = || Options::new().config("gtid-mode=OFF").config("enforce-gtid-consistency=OFF");
        let server = Server::start(kind, options());
        let mut case = Captured::of(server.named_database("shop"));
        fill(&case);
        case.start();
        case.settle();
        case.stop();
        // Another server with the same tables and logs of the same names.
        let other = Server::start(kind, options());
        let copy = Captured::of(other.named_database("shop"));
        fill(&copy);
        copy.sql("INSERT INTO t VALUES (50, 'elsewhere'); FLUSH BINARY LOGS; FLUSH BINARY LOGS");
        case.change_url(copy.database.url("cdc"));
        case.start();
        let log = case.fails();
        assert!(log.to_lowercase().contains("server"), "{log}");
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 50"), 0);
    });
}

#[test]
fn case_080_a_purged_binary_log() {
    on_each(CASES, 80, |kind| {
        let server = own(kind);
        let mut case = running(&server);
        case.stop();
        case.sql("INSERT INTO t VALUES (10, 'lost'); FLUSH BINARY LOGS; INSERT INTO t VALUES (11, 'kept'); FLUSH BINARY LOGS");
        let last = server.connect().sql("SHOW BINARY LOGS");
        let last = last.last().and_then(|row| row[0].clone()).expect("a log");
        // A dump whose client is gone holds its file until it has something to send.
        case.until("the log is purged", |case| {
            let dumps = "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'";
            for dump in server.connect().sql(dumps).into_iter().flatten().flatten() {
                // It may just have ended.
                let _ = server.connect().run(&format!("KILL {dump}"));
            }
            case.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
            server.connect().sql("SHOW BINARY LOGS").first().is_some_and(|row| row[0].as_ref() == Some(&last))
        });
        case.start();
        let log = case.fails();
        assert!(log.contains("on_lost_position"), "the policy is named: {log}");
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 11"), 0, "no gap is jumped over");
        case.change_setting("on_lost_position", "on_lost_position: resnapshot");
        case.sql("DELETE FROM t WHERE id = 2");
        case.start();
        case.settle();
    });
}

#[test]
fn case_081_a_slot_that_is_gone_or_made_anew() {
    on_each(CASES, 81, |kind| {
        let server = own(kind);
        for anew in [false, true] {
            let mut case = running(&server);
            case.stop();
            let slot = slot_of(&case);
            let plugin = "pgoutput";
            case.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
            case.sql("INSERT INTO t VALUES (10, 'between')");
            if anew {
                case.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', '{plugin}')"));
            }
            case.sql("INSERT INTO t VALUES (11, 'after')");
            case.start();
            let log = case.fails();
            assert!(log.contains("on_lost_position"), "{log}");
            assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 11"), 0, "no gap is jumped over");
            case.change_setting("on_lost_position", "on_lost_position: resnapshot");
            case.start();
            case.settle();
        }
    });
}

/// The name of the flow's slot.
pub fn slot_of(case: &Captured<'_>) -> String {
    case.database
        .text("SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary")
}

#[test]
fn case_082_an_invalidated_slot() {
    on_each(CASES, 82, |kind| {
        let server = Server::start(
            kind,
            Options::new().config("max_slot_wal_keep_size=1MB").config("min_wal_size=32MB").config("max_wal_size=48MB"),
        );
        let mut case = running(&server);
        case.stop();
        for _ in 0..6 {
            case.sql("CREATE TABLE bulk AS SELECT repeat('x', 1000) FROM generate_series(1, 20000); DROP TABLE bulk; SELECT pg_switch_wal(); CHECKPOINT");
        }
        let status =
            case.database.text("SELECT wal_status FROM pg_replication_slots WHERE database = current_database()");
        assert_eq!(status, "lost");
        case.start();
        let log = case.fails();
        assert!(log.contains("on_lost_position") && log.contains("max_slot_wal_keep_size"), "{log}");
        case.change_setting("on_lost_position", "on_lost_position: resnapshot");
        case.start();
        case.settle();
    });
}

#[test]
fn case_083_another_server_an_older_one_and_a_reset_log() {
    on_each(CASES, 83, |kind| {
        let server = own(kind);
        let mut case = Captured::of(server.named_database("shop"));
        fill(&case);
        case.start();
        case.settle();
        case.stop();
        // A copy of the data folder as it is now is what a backup would bring back.
        server.stop();
        let (data, backup) = (server.folder().join("data"), server.folder().join("backup"));
        let copy = |from: &std::path::Path, to: &std::path::Path| {
            let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
            assert!(status.is_ok_and(|status| status.success()), "a copy of the data folder");
        };
        copy(&data, &backup);
        server.restart();
        case.start();
        case.sql("INSERT INTO t VALUES (10, 'after the backup'); UPDATE t SET v = 'after the backup' WHERE id = 1");
        case.settle();
        case.stop();
        server.stop();
        std::fs::remove_dir_all(&data).expect("removed");
        copy(&backup, &data);
        server.restart();
        case.sql("INSERT INTO t VALUES (20, 'after the restore')");
        case.start();
        let log = case.fails();
        assert!(log.contains("on_lost_position"), "{log}");
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 20"), 0);
        case.change_setting("on_lost_position", "on_lost_position: resnapshot");
        case.start();
        case.settle();
        case.change_setting("on_lost_position", "on_lost_position: fail");
        case.crash();
        case.settle();
        case.stop();
        if kind.is_mysql() {
            server.admin("RESET MASTER");
            case.sql("INSERT INTO t VALUES (30, 'after the reset')");
            case.start();
            assert!(case.fails().contains("on_lost_position"));
        }
        // Another server altogether.
        let other = own(kind);
        let stranger = Captured::of(other.named_database("shop"));
        fill(&stranger);
        stranger.sql("INSERT INTO t VALUES (40, 'elsewhere')");
        case.change_url(stranger.database.url("cdc"));
        case.start();
        case.fails();
        assert_eq!(case.copied_number("SELECT count(*) FROM t WHERE id = 40"), 0);
    });
}
