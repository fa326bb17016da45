use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aqueduct_model::{
    BadRow, Batch, Build, Change, ChangeSupport, Error, ErrorKind, InputPort, Operator, OperatorContext, Output,
    OutputPort, Relation, RelationName, Result, SchemaChange,
};
use aqueduct_test_servers::{Kind, shared};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use super::operator::Lookup;
use super::table::{LookupTable, Question};

#[derive(Default)]
struct Memory {
    batches: Vec<Batch>,
    changes: Vec<SchemaChange>,
    bad: Vec<BadRow>,
}

#[async_trait]
impl Output for Memory {
    async fn emit(&mut self, _port: OutputPort, batch: Batch) -> Result<()> {
        self.batches.push(batch);
        Ok(())
    }

    async fn announce(&mut self, _port: OutputPort, change: SchemaChange) -> Result<()> {
        self.changes.push(change);
        Ok(())
    }

    fn reject(&mut self, row: BadRow) -> Result<()> {
        self.bad.push(row);
        Ok(())
    }
}

impl Memory {
    /// Every row as texts.
    fn rows(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for batch in &self.batches {
            let texts: Vec<ArrayRef> =
                batch.rows().columns().iter().map(|cells| cast(cells, &DataType::Utf8).unwrap()).collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                let cell = |text: &ArrayRef| {
                    if text.is_null(row) { "-".to_owned() } else { text.as_string::<i32>().value(row).to_owned() }
                };
                texts.iter().map(cell).collect::<Vec<_>>().join("|")
            }));
        }
        rows
    }
}

fn build(config: &Value) -> Result<Box<dyn Operator>> {
    (ENTRY.check)(config)?;
    match ENTRY.build {
        Build::Operator { build } => build(config),
        _ => panic!("not an operator"),
    }
}

