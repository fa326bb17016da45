//! `SQLiteInput` against real files.

use std::time::Duration;

use aqueduct_model::conformance::{SourceCase, check_source};
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, ErrorKind, PluginEntry, PollBudget, Polled, Position, Source, SourceContext,
};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::INPUT;

struct Files {
    folder: TempDir,
    db: Connection,
}

fn files(schema: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let db = Connection::open(folder.path().join("a.db")).unwrap();
    db.execute_batch(schema).unwrap();
    Files { folder, db }
}

impl Files {
    fn source(&self, mut settings: Value, resume: Option<&Position>) -> Box<dyn Source> {
        settings["path"] = self.folder.path().join("a.db").display().to_string().into();
        let mut source = build(&INPUT, &settings);
        block_on(source.open(&SourceContext::default(), resume)).unwrap();
        source
    }
}

fn build(entry: &PluginEntry, settings: &Value) -> Box<dyn Source> {
    (entry.check)(settings).unwrap();
    match entry.build {
        aqueduct_model::Build::Source { build, .. } => build(settings).unwrap(),
        _ => panic!("not a source"),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn poll(source: &mut dyn Source, max_rows: usize, until: Option<&Position>) -> Polled {
    let budget = PollBudget { max_rows, max_wait: Duration::ZERO, until: until.cloned(), ..PollBudget::default() };
    block_on(source.poll(&budget, &mut BadRows::new(BadRowPolicy::Drop, 10))).unwrap()
}

/// The first column of everything up to the next pause.
fn numbers(source: &mut dyn Source, until: Option<&Position>) -> Vec<i64> {
    let mut all = Vec::new();
    while let Polled::Batch(batch) = poll(source, 3, until) {
        all.extend(first(&batch));
    }
    all
}

fn first(batch: &Batch) -> Vec<i64> {
    batch.rows().column(0).as_primitive::<Int64Type>().values().to_vec()
}

#[test]
fn a_table_is_read_once_and_a_restart_goes_on() {
    let files = files(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c'),(5,'e'),(9,'i')",
    );
    let mut source = files.source(json!({ "table": "t" }), None);
    let Polled::Batch(batch) = poll(source.as_mut(), 3, None) else { panic!("rows") };
    assert_eq!((first(&batch), batch.relation().key_names()), (vec![1, 2, 3], vec!["id"]));
    let middle = source.position().unwrap();
    assert_eq!(numbers(source.as_mut(), None), [5, 9]);
    let end = source.position().unwrap();
    assert!(matches!(poll(source.as_mut(), 3, None), Polled::Finished));
    let mut again = files.source(json!({ "table": "t" }), Some(&middle));
    assert_eq!(numbers(again.as_mut(), Some(&end)), [5, 9]);
    assert_eq!(again.position(), Some(end));
}

#[test]
fn a_replay_ends_at_its_edge() {
    let files = files("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1),(2),(3),(4),(5)");
    let mut source = files.source(json!({ "table": "t" }), None);
    poll(source.as_mut(), 2, None);
    let edge = source.position().unwrap();
    let mut again = files.source(json!({ "table": "t" }), None);
    assert_eq!(numbers(again.as_mut(), Some(&edge)), [1, 2]);
    assert!(matches!(poll(again.as_mut(), 3, Some(&edge)), Polled::Idle));
    assert_eq!(numbers(again.as_mut(), None), [3, 4, 5]);
}

#[test]
fn tables_without_rowid_and_queries() {
    let files = files(
        "CREATE TABLE k(n INTEGER, a TEXT COLLATE NOCASE, PRIMARY KEY (a, n)) WITHOUT ROWID; \
                       INSERT INTO k VALUES (1,'b'),(2,'A'),(3,'B'),(4,'a'),(5,'c')",
    );
    assert_eq!(numbers(files.source(json!({ "table": "k" }), None).as_mut(), None), [2, 4, 1, 3, 5]);
    let query =
        json!({ "query": "SELECT n * 10 AS tens, upper(a) AS u FROM k -- all\n;", "key": ["tens"], "name": "tens" });
    let mut source = files.source(query, None);
    let Polled::Batch(batch) = poll(source.as_mut(), 10, None) else { panic!("rows") };
    assert_eq!(first(&batch), [10, 20, 30, 40, 50]);
    assert_eq!(batch.relation().name().to_string(), "tens");
    assert_eq!(batch.relation().columns().field(1).data_type(), &DataType::Utf8);
}

#[test]
fn new_rows_are_looked_for() {
    let files =
        files("CREATE TABLE t(id INTEGER PRIMARY KEY, at INTEGER); INSERT INTO t VALUES (1,10),(2,20),(3,NULL)");
    let settings = json!({ "table": "t", "incremental": { "column": "at", "poll_interval": "0ms" } });
    let mut source = files.source(settings.clone(), None);
    assert_eq!(numbers(source.as_mut(), None), [1, 2]);
    files.db.execute_batch("INSERT INTO t VALUES (4,30),(5,15)").unwrap();
    assert_eq!(numbers(source.as_mut(), None), [4], "a late one with a smaller value is not seen");
    let mut back = settings.clone();
    back["incremental"]["lookback"] = 20.into();
    let mut source = files.source(back, source.position().as_ref());
    assert_eq!(numbers(source.as_mut(), None), [] as [i64; 0]);
    assert_eq!(numbers(source.as_mut(), None), [5, 2, 4], "what lies 20 back comes again");
    let position = source.position().unwrap();
    assert_eq!(numbers(source.as_mut(), None), [5, 2, 4]);
    assert_eq!(source.position().unwrap(), position, "the position does not go back");
}

#[test]
fn the_source_keeps_its_promises() {
    let files = files("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    let numbers =
        "WITH RECURSIVE n(v) AS (VALUES (1) UNION ALL SELECT v + 1 FROM n WHERE v < 600) SELECT v * 3, v FROM n";
    files.db.execute_batch(&format!("INSERT INTO t {numbers}")).unwrap();
    let path = files.folder.path().join("a.db").display().to_string();
    for settings in [
        json!({ "path": path, "table": "t" }),
        json!({ "path": path, "query": "SELECT v, id FROM t", "key": ["id"] }),
        json!({ "path": path, "table": "t", "incremental": { "column": "id" } }),
    ] {
        let case = SourceCase::new(&settings.to_string(), {
            let settings = settings.clone();
            move || Ok(build(&INPUT, &settings))
        });
        block_on(check_source(&case)).into_result().unwrap();
    }
}

#[test]
fn mistakes_in_the_settings() {
    for (settings, setting) in [
        (json!({ "path": "a.db" }), "table"),
        (json!({ "path": "a.db", "table": "t", "query": "SELECT 1" }), "query"),
        (json!({ "path": "a.db", "query": "SELECT 1" }), "key"),
    ] {
        let error = (INPUT.check)(&settings).unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)));
    }
    let files = files("CREATE TABLE t(id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t");
    for settings in [
        json!({ "table": "none" }),
        json!({ "table": "v" }),
        json!({ "query": "SELEC 1", "key": ["a"] }),
        json!({ "query": "DELETE FROM t RETURNING id", "key": ["id"] }),
        json!({ "query": "SELECT id FROM t", "key": ["nope"] }),
        json!({ "table": "t", "incremental": { "column": "nope" } }),
    ] {
        let mut settings = settings;
        settings["path"] = files.folder.path().join("a.db").display().to_string().into();
        let mut source = build(&INPUT, &settings);
        let error = block_on(source.open(&SourceContext::default(), None)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Config | ErrorKind::Schema), "{settings}: {error:?}");
    }
}
