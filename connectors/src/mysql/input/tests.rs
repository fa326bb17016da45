//! `MySQLInput` against real servers.

use std::time::Duration;

use aqueduct_model::conformance::{SourceCase, batch_texts, check_source};
use aqueduct_model::{
    BadRowPolicy, BadRows, ErrorKind, PluginEntry, PollBudget, Polled, Position, Replay, Source, SourceContext,
};
use aqueduct_test_servers::{Database, Kind, shared};
use serde_json::{Value, json};

use super::INPUT;

const SERVERS: [Kind; 2] = [Kind::MariaDb, Kind::MySql8];

fn build(entry: &PluginEntry, settings: &Value) -> Box<dyn Source> {
    (entry.check)(settings).unwrap();
    match entry.build {
        aqueduct_model::Build::Source { build, .. } => build(settings).unwrap(),
        _ => panic!("not a source"),
    }
}

fn settings(database: &Database<'_>, mut settings: Value) -> Value {
    settings["url"] = database.url("cdc").into();
    settings
}

async fn opened(database: &Database<'_>, given: Value, resume: Option<&Position>) -> Box<dyn Source> {
    let mut source = build(&INPUT, &settings(database, given));
    source.open(&SourceContext::default(), resume).await.unwrap();
    source
}

/// Everything up to the next pause or the end.
async fn rows(source: &mut dyn Source, max_rows: usize, until: Option<&Position>) -> Vec<String> {
    let budget = PollBudget { max_rows, max_wait: Duration::ZERO, until: until.cloned(), ..PollBudget::default() };
    let mut bad = BadRows::new(BadRowPolicy::Fail, 10);
    let mut all = Vec::new();
    while let Polled::Batch(batch) = source.poll(&budget, &mut bad).await.unwrap() {
        assert!(batch.num_rows() <= max_rows);
        all.extend(batch_texts(&batch).unwrap());
    }
    all
}

#[tokio::test]
async fn the_source_keeps_its_promises() {
    for server in SERVERS {
        let database = shared(server).database();
        database.sql(
            "CREATE TABLE t (id INT, k VARCHAR(9), v DOUBLE, PRIMARY KEY (k, id)); \
             INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) \
             SELECT i, CONCAT('K', i % 7), i / 3 FROM n",
        );
        for (given, replay) in [
            (json!({ "table": "t" }), Replay::Exact),
            (json!({ "table": "t", "fetch_rows": 50 }), Replay::Exact),
            (json!({ "query": "SELECT v, id FROM t -- all\n;", "key": ["id"], "fetch_rows": 100 }), Replay::Exact),
            (json!({ "table": "t", "incremental": { "column": "id" }, "fetch_rows": 64 }), Replay::Exact),
            (
                json!({ "table": "t", "incremental": { "column": "v", "from": "12.5" }, "poll_interval": "1ms" }),
                Replay::Exact,
            ),
            (json!({ "query": "SELECT id FROM t", "unordered": true }), Replay::Overlap),
        ] {
            let given = settings(&database, given);
            let name = format!("{server:?} {given}");
            let mut case = SourceCase::new(&name, move || Ok(build(&INPUT, &given)));
            case.replay = replay;
            case.positions_max = 12;
            check_source(&case).await.into_result().unwrap();
        }
    }
}

