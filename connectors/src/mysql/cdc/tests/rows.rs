//! Rows of every kind, transactions and restarts.

use aqueduct_test_servers::{Kind, Options, Server};

use super::*;

#[tokio::test]
async fn all_kinds_of_changes() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(20)); CREATE TABLE other (id int PRIMARY KEY)");
        database.sql("INSERT INTO t VALUES (0, 'before')");
        let (mut system, _) = streaming(&database).await;
        database.sql(
            "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,NULL);
             UPDATE t SET v = 'c' WHERE id IN (1,2);
             UPDATE t SET id = 20 WHERE id = 2;
             REPLACE INTO t VALUES (1,'r');
             INSERT INTO t VALUES (3,'x') ON DUPLICATE KEY UPDATE v = 'dup';
             DELETE FROM t WHERE id = 0;
             START TRANSACTION; INSERT INTO t VALUES (9,'gone'); ROLLBACK;
             START TRANSACTION; INSERT INTO t VALUES (10,'kept'); SAVEPOINT a; INSERT INTO t VALUES (11,'undone');
             ROLLBACK TO a; COMMIT;
             START TRANSACTION; INSERT INTO t VALUES (12,'two'); INSERT INTO other VALUES (1); COMMIT",
        );
        let items = read_all(&mut system, true).await;
        assert_eq!(
            texts(&items),
            [
                "+t 1|a",
                "+t 2|b",
                "+t 3|NULL",
                "<t 1|a",
                ">t 1|c",
                "<t 2|b",
                ">t 2|c",
                "<t 2|c",
                ">t 20|c",
                "<t 1|c",
                ">t 1|r",
                "<t 3|NULL",
                ">t 3|dup",
                "-t 0|before",
                "+t 10|kept",
                "+t 12|two",
                "+other 1",
            ],
            "{kind:?}"
        );
        system.close().await.expect("closes");
    }
}

/// Transactions of every size, a single statement each and several, over two tables.
const SCRIPT: &str = "INSERT INTO a VALUES (1,1); INSERT INTO b VALUES (1,1);
    START TRANSACTION; UPDATE a SET v = 2; INSERT INTO b VALUES (2,2),(3,3); DELETE FROM a; COMMIT;
    INSERT INTO a VALUES (4,4),(5,5); UPDATE a SET v = v + 1; START TRANSACTION; INSERT INTO a VALUES (6,6);
    UPDATE b SET v = 9 WHERE id = 3; COMMIT; DELETE FROM b";

#[tokio::test]
async fn a_restart_goes_on_from_every_boundary() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)");
        let (mut first, start) = streaming(&database).await;
        database.sql(SCRIPT);
        let end = first.end_of_log().await.expect("the end");
        let items = read_to(&mut first, &end, true).await;
        let relations = relations(&mut first).await;
        let mut boundaries = vec![(start, 0)];
        for (i, item) in items.iter().enumerate() {
            if let LogItem::Rows { boundary: Some(boundary), .. } = item {
                boundaries.push((boundary.clone(), i + 1));
            }
        }
        assert!(boundaries.len() == 8, "{kind:?}: {boundaries:?}");
        for (boundary, behind) in boundaries {
            let mut second = super::system(&database);
            second.connect().await.expect("connects");
            second.start(&boundary, &relations).await.unwrap_or_else(|error| panic!("{error:?}"));
            let again = read_to(&mut second, &end, true).await;
            assert_eq!(texts(&again), texts(&items[behind..]), "{kind:?} from {boundary}");
            second.close().await.expect("closes");
        }
        first.close().await.expect("closes");
    }
}