/// Orders with a number, a customer's number and a code.
fn orders(rows: &[(i64, Option<i64>, &str)]) -> Batch {
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))), false),
        ("customer", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()), true),
        ("code", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))), true),
    ];
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let relation = Relation::new(RelationName::table("orders"), rows.schema(), &["id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

async fn run(config: &Value, batches: &[Batch]) -> Result<Memory> {
    let (mut lookup, mut out) = (build(config)?, Memory::default());
    lookup.open(&OperatorContext::default(), None).await?;
    for batch in batches {
        lookup.process(InputPort(0), batch.clone(), &mut out).await?;
    }
    lookup.finish(&mut out).await?;
    Ok(out)
}

fn refusal<T>(result: Result<T>) -> String {
    format!("{:?}", result.err().expect("this must be refused"))
}

const TABLE: &str = "CREATE TABLE customers (id int, code varchar(9), name varchar(20), since date, score decimal(9,2)); \
     INSERT INTO customers VALUES (1,'a','Ann','2024-02-29',1.50), (2,'A','Bob',NULL,NULL), (3,'x','one',NULL,NULL), \
     (3,'y','two',NULL,NULL)";

/// What every system gives.
async fn check_system(system: &str, database: Value) {
    let config = |more: Value| {
        let mut config =
            json!({"database": { system: database.clone() }, "on": [{"customer": "id"}], "columns": ["name"]});
        more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        config
    };
    let input = [orders(&[(1, Some(1), "a"), (2, None, "a"), (3, Some(9), "a"), (4, Some(2), "A"), (5, Some(1), "b")])];
    let out = run(&config(json!({})), &input).await.unwrap();
    let expected = ["1|1|a|Ann", "2|-|a|-", "3|9|a|-", "4|2|A|Bob", "5|1|b|Ann"];
    assert_eq!((out.rows(), out.bad.len()), (expected.map(str::to_owned).to_vec(), 0), "{system}");
    let out = run(&config(json!({"on_missing": "drop", "cache": "0B"})), &input).await.unwrap();
    assert_eq!(out.rows(), ["1|1|a|Ann", "4|2|A|Bob", "5|1|b|Ann"], "{system}");
    let odd = [orders(&[(1, Some(5_000_000_000), "a"), (2, Some(3), "x")])];
    let out = run(&config(json!({"on_missing": "reject"})), &odd).await.unwrap();
    let reasons: Vec<&str> = out.bad.iter().map(|bad| bad.reasons[0].as_str()).collect();
    let told =
        ["the looked-up table has no row for customer", "the looked-up table has more than one row for customer"];
    assert_eq!(reasons, told, "{system}");
    // Two columns, others wanted; as the collation may say that `a` is `A`, keys are compared here.
    let both = json!({"on": [{"customer": "id"}, "code"], "columns": [{"name": "who"}, "since", "score"]});
    let input = [orders(&[
        (1, Some(1), "a"),
        (2, Some(1), "A"),
        (3, Some(2), "A"),
        (4, Some(3), "y"),
        (5, Some(3), "it's \\"),
    ])];
    let out = run(&config(both), &input).await.unwrap();
    let rows = ["1|1|a|Ann|2024-02-29|1.50", "2|1|A|-|-|-", "3|2|A|Bob|-|-", "4|3|y|two|-|-", "5|3|it's \\|-|-|-"];
    assert_eq!(out.rows(), rows, "{system}");
    // By text, and more keys than one question takes.
    let many: Vec<(i64, Option<i64>, String)> = (0..1_500).map(|i| (i, Some(1), format!("k{i}"))).collect();
    let many: Vec<_> = many.iter().map(|(id, customer, code)| (*id, *customer, code.as_str())).collect();
    let many = [orders(&many), orders(&[(1, None, "a")])];
    let out = run(&config(json!({"on": ["code"], "on_missing": "drop"})), &many).await.unwrap();
    assert_eq!(out.rows(), ["1|-|a|Ann"], "{system}");
    let mut query = database.clone();
    query.as_object_mut().unwrap().remove("table");
    query["query"] = "SELECT id, name FROM customers WHERE id < 2 -- all;".into();
    let asked = json!({"database": { system: query }});
    let out = run(&config(asked), &[orders(&[(1, Some(1), "a"), (2, Some(2), "a")])]).await.unwrap();
    assert_eq!(out.rows(), ["1|1|a|Ann", "2|2|a|-"], "{system}");
    let got = refusal(run(&config(json!({"columns": ["nam"]})), &[]).await);
    assert!(got.contains("has no column nam") && got.contains("setting columns"), "{system}: {got}");
    let got = refusal(run(&config(json!({"on": [{"customer": "since"}]})), &[orders(&[(1, Some(1), "a")])]).await);
    assert!(got.contains("setting on"), "{system}: {got}");
    let mut gone = database.clone();
    gone["table"] = "no_such_table".into();
    let got = refusal(run(&config(json!({"database": { system: gone }})), &[]).await);
    assert!(
        got.contains(&format!("setting database.{system}.table")) && got.contains("config error"),
        "{system}: {got}"
    );
}

#[tokio::test]
async fn rows_are_found_in_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(TABLE).unwrap();
    check_system("sqlite", json!({"path": path, "table": "customers", "dates": "parse"})).await;
    let path = folder.path().join("shop.duckdb");
    duckdb::Connection::open(&path).unwrap().execute_batch(TABLE).unwrap();
    check_system("duckdb", json!({"path": path, "table": "customers"})).await;
    let missing = json!({"database": {"duckdb": {"path": folder.path().join("no.duckdb"), "table": "t"}}, "on": ["id"], "columns": ["x"]});
    let got = refusal(run(&missing, &[]).await);
    assert!(got.contains("there is no database file") && got.contains("setting database.duckdb.path"), "{got}");
    assert!(!folder.path().join("no.duckdb").exists());
}

#[tokio::test]
async fn rows_are_found_on_servers() {
    for (system, kind) in [
        ("mysql", Kind::MariaDb),
        ("mysql", Kind::MySql8),
        ("postgres", Kind::Postgres15),
        ("postgres", Kind::Postgres18),
    ] {
        let database = shared(kind).database();
        database.sql(TABLE);
        check_system(system, json!({"url": database.url("cdc"), "table": "customers"})).await;
    }
}

#[tokio::test]
async fn a_session_that_was_cut_is_made_anew() {
    for (system, kind, cut) in [
        (
            "mysql",
            Kind::MariaDb,
            "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE db = database() AND id <> connection_id()",
        ),
        (
            "postgres",
            Kind::Postgres15,
            "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name LIKE '% read'",
        ),
    ] {
        let database = shared(kind).database();
        database.sql(TABLE);
        let settings = json!({"url": database.url("cdc"), "table": "customers"});
        let config =
            json!({"database": { system: settings }, "on": [{"customer": "id"}], "columns": ["name"], "cache": "0B"});
        let (mut lookup, mut out) = (build(&config).unwrap(), Memory::default());
        lookup.open(&OperatorContext::default(), None).await.unwrap();
        let input = orders(&[(1, Some(1), "a")]);
        lookup.process(InputPort(0), input.clone(), &mut out).await.unwrap();
        database.sql("UPDATE customers SET name = 'Eve' WHERE id = 1");
        let kill = database.text(cut);
        assert!(kill.contains("KILL") || kill.contains("terminate"), "{system}: the session is found: {kill}");
        shared(kind).admin(&kill);
        lookup.process(InputPort(0), input, &mut out).await.unwrap();
        assert_eq!(out.rows(), ["1|1|a|Ann", "1|1|a|Eve"], "{system}");
        lookup.finish(&mut out).await.unwrap();
    }
}

/// A table in memory that counts the keys it is asked for, and is away now and then.
#[derive(Clone, Default)]
struct Fake {
    rows: BTreeMap<i64, Vec<String>>,
    asked: Arc<Mutex<Vec<i64>>>,
    away: Arc<AtomicUsize>,
}

#[async_trait]
impl LookupTable for Fake {
    async fn open(&mut self) -> Result<Arc<Relation>> {
        let fields = vec![Field::new("key", DataType::Int64, true), Field::new("value", DataType::Utf8, true)];
        Relation::new(RelationName::table("fake"), Arc::new(Schema::new(fields)), &[] as &[&str], 1).map(Arc::new)
    }

    async fn prepare(&mut self, _question: &Question) -> Result<()> {
        Ok(())
    }

    async fn ask(&mut self, question: &Question, keys: &RecordBatch) -> Result<Vec<RecordBatch>> {
        if self.away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(ErrorKind::Unavailable, "away"));
        }
        let keys: Vec<i64> = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
        self.asked.lock().unwrap().extend(&keys);
        let found: Vec<(i64, String)> = keys
            .iter()
            .flat_map(|key| self.rows.get(key).into_iter().flatten().map(|value| (*key, value.clone())))
            .collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(found.iter().map(|(key, _)| *key))),
            Arc::new(StringArray::from_iter_values(found.iter().map(|(_, value)| value.clone()))),
        ];
        Ok(vec![RecordBatch::try_new(question.relation.columns().clone(), columns).unwrap()])
    }

    async fn close(&mut self) {}
}