#[tokio::test]
async fn a_restart_goes_on_behind_the_last_row() {
    let database = shared(Kind::MariaDb).database();
    database.sql(
        "CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY); INSERT INTO t VALUES (1),(2),(3),(5),(18446744073709551615)",
    );
    let name = database.name().to_owned();
    let text = |id: &str| format!("{name}.t insert {id}");
    let mut source = opened(&database, json!({ "table": "t", "fetch_rows": 2 }), None).await;
    let budget = PollBudget { max_rows: 3, ..PollBudget::default() };
    let mut bad = BadRows::new(BadRowPolicy::Fail, 10);
    let Polled::Batch(first) = source.poll(&budget, &mut bad).await.unwrap() else { panic!("rows") };
    assert_eq!(batch_texts(&first).unwrap(), [text("1"), text("2")], "a chunk ends a batch");
    let position = source.position().unwrap();
    database.sql("INSERT INTO t VALUES (4); DELETE FROM t WHERE id = 5");
    let mut again = opened(&database, json!({ "table": "t" }), Some(&position)).await;
    assert_eq!(rows(again.as_mut(), 10, None).await, [text("3"), text("4"), text("18446744073709551615")]);
    let end = again.position().unwrap();
    let mut over = opened(&database, json!({ "table": "t" }), Some(&end)).await;
    assert_eq!(rows(over.as_mut(), 10, None).await, [] as [String; 0]);
}

#[tokio::test]
async fn new_rows_are_looked_for() {
    for server in SERVERS {
        let database = shared(server).database();
        database.sql(
            "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME(6)); INSERT INTO t VALUES \
             (1,'2024-01-01 00:00:10'),(2,'2024-01-01 00:00:20'),(3,NULL),(4,'2024-01-01 00:00:20'),(9,'2023-01-01')",
        );
        let name = database.name().to_owned();
        let text = |row: &str| format!("{name}.t insert {row}");
        let given =
            json!({ "table": "t", "poll_interval": "0ms", "incremental": { "column": "at", "from": "2024-01-01" } });
        let mut source = opened(&database, given.clone(), None).await;
        let first = [text("1|2024-01-01T00:00:10"), text("2|2024-01-01T00:00:20"), text("4|2024-01-01T00:00:20")];
        assert_eq!(rows(source.as_mut(), 10, None).await, first);
        database
            .sql("INSERT INTO t VALUES (5,'2024-01-01 00:00:20'),(6,'2024-01-01 00:00:15'),(0,'2024-01-01 00:00:30')");
        let later = [text("5|2024-01-01T00:00:20"), text("0|2024-01-01T00:00:30")];
        assert_eq!(rows(source.as_mut(), 10, None).await, later, "ties go on behind the last key");
        let position = source.position().unwrap();

        let mut back = given;
        back["incremental"]["lookback"] = 16.into();
        let mut source = opened(&database, back, Some(&position)).await;
        let again = [
            text("6|2024-01-01T00:00:15"),
            text("2|2024-01-01T00:00:20"),
            text("4|2024-01-01T00:00:20"),
            text("5|2024-01-01T00:00:20"),
            text("0|2024-01-01T00:00:30"),
        ];
        assert_eq!(rows(source.as_mut(), 2, None).await, again, "what lies 16 seconds back comes again");
        assert_eq!(source.position().unwrap(), position, "the position does not go back");
        assert_eq!(rows(source.as_mut(), 2, None).await, again);
        database.sql("INSERT INTO t VALUES (7,'2024-01-01 00:01:00')");
        assert_eq!(rows(source.as_mut(), 10, None).await.last(), Some(&text("7|2024-01-01T00:01:00")));
        assert_ne!(source.position().unwrap(), position);
    }
}

#[tokio::test]
async fn columns_of_a_query_have_their_types() {
    for server in SERVERS {
        let database = shared(server).database();
        database.sql(
            "CREATE TABLE t (id INT UNSIGNED PRIMARY KEY, d DECIMAL(20,4), t TIME(2), e ENUM('a','b'), b BIT(3), y YEAR, \
             x VARBINARY(5), s TIMESTAMP(3) NULL, m MEDIUMINT, f FLOAT); \
             SET time_zone='+00:00'; \
             INSERT INTO t VALUES (1, -1.5, '01:02:03.25', 'b', 5, 2024, x'00FF', '2024-05-06 07:08:09.123', -1, 1.5)",
        );
        let query = "SELECT t.*, SUM(d) OVER () AS total, id + 1 AS next, 'x' AS text, 1.50 AS fixed FROM t";
        let mut source = opened(&database, json!({ "query": query, "key": ["id"], "name": "q" }), None).await;
        let read = rows(source.as_mut(), 10, None).await;
        let expected = "q insert 1|-1.5000|PT3723.25S|b|5|2024|00ff|2024-05-06T07:08:09.123Z|-1|1.5|-1.5000|2|x|1.50";
        assert_eq!(read, [expected], "{server:?}");
        database.sql("CREATE VIEW w AS SELECT id, e FROM t");
        let mut view = opened(&database, json!({ "table": "w", "key": ["e", "id"] }), None).await;
        assert_eq!(rows(view.as_mut(), 10, None).await, [format!("{}.w insert 1|b", database.name())]);
    }
}

