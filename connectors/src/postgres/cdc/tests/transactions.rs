//! Transactions: whole, split, streamed, rolled back, prepared.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn case_050_051_transactions_and_what_was_rolled_back() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "transactions")).await;
        database.sql("BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO a VALUES (2); COMMIT");
        database.sql("BEGIN; INSERT INTO a VALUES (3); ROLLBACK");
        database.sql("BEGIN; INSERT INTO a VALUES (4); SAVEPOINT s; INSERT INTO a VALUES (5); ROLLBACK TO s; COMMIT");
        database.sql("SELECT pg_logical_emit_message(true, 'x', 'y'); SELECT pg_logical_emit_message(false, 'x', 'y')");
        assert_eq!(capture.texts().await, ["a + 1", "a + 2", "a + 4", "b + 1"]);
        database.sql("TRUNCATE a, b; INSERT INTO a VALUES (6)");
        let mut texts = capture.texts().await;
        texts[..2].sort();
        assert_eq!(texts, ["a Truncate", "b Truncate", "a + 6"]);
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_hands_out_one_transaction_at_a_time() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut capture = Capture::begin(settings(&database, "single")).await;
    let mut expected = Vec::new();
    for id in 0..5 {
        database.sql(&format!("INSERT INTO t VALUES ({id}), ({})", id + 100));
        expected.push(2);
    }
    let end = capture.system.end_of_log().await.expect("the end");
    let items = read_to(&mut capture.system, &end, true).await;
    let sizes: Vec<usize> = batches(&items).map(Batch::num_rows).collect();
    assert_eq!(sizes, expected);
    capture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_054_large_transactions_are_streamed_and_spooled() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Some(folder.path().join("spool"));
        let mut capture = Capture::begin(Settings { spool, ..settings(&database, "streamed") }).await;
        let mut session = database.connect();
        session.sql("BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i");
        session.sql(
            "SAVEPOINT a; INSERT INTO t SELECT i, 'rolled back' FROM generate_series(100000, 130000) i; ROLLBACK TO a",
        );
        session.sql("SAVEPOINT b; INSERT INTO t SELECT i, 'kept' FROM generate_series(200000, 220000) i; RELEASE b");
        // Another one commits in between, and a third is rolled back as a whole.
        database.sql("INSERT INTO t VALUES (-1, 'short')");
        database.sql("BEGIN; INSERT INTO t SELECT i, 'all gone' FROM generate_series(300000, 330000) i; ROLLBACK");
        let items = capture.read().await;
        assert_eq!(texts(&items), ["t + -1|short"]);
        let before = items.iter().filter_map(boundary).next_back().expect("a boundary").clone();
        session.sql("COMMIT");
        let items = capture.read().await;
        let rows: usize = batches(&items).map(Batch::num_rows).sum();
        assert_eq!(rows, 30_000 + 20_001);
        let all = texts(&items);
        assert!(!all.iter().any(|text| text.contains("rolled back") || text.contains("all gone")));
        assert!(batches(&items).all(|batch| batch.num_rows() <= 8_192), "bounded batches");
        let boundaries: Vec<bool> = items
            .iter()
            .filter(|item| !matches!(item, LogItem::Quiet(_)))
            .map(|item| boundary(item).is_some())
            .collect();
        assert_eq!(boundaries.iter().filter(|is_there| **is_there).count(), 1, "only the last part has a boundary");
        assert_eq!(boundaries.last(), Some(&true));
        // From before the commit it comes again, whole.
        let tables = relations(&mut capture.system).await;
        capture.system.start(&before, &tables).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(texts(&capture.read().await), all);
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_transactions_without_a_spool_come_in_parts() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let mut capture = Capture::begin(settings(&database, "parts")).await;
    database.sql("INSERT INTO t SELECT * FROM generate_series(1, 20000)");
    let items = capture.read().await;
    let sizes: Vec<(usize, bool)> = items
        .iter()
        .filter_map(|item| match item {
            LogItem::Rows { batches, boundary, .. } => {
                Some((batches.iter().map(Batch::num_rows).sum(), boundary.is_some()))
            }
            _ => None,
        })
        .collect();
    assert_eq!(sizes.iter().map(|(rows, _)| rows).sum::<usize>(), 20_000);
    assert!(sizes.len() >= 3 && sizes.iter().all(|(rows, _)| *rows <= 8_192), "{sizes:?}");
    let (last, before) = sizes.split_last().expect("parts");
    assert!(last.1 && before.iter().all(|(_, is_end)| !is_end), "{sizes:?}");
    capture.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_056_prepared_transactions_come_when_they_commit() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "prepared")).await;
        let name = database.name().to_owned();
        let mut session = database.connect();
        session.sql(&format!("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION '{name}a'"));
        session.sql(&format!("BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION '{name}b'"));
        database.sql("INSERT INTO t VALUES (3)");
        assert_eq!(capture.texts().await, ["t + 3"]);
        session.sql(&format!("COMMIT PREPARED '{name}a'"));
        session.sql(&format!("ROLLBACK PREPARED '{name}b'"));
        assert_eq!(capture.texts().await, ["t + 1"]);
        capture.end().await;
    })
    .await;
}