fn over(fake: &Fake, more: Value) -> Lookup {
    let mut config = json!({
        "database": {"sqlite": {"path": "none.db", "table": "fake"}},
        "on": [{"customer": "key"}],
        "columns": ["value"],
    });
    more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
    Lookup::new(serde_json::from_value(config).unwrap(), Box::new(fake.clone()))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_lookup(
        table in prop::collection::btree_map(0i64..12, prop::collection::vec("[a-c]{0,2}", 1..3), 0..10),
        keys in prop::collection::vec(prop::option::of(0i64..15), 0..60),
        size in 1usize..20,
        cache in prop::sample::select(vec!["0B", "600B", "64MiB"]),
    ) {
        let fake = Fake { rows: table.clone(), ..Fake::default() };
        let mut lookup = over(&fake, json!({"cache": cache}));
        let rows: Vec<(i64, Option<i64>, &str)> = keys.iter().enumerate().map(|(i, key)| (i as i64, *key, "c")).collect();
        let mut out = Memory::default();
        block_on(async {
            lookup.open(&OperatorContext::default(), None).await.unwrap();
            for part in rows.chunks(size) {
                lookup.process(InputPort(0), orders(part), &mut out).await.unwrap();
            }
        });
        let (mut good, mut bad) = (Vec::new(), 0);
        for (id, key, code) in &rows {
            let shown = key.map_or("-".to_owned(), |key| key.to_string());
            match key.and_then(|key| table.get(&key)).map(Vec::as_slice) {
                None => good.push(format!("{id}|{shown}|{code}|-")),
                Some([value]) => good.push(format!("{id}|{shown}|{code}|{value}")),
                Some(_) => bad += 1,
            }
        }
        prop_assert_eq!((out.rows(), out.bad.len()), (good, bad));
        let mut asked = fake.asked.lock().unwrap().clone();
        if cache == "64MiB" {
            let count = asked.len();
            asked.sort_unstable();
            asked.dedup();
            prop_assert_eq!(asked.len(), count, "no key is asked for twice");
        }
    }
}