#[tokio::test]
async fn a_server_that_goes_away_is_no_end() {
    let database = shared(Kind::MariaDb).database();
    database.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, v TEXT); INSERT INTO t SELECT seq, REPEAT('x', 5000) FROM seq_1_to_5000",
    );
    let mut source = opened(&database, json!({ "table": "t" }), None).await;
    let budget = PollBudget { max_rows: 10, ..PollBudget::default() };
    let mut bad = BadRows::new(BadRowPolicy::Fail, 10);
    let Polled::Batch(_) = source.poll(&budget, &mut bad).await.unwrap() else { panic!("rows") };
    let session =
        database.number("SELECT id FROM information_schema.processlist WHERE user = 'cdc' AND db = DATABASE()");
    database.sql(&format!("KILL {session}"));
    let error = loop {
        match source.poll(&budget, &mut bad).await {
            Ok(Polled::Batch(_)) => {}
            Ok(other) => panic!("the rest was not read, but {other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    let position = source.position().unwrap();
    source.close().await.unwrap();
    let last = position.offset("").unwrap()["after"][0].as_u64().unwrap();
    let mut again = opened(&database, json!({ "table": "t" }), Some(&position)).await;
    assert_eq!(rows(again.as_mut(), 1_000, None).await.len() as u64, 5_000 - last);
}

#[tokio::test]
async fn mistakes_in_the_settings() {
    for (given, setting) in [
        (json!({}), "table"),
        (json!({ "table": "t", "query": "SELECT 1" }), "query"),
        (json!({ "query": "SELECT 1" }), "key"),
        (json!({ "table": "t", "unordered": true, "key": ["a"] }), "unordered"),
        (json!({ "table": "t", "poll_interval": "1s" }), "poll_interval"),
        (json!({ "table": "t", "url": "http://x" }), "url"),
        (json!({ "table": "t", "tls_cert": "a.pem" }), "tls_key"),
    ] {
        let mut given = given;
        if given["url"].is_null() {
            given["url"] = "mysql://u@h/d".into();
        }
        let error = (INPUT.check)(&given).expect_err(&given.to_string());
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)), "{given}");
    }
    let database = shared(Kind::MariaDb).database();
    database.sql("CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE bare (v INT); CREATE VIEW w AS SELECT id FROM t");
    for (given, setting) in [
        (json!({ "table": "none" }), "table"),
        (json!({ "table": "w" }), "key"),
        (json!({ "table": "bare" }), "key"),
        (json!({ "table": "t", "key": ["nope"] }), "key"),
        (json!({ "query": "SELEC 1", "unordered": true }), "query"),
        (json!({ "query": "SELECT 1 AS a, 2 AS a", "unordered": true }), "query"),
        (json!({ "query": "SELECT * FROM none", "unordered": true }), "query"),
        (json!({ "table": "t", "incremental": { "column": "nope" } }), "incremental.column"),
        (json!({ "table": "t", "incremental": { "column": "id", "from": "x" } }), "incremental.from"),
    ] {
        let mut source = build(&INPUT, &settings(&database, given.clone()));
        let error = source.open(&SourceContext::default(), None).await.expect_err(&given.to_string());
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)), "{given}: {error:?}");
        source.close().await.unwrap();
    }
}
