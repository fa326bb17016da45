//! Slots and publications: ours come and go, the user's stay as they are.

use super::*;
use crate::cdc::capture::is_remade;

fn names(database: &Database<'_>) -> (String, String) {
    let sql = |what: &str| {
        database.text(&format!("SELECT coalesce(string_agg(n, ',' ORDER BY n), '') FROM (SELECT {what}) s (n)"))
    };
    (
        sql("slot_name::text FROM pg_replication_slots WHERE database = current_database()"),
        sql("pubname::text FROM pg_publication"),
    )
}

fn published(database: &Database<'_>) -> String {
    database.text("SELECT coalesce(string_agg(tablename, ',' ORDER BY tablename), '') FROM pg_publication_tables")
}

#[tokio::test(flavor = "multi_thread")]
async fn case_088_ours_are_made_kept_equal_and_dropped() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
        let mut settings = settings(&database, "ours");
        settings.tables = vec!["a".to_owned()];
        let mut capture = Capture::begin(settings.clone()).await;
        let name = settings.own_name();
        assert_eq!((names(&database), published(&database)), ((name.clone(), name.clone()), "a".to_owned()));
        capture.system.close().await.expect("a close");
        settings.tables = vec!["b".to_owned()];
        let mut capture = Capture::begin(settings).await;
        assert_eq!(published(&database), "b");
        database.sql("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)");
        assert_eq!(capture.texts().await, ["b + 1"]);
        capture.end().await;
        assert_eq!(names(&database), (String::new(), String::new()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_are_used_and_left() {
    on_all(async |server| {
        let database = server.database();
        let slot = format!("users_{}", database.name());
        database.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE PUBLICATION users FOR ALL TABLES");
        database.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"));
        let settings = Settings {
            slot: Some(slot.clone()),
            publication: Some("users".to_owned()),
            ..settings(&database, "users")
        };
        let mut capture = Capture::begin(settings.clone()).await;
        // A table that the publication sends, but that is not captured yet: what was sent of it is remembered.
        database
            .sql("CREATE TABLE b (id int PRIMARY KEY, v int); INSERT INTO b VALUES (1, 1); INSERT INTO a VALUES (1)");
        assert_eq!(capture.texts().await, ["a + 1"]);
        let tables = relations(&mut capture.system).await;
        capture.system.add_table(tables[1].clone()).await.expect("another table");
        database.sql("INSERT INTO b VALUES (2, 2)");
        assert_eq!(capture.texts().await, ["b + 2|2"]);
        capture.end().await;
        assert_eq!(names(&database), (slot.clone(), "users".to_owned()));
        database.sql(&format!("SELECT pg_drop_replication_slot('{slot}')"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_that_name_that_we_made_is_dropped_with_its_publication() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TABLE a (id int PRIMARY KEY)");
    let slot = format!("named_{}", database.name());
    let settings =
        Settings { slot: Some(slot.clone()), publication: Some("P 1'x".to_owned()), ..settings(&database, "named") };
    let mut capture = Capture::begin(settings.clone()).await;
    database.sql("INSERT INTO a VALUES (1)");
    assert_eq!(capture.texts().await, ["a + 1"]);
    assert_eq!(names(&database), (slot, "P 1'x".to_owned()));
    capture.end().await;
    assert_eq!(names(&database), (String::new(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn case_017_column_lists_and_row_filters_hold_for_chunks_too() {
    on_all(async |server| {
        use crate::cdc::capture::{KeyRange, TableReader};
        let database = server.database();
        database.sql(
            "CREATE TABLE t (id int PRIMARY KEY, secret text, v int); INSERT INTO t VALUES (1, 's', 1), (2, 's', 20);
             CREATE PUBLICATION users FOR TABLE t (id, v) WHERE (id < 100 AND id <> 2)",
        );
        let settings = Settings { publication: Some("users".to_owned()), ..settings(&database, "filter") };
        let mut capture = Capture::begin(settings).await;
        database.sql("INSERT INTO t VALUES (3, 's', 3), (200, 's', 4)");
        assert_eq!(capture.texts().await, ["t + 3|3"]);
        let table = relations(&mut capture.system).await[0].clone();
        let mut reader = capture.system.reader().await.expect("a reader");
        let mut rows: Vec<arrow::array::RecordBatch> = Vec::new();
        let whole = KeyRange { after: None, up_to: None };
        reader.read_chunk(&table, &whole, &capture.begin, &mut rows).await.unwrap_or_else(|error| panic!("{error:?}"));
        let batch = Batch::inserts(table, rows.remove(0)).expect("a batch");
        assert_eq!((0..batch.num_rows()).map(|row| row_text(&batch, row)).collect::<Vec<_>>(), ["t + 1|1", "t + 3|3"]);
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_publication_left_out_is_told() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "left-out")).await;
        let tables = relations(&mut capture.system).await;
        capture.system.close().await.expect("a close");
        let own = capture.settings.own_name();
        database
            .sql(&format!("ALTER PUBLICATION {own} DROP TABLE b; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)"));
        let mut again = PostgresSystem::new(capture.settings.clone());
        again.connect().await.expect("a connection");
        again.start(&capture.begin, &tables).await.expect("a start");
        let end = again.end_of_log().await.expect("the end");
        let got = texts(&read_to(&mut again, &end, false).await);
        assert_eq!((got.len(), got[1].as_str()), (2, "a + 1"), "{got:?}");
        assert!(got[0].starts_with("b failed: the publication does not hold public.b"), "{got:?}");
        again.close().await.expect("a close");
        // A table that was made again under its name is another one: it is found by that, and published.
        database.sql("DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (2)");
        again.connect().await.expect("a connection");
        again.start(&capture.begin, &tables).await.expect("a start");
        let found = relations(&mut again).await;
        assert!(!is_remade(&tables[0], &found[0]) && is_remade(&tables[1], &found[1]));
        again.add_table(found[1].clone()).await.expect("the table");
        database.sql("INSERT INTO b VALUES (3)");
        let end = again.end_of_log().await.expect("the end");
        assert_eq!(texts(&read_to(&mut again, &end, false).await), ["a + 1", "b + 3"]);
        again.close().await.expect("a close");
        // A publication that was made again sent nothing meanwhile.
        database.sql(&format!("DROP PUBLICATION {}", capture.settings.own_name()));
        again.connect().await.expect("a connection");
        let error = again.start(&capture.begin, &tables).await.expect_err("a lost position");
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::LostPosition);
        assert!(error.to_string().contains("publication was dropped"), "{error}");
        again.close().await.expect("a close");
        capture.end().await;
    })
    .await;
}