#[tokio::test]
async fn a_table_that_is_away_is_asked_again() {
    let fake = Fake { rows: BTreeMap::from([(1, vec!["x".to_owned()])]), ..Fake::default() };
    fake.away.store(2, Ordering::Relaxed);
    let (mut lookup, mut out) = (over(&fake, json!({"retries": 2})), Memory::default());
    lookup.open(&OperatorContext::default(), None).await.unwrap();
    lookup.process(InputPort(0), orders(&[(1, Some(1), "a")]), &mut out).await.unwrap();
    assert_eq!(out.rows(), ["1|1|a|x"]);
    fake.away.store(2, Ordering::Relaxed);
    let mut lookup = over(&fake, json!({"retries": 1}));
    lookup.open(&OperatorContext::default(), None).await.unwrap();
    let error = lookup.process(InputPort(0), orders(&[(1, Some(1), "a")]), &mut out).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn changelogs_are_refused_and_ddl_passes() {
    let fake = Fake::default();
    let (mut lookup, mut out) = (over(&fake, json!({})), Memory::default());
    lookup.open(&OperatorContext::default(), None).await.unwrap();
    let input = orders(&[(1, Some(1), "a")]);
    let change = SchemaChange::new(input.relation().clone(), Change::Truncate);
    lookup.on_schema(InputPort(0), change, &mut out).await.unwrap();
    assert_eq!(out.changes[0].relation.columns().fields().len(), 4);
    assert_eq!(out.changes[0].relation.key_names(), ["id"]);
    let delete = Batch::changes(input.relation().clone(), input.rows().clone(), UInt8Array::from(vec![3])).unwrap();
    let got = refusal(lookup.process(InputPort(0), delete, &mut out).await);
    assert!(got.contains("an update or delete of orders"), "{got}");
    let config = json!({"database": {"sqlite": {"path": "a", "table": "b"}}, "on": ["id"], "columns": ["x"]});
    assert_eq!((ENTRY.check)(&config).unwrap().changes, ChangeSupport::AppendOnly);
}

#[test]
fn mistakes_are_named() {
    let base = json!({"database": {"sqlite": {"path": "a", "table": "b"}}, "on": ["id"], "columns": ["x"]});
    for (key, value, expected) in [
        ("on", json!([]), "`on` names no column"),
        ("on", json!([{"a": "b", "c": "d"}]), "one name on each side"),
        ("columns", json!([{"a": "x"}, "x"]), "`columns` names a column twice"),
        ("retries", json!(99), "`retries` is at most 10"),
        ("database", json!({"sqlite": {"path": "a"}}), "setting database.sqlite.table"),
        ("database", json!({"oracle": {}}), "unknown variant `oracle`"),
        ("database", json!({"mysql": {"url": "http://secret", "table": "t"}}), "setting database.mysql.url"),
        (
            "database",
            json!({"postgres": {"url": "postgres://u@h/d", "table": "t", "query": "q"}}),
            "exclude each other",
        ),
    ] {
        let mut config = base.clone();
        config[key] = value;
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected) && !got.contains("secret"), "{key}: {got}");
    }
    let null = json!({"database": {"sqlite": {"path": "a", "table": "b"}}, "on": ["id"], "columns": ["x"], "on_missing": null});
    assert!((ENTRY.check)(&null).is_ok());
}