#[tokio::test]
async fn groups_hold_the_same_rows_as_single_transactions() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)");
        let (mut system, start) = streaming(&database).await;
        database.sql(SCRIPT);
        let end = system.end_of_log().await.expect("the end");
        let single = texts(&read_to(&mut system, &end, true).await);
        let relations = relations(&mut system).await;
        system.start(&start, &relations).await.expect("starts again, further back");
        let items = read_to(&mut system, &end, false).await;
        let of = |texts: &[String], table: &str| -> Vec<String> {
            texts.iter().filter(|text| text[1..].starts_with(table)).cloned().collect()
        };
        for table in ["a ", "b "] {
            assert_eq!(of(&texts(&items), table), of(&single, table), "{kind:?}");
        }
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn reading_stops_exactly_at_a_mark() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int)");
        let (mut system, start) = streaming(&database).await;
        database.sql(SCRIPT);
        let items = read_all(&mut system, true).await;
        let relations = relations(&mut system).await;
        for (i, item) in items.iter().enumerate() {
            let LogItem::Rows { boundary: Some(until), .. } = item else { continue };
            system.start(&start, &relations).await.expect("starts again");
            let budget = LogBudget { until: Some(until.clone()), ..budget(false) };
            let mut read = Vec::new();
            loop {
                match system.next(&budget, &mut bad_rows()).await.expect("reads") {
                    LogItem::Quiet(mark) if mark == *until => break,
                    item => read.push(item),
                }
            }
            let rows = |items: &[Item]| {
                let mut rows = texts(items);
                rows.sort();
                rows
            };
            assert_eq!(rows(&read), rows(&items[..=i]), "{kind:?} until {until}");
        }
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_large_transaction_comes_in_parts() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(200))");
        let (mut system, start) = streaming(&database).await;
        let values: Vec<String> = (0..5_000).map(|id| format!("({id},'{}')", "x".repeat(100))).collect();
        database.sql(&format!("INSERT INTO t VALUES (-1,'first'); INSERT INTO t VALUES {}", values.join(",")));
        let end = system.end_of_log().await.expect("the end");
        let mut rows = 0;
        let mut parts = 0;
        let small = LogBudget { max_rows: 500, ..budget(false) };
        loop {
            let LogItem::Rows { batches, boundary, .. } = system.next(&small, &mut bad_rows()).await.expect("reads")
            else {
                continue;
            };
            rows += batches.iter().map(Batch::num_rows).sum::<usize>();
            assert!(batches.iter().all(|batch| batch.num_rows() <= 1_500), "{kind:?}");
            parts += usize::from(boundary.is_none());
            if boundary.is_some_and(|boundary| system.reached(&boundary, &end)) {
                break;
            }
        }
        assert_eq!(rows, 5_001, "{kind:?}");
        assert!(parts >= 3, "{kind:?}: {parts}");
        // A restart reads the whole transaction again.
        let relations = relations(&mut system).await;
        system.start(&start, &relations).await.expect("starts again");
        assert_eq!(texts(&read_to(&mut system, &end, false).await).len(), 5_001, "{kind:?}");
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn gtids_lead_over_rotation_restart_and_crash() {
    for kind in KINDS {
        let server = Server::start(kind, Options::new().config("sync-binlog=1"));
        let database = server.named_database("shop");
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let (mut system, _) = streaming(&database).await;
        let relations = relations(&mut system).await;
        let mut expected = Vec::new();
        let mut read = Vec::new();
        let mut mark = None;
        for round in 0..4 {
            let mut insert = |id: i32| {
                database.sql(&format!("INSERT INTO t VALUES ({id})"));
                expected.push(format!("+t {id}"));
            };
            insert(round * 10);
            database.sql("FLUSH BINARY LOGS");
            insert(round * 10 + 1);
            let items = read_all(&mut system, false).await;
            read.extend(texts(&items));
            let last = items.iter().rev().find_map(|item| match item {
                LogItem::Rows { boundary, .. } => boundary.clone(),
                _ => None,
            });
            mark = last.or(mark);
            insert(round * 10 + 2);
            if round % 2 == 0 {
                server.restart()
            } else {
                server.kill()
            }
            if round % 2 == 1 {
                server.restart();
            }
            let error = try_read_to(
                &mut system,
                &MysqlMark { place: super::super::mark::LogPlace::new("z.999999", 4), ..mark.clone().expect("a mark") },
                false,
            )
            .await
            .expect_err("the server went away");
            assert_eq!(error.kind(), aqueduct_model::ErrorKind::Unavailable, "{error:?}");
            system = super::system(&database);
            system.connect().await.expect("connects");
            let from = mark.clone().expect("a mark");
            system.start(&from, &relations).await.unwrap_or_else(|error| panic!("{kind:?} {error:?}"));
            // What came before the stop may have been read by the stream that was cut.
            read.truncate(expected.len() - 1);
            let items = read_all(&mut system, false).await;
            read.extend(texts(&items));
            let last = items.iter().rev().find_map(|item| match item {
                LogItem::Rows { boundary, .. } => boundary.clone(),
                _ => None,
            });
            mark = last.or(mark);
            assert_eq!(read, expected, "{kind:?} round {round}");
        }
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn compressed_events_and_transactions() {
    let mariadb = Server::start(
        Kind::MariaDb,
        Options::new().config("log-bin-compress=ON").config("log-bin-compress-min-len=10"),
    );
    let mysql = Server::start(Kind::MySql8, Options::new().config("binlog-transaction-compression=ON"));
    for server in [&mariadb, &mysql] {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(2000))");
        let (mut system, _) = streaming(&database).await;
        database.sql(
            "INSERT INTO t VALUES (1, REPEAT('a', 1000)), (2, REPEAT('b', 1000));
             START TRANSACTION; UPDATE t SET v = CONCAT(v, 'x'); DELETE FROM t WHERE id = 1; COMMIT",
        );
        let a = "a".repeat(1_000);
        let b = "b".repeat(1_000);
        assert_eq!(
            texts(&read_all(&mut system, true).await),
            [
                format!("+t 1|{a}"),
                format!("+t 2|{b}"),
                format!("<t 1|{a}"),
                format!(">t 1|{a}x"),
                format!("<t 2|{b}"),
                format!(">t 2|{b}x"),
                format!("-t 1|{a}x"),
            ],
            "{:?}",
            server.kind()
        );
        system.close().await.expect("closes");
    }
}
