//! Changes of shape, in band.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn case_066_to_070_changes_of_shape_come_where_they_happened() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v text, w text)");
        let mut capture = Capture::begin(settings(&database, "ddl")).await;
        let mut session = database.connect();
        let mut step = |ddl: &str, insert: &str| session.sql(&format!("{ddl}; INSERT INTO t {insert}"));
        step("SELECT 1", "VALUES (1, 'a', 'b')");
        step("ALTER TABLE t ADD COLUMN n int DEFAULT 7", "VALUES (2, 'a', 'b', 8)");
        assert_eq!(capture.texts().await, ["t + 1|a|b", "t AddColumns([\"n\"])", "t + 2|a|b|8"]);
        step("ALTER TABLE t DROP COLUMN v", "VALUES (3, 'b', 9)");
        assert_eq!(capture.texts().await, ["t DropColumns([\"v\"])", "t + 3|b|9"]);
        step("ALTER TABLE t RENAME COLUMN w TO x", "VALUES (4, 'b', 9)");
        assert_eq!(capture.texts().await, ["t RenameColumn { from: \"w\", to: \"x\" }", "t + 4|b|9"]);
        step("ALTER TABLE t ALTER n TYPE bigint", "VALUES (5, 'b', 10000000000)");
        assert_eq!(capture.texts().await, ["t AlterColumns([\"n\"])", "t + 5|b|10000000000"]);
        step("BEGIN; INSERT INTO t VALUES (6, 'b', 1); ALTER TABLE t ADD COLUMN y text", "VALUES (7, 'b', 1, 'y'); COMMIT");
        assert_eq!(capture.texts().await, ["t + 6|b|1", "t AddColumns([\"y\"])", "t + 7|b|1|y"]);
        step("ALTER TABLE t RENAME COLUMN x TO z; ALTER TABLE t RENAME COLUMN y TO x; ALTER TABLE t RENAME COLUMN z TO y", "VALUES (8, 'y', 1, 'x')");
        let swapped = capture.texts().await;
        assert_eq!((swapped.len(), swapped[3].as_str()), (4, "t + 8|y|1|x"), "{swapped:?}");
        step("ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (id, y)", "VALUES (9, 'k', 1, 'x')");
        let texts = capture.texts().await;
        assert_eq!(texts.last().map(String::as_str), Some("t + 9|k|1|x"));
        assert!(texts[0].starts_with("t AlterColumns"), "{texts:?}");
        step("ALTER TABLE t REPLICA IDENTITY FULL", "VALUES (10, 'k', 1, 'x'); UPDATE t SET n = 2 WHERE id = 10");
        assert_eq!(capture.texts().await, ["t + 10|k|1|x", "t < 10|k|1|x", "t > 10|k|2|x"]);
        database.sql("ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (11, 'k', 1, 'x')");
        let texts = capture.texts().await;
        assert_eq!(texts.last().map(String::as_str), Some("u + 11|k|1|x"));
        assert!(texts[0].starts_with("u RenameTable"), "{texts:?}");
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_says_whether_its_rows_were_filled() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY)");
        let mut capture = Capture::begin(settings(&database, "filled")).await;
        for (id, (column, is_filled)) in
            [("a int DEFAULT 5", true), ("b int", false), ("c timestamptz DEFAULT now()", true), ("d serial", true)]
                .iter()
                .enumerate()
        {
            database.sql(&format!("ALTER TABLE t ADD COLUMN {column}; INSERT INTO t (id) VALUES ({id})"));
            let items = capture.read().await;
            let change = items.iter().find_map(|item| match item {
                LogItem::Schema { change, .. } => Some(change.clone()),
                _ => None,
            });
            let change = change.expect("a change");
            let added = change.relation.columns().fields().last().expect("a column");
            assert_eq!(added.metadata().contains_key(crate::cdc::capture::BACKFILLED), *is_filled, "{column}");
        }
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_072_far_behind_several_changes_rows_have_the_shape_of_their_time() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, v text)");
        let mut capture = Capture::begin(settings(&database, "behind")).await;
        let tables = relations(&mut capture.system).await;
        capture.system.close().await.expect("a close");
        database.sql(
            "INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD COLUMN n int; INSERT INTO t VALUES (2, 'b', 2);
             ALTER TABLE t DROP COLUMN v; INSERT INTO t VALUES (3, 3); ALTER TABLE t RENAME COLUMN n TO m;
             INSERT INTO t VALUES (4, 4); ALTER TABLE t ALTER m TYPE text; INSERT INTO t VALUES (5, 'five')",
        );
        let mut again = PostgresSystem::new(capture.settings.clone());
        again.connect().await.expect("a connection");
        again.start(&capture.begin, &tables).await.expect("a start");
        let end = again.end_of_log().await.expect("the end");
        let texts = texts(&read_to(&mut again, &end, false).await);
        let rows: Vec<&str> = texts.iter().filter(|text| text.starts_with("t +")).map(String::as_str).collect();
        assert_eq!(rows, ["t + 1|a", "t + 2|b|2", "t + 3|3", "t + 4|4", "t + 5|five"], "{texts:?}");
        again.close().await.expect("a close");
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_068_names_swapped_and_swapped_back_while_nobody_read() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE t (id int PRIMARY KEY, b text, c text)");
        let mut capture = Capture::begin(settings(&database, "swapped")).await;
        let tables = relations(&mut capture.system).await;
        capture.system.close().await.expect("a close");
        let swap =
            "BEGIN; ALTER TABLE t RENAME b TO x; ALTER TABLE t RENAME c TO b; ALTER TABLE t RENAME x TO c; COMMIT";
        for sql in [
            "INSERT INTO t VALUES (1, 'b', 'c')",
            swap,
            "INSERT INTO t VALUES (2, 'c', 'b')",
            swap,
            "INSERT INTO t VALUES (3, 'b', 'c')",
        ] {
            database.sql(sql);
        }
        let mut again = PostgresSystem::new(capture.settings.clone());
        again.connect().await.expect("a connection");
        again.start(&capture.begin, &tables).await.expect("a start");
        let end = again.end_of_log().await.expect("the end");
        let items = read_to(&mut again, &end, false).await;
        // Which column is which cannot be told any more: each time the rows are read again.
        let added = items.iter().filter_map(|item| match item {
            LogItem::Schema { change, .. } if matches!(change.change, aqueduct_model::Change::AddColumns(_)) => {
                Some(change.relation.clone())
            }
            _ => None,
        });
        let is_marked = |relation: &Relation| {
            relation
                .columns()
                .fields()
                .iter()
                .any(|field| field.metadata().contains_key(crate::cdc::capture::BACKFILLED))
        };
        assert_eq!(added.filter(|relation| is_marked(relation)).count(), 2, "{:?}", texts(&items));
        let texts = texts(&items);
        let rows: Vec<&str> = texts.iter().filter(|text| text.starts_with("t +")).map(String::as_str).collect();
        assert_eq!(rows, ["t + 1|b|c", "t + 2|c|b", "t + 3|b|c"], "{texts:?}");
        again.close().await.expect("a close");
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_070_tables_that_swap_their_names_or_are_made_anew() {
    on_all(async |server| {
        let database = server.database();
        database.sql("CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, n int); CREATE PUBLICATION everything FOR ALL TABLES");
        let settings = Settings { publication: Some("everything".to_owned()), ..settings(&database, "anew") };
        let mut capture = Capture::begin(settings).await;
        let tables = relations(&mut capture.system).await;
        for sql in [
            "INSERT INTO a VALUES (1, 'a')",
            "BEGIN; ALTER TABLE a RENAME TO tmp; ALTER TABLE b RENAME TO a; ALTER TABLE tmp RENAME TO b; COMMIT",
            "INSERT INTO a VALUES (2, 2)",
            "INSERT INTO b VALUES (2, 'b')",
            "DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, x text, y int); INSERT INTO a VALUES (7, 'x', 8)",
        ] {
            database.sql(sql);
        }
        // Once as it happens, once when the catalogs are ahead by all of it.
        for is_behind in [false, true] {
            if is_behind {
                capture.system.start(&capture.begin, &tables).await.expect("a start");
            }
            let texts = capture.texts().await;
            let texts: Vec<&str> = texts.iter().map(|text| text.split(" {").next().unwrap_or_default()).collect();
            assert_eq!(
                texts,
                [
                    "a + 1|a",
                    "b_renamed RenameTable",
                    "a RenameTable",
                    "b RenameTable",
                    "a + 2|2",
                    "b + 2|b",
                    "a CreateTable",
                    "a + 7|x|8"
                ]
            );
        }
        capture.end().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn case_045_new_members_of_an_enum() {
    let database = shared(Kind::Postgres15).database();
    database.sql("CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, e e)");
    let mut capture = Capture::begin(settings(&database, "enum")).await;
    for sql in
        ["INSERT INTO t VALUES (1, 'a')", "ALTER TYPE e ADD VALUE 'b' BEFORE 'a'", "INSERT INTO t VALUES (2, 'b')"]
    {
        database.sql(sql);
    }
    assert_eq!(capture.texts().await, ["t + 1|a", "t + 2|b"]);
    capture.end().await;
}
