//! XA, tables without transactions, and what is logged as a statement.

use aqueduct_test_servers::Options;

use super::*;

#[tokio::test]
async fn xa_rows_come_with_their_commit() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let (mut system, start) = streaming(&database).await;
        let relations = relations(&mut system).await;
        let xid = |n: u32| format!("'{}-{n}'", database.name());
        let mut session = database.connect();
        session.sql(&format!("XA START {0}; INSERT INTO t VALUES (1),(2); XA END {0}; XA PREPARE {0}", xid(1)));
        drop(session);
        let mut session = database.connect();
        session.sql(&format!("XA START {0}; INSERT INTO t VALUES (5); XA END {0}; XA PREPARE {0}", xid(2)));
        drop(session);
        database.sql("INSERT INTO t VALUES (3)");
        let before = read_all(&mut system, true).await;
        assert_eq!(texts(&before), ["+t 3"], "{kind:?}");
        let Some(LogItem::Rows { boundary: Some(boundary), .. }) = before.last() else { panic!("{before:?}") };
        assert_eq!(boundary.prepared.len(), 2, "{boundary:?}");
        let mut session = database.connect();
        session.sql(&format!("XA COMMIT {}; XA ROLLBACK {}", xid(1), xid(2)));
        session.sql(&format!("XA START {0}; INSERT INTO t VALUES (4); XA END {0}; XA COMMIT {0} ONE PHASE", xid(3)));
        let end = system.end_of_log().await.expect("the end");
        let after = texts(&read_to(&mut system, &end, true).await);
        assert_eq!(after, ["+t 1", "+t 2", "+t 4"], "{kind:?}");
        // A restart between prepare and commit reads the rows again.
        let mut second = super::system(&database);
        second.connect().await.expect("connects");
        second.start(boundary, &relations).await.unwrap_or_else(|error| panic!("{kind:?} {error:?}"));
        assert_eq!(texts(&read_to(&mut second, &end, true).await), after, "{kind:?}");
        // And from before everything.
        second.start(&start, &relations).await.expect("starts");
        assert_eq!(texts(&read_to(&mut second, &end, true).await), ["+t 3", "+t 1", "+t 2", "+t 4"], "{kind:?}");
        second.close().await.expect("closes");
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn rows_of_tables_without_transactions_stay() {
    // MySQL refuses such transactions where there are GTIDs.
    let mysql =
        Server::start(Kind::MySql8, Options::new().config("gtid-mode=OFF").config("enforce-gtid-consistency=OFF"));
    for server in [server(Kind::MariaDb), &mysql] {
        let kind = server.kind();
        let database = server.database();
        database.sql(
            "CREATE TABLE i (id int PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM",
        );
        let (mut system, _) = streaming(&database).await;
        database.sql(
            "START TRANSACTION; INSERT INTO i VALUES (1); INSERT INTO m VALUES (1); INSERT INTO i VALUES (2); ROLLBACK;
             START TRANSACTION; INSERT INTO m VALUES (2); SAVEPOINT s; INSERT INTO i VALUES (3); INSERT INTO m VALUES (3);
             ROLLBACK TO s; INSERT INTO i VALUES (4); COMMIT",
        );
        let mut read = texts(&read_all(&mut system, false).await);
        read.sort();
        assert_eq!(read, ["+i 4", "+m 1", "+m 2", "+m 3"], "{kind:?}");
        assert_eq!(database.text("SELECT id FROM i"), "4");
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn a_change_logged_as_a_statement_is_an_error() {
    for kind in KINDS {
        let database = server(kind).database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))");
        let (mut system, _) = streaming(&database).await;
        database.sql("SET SESSION binlog_format='STATEMENT'; INSERT INTO t VALUES (1,'hunter2')");
        let end = system.end_of_log().await.expect("the end");
        let error = try_read_to(&mut system, &end, false).await.expect_err("must not be passed over");
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::Data);
        assert!(error.to_string().contains("INSERT") && error.to_string().contains("binlog.0"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("SET GLOBAL binlog_format='ROW'")), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        system.close().await.expect("closes");
    }
}

#[tokio::test]
async fn rows_larger_than_a_packet() {
    // A packet ends at 16 MiB - 1 byte; an event has some bytes beside its row.
    const PACKET: usize = (16 << 20) - 1;
    let sizes = [PACKET - 200, PACKET - 60, PACKET - 1, PACKET, PACKET + 1, 17_000_000, 40_000_000];
    for kind in KINDS {
        let server = Server::start(kind, Options::new().config("max-allowed-packet=256M"));
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v longblob)");
        let (mut system, _) = streaming(&database).await;
        for (id, size) in sizes.iter().enumerate() {
            database.sql(&format!("INSERT INTO t VALUES ({id}, REPEAT('x', {size}))"));
        }
        let mut read = Vec::new();
        for item in read_all(&mut system, true).await {
            let LogItem::Rows { batches, .. } = item else { continue };
            for batch in batches {
                use arrow::array::AsArray;
                let values = batch.rows().column(1).as_binary::<i32>().clone();
                read.extend(values.iter().map(|value| value.map_or(0, <[u8]>::len)));
            }
        }
        assert_eq!(read, sizes, "{kind:?}");
        system.close().await.expect("closes");
    }
}
