use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aqueduct_model::conformance::{NULL_TEXT, Orders, SinkCase, SinkTarget, Tables, check_sink};
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Build, Change, Claim, Cut, Epoch, ErrorKind, Op, PreparedCommit, Result,
    SchemaChange, Sink, SinkContext, SinkInput, Token,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ENTRY;
use super::config::HttpWriterConfig;
use super::sink::HttpWriter;
use crate::http::test_service::{Reply, Request, Service, run};

fn build(service: &Service, mut config: Value) -> Result<Box<dyn Sink>> {
    let path = config["url"].as_str().unwrap_or("/rows").to_owned();
    config["url"] = service.url(&path).into();
    config["client"]["allow_private"] = json!(true);
    config["client"]["retry"]["wait"] = json!("1ms");
    (ENTRY.check)(&config)?;
    let Build::Sink { build, .. } = ENTRY.build else { panic!("a sink") };
    build(&config)
}

fn context(folder: &Path) -> SinkContext {
    SinkContext { flow: "f".into(), task: "t".into(), state_dir: Some(folder.join("sinks")) }
}

fn cut(epoch: u64) -> Cut {
    Cut { epoch: Epoch(epoch), ..Cut::default() }
}

/// A sink at work in a folder, and its epoch.
struct Work {
    sink: Box<dyn Sink>,
    epoch: u64,
    bad: BadRows,
}

impl Work {
    async fn start(sink: Box<dyn Sink>, folder: &TempDir, token: u64, epoch: u64) -> Result<Self> {
        let mut work = Self { sink, epoch, bad: BadRows::new(BadRowPolicy::Fail, 0) };
        work.sink.open(&context(folder.path())).await?;
        work.sink.claim(&Claim { token: Token(token), cut: cut(epoch) }).await?;
        Ok(work)
    }

    async fn write(&mut self, batch: Batch) -> Result<()> {
        self.sink.write(SinkInput::Batch(batch), &mut self.bad).await
    }

    async fn flush(&mut self) -> Result<PreparedCommit> {
        self.epoch += 1;
        Ok(self.sink.flush(&cut(self.epoch), &mut self.bad).await?.unwrap())
    }

    async fn epoch(&mut self, batch: Batch) -> Result<()> {
        self.write(batch).await?;
        let prepared = self.flush().await?;
        self.sink.commit(Epoch(self.epoch), &prepared).await
    }
}

/// What a writer with these settings sends for some batches.
fn sent(config: Value, batches: Vec<Batch>) -> Result<Vec<Request>> {
    let service = Service::start(|_, _| Reply::status(200));
    let folder = TempDir::new().unwrap();
    run(async {
        let mut work = Work::start(build(&service, config)?, &folder, 1, 0).await?;
        for batch in batches {
            work.write(batch).await?;
        }
        let prepared = work.flush().await?;
        assert_eq!(service.requests().len(), 0, "nothing is sent before the epoch is logged");
        work.sink.commit(Epoch(1), &prepared).await?;
        work.sink.commit(Epoch(1), &prepared).await?;
        work.sink.close().await
    })?;
    Ok(service.requests())
}

fn orders() -> Orders {
    Orders::new("orders").unwrap()
}

#[test]
fn rows_become_requests_one_by_one_or_in_lists() {
    let requests = sent(json!({"headers": {"X-Key": "k"}}), vec![orders().inserts(3..5).unwrap()]).unwrap();
    let bodies: Vec<&str> = requests.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(bodies, [r#"{"id":3,"name":null,"amount":300}"#, r#"{"id":4,"name":"name 4.0","amount":null}"#]);
    let first = &requests[0];
    assert_eq!(
        (first.method.as_str(), first.header("x-key"), first.header("content-type")),
        ("POST", Some("k"), Some("application/json"))
    );
    let keys: BTreeSet<&str> = requests.iter().map(|request| request.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 2);
    let lists = |config: Value| -> Vec<String> {
        let batches = vec![orders().inserts(0..3).unwrap(), Orders::new("other").unwrap().inserts(0..1).unwrap()];
        sent(config, batches).unwrap().into_iter().map(|request| request.body).collect()
    };
    let rows: Vec<usize> = lists(json!({"batch_rows": 2})).iter().map(|body| body.matches("\"id\"").count()).collect();
    assert_eq!(rows, [2, 1, 1], "a request has rows of one table");
    let lines = lists(json!({"batch_rows": 9, "format": "jsonl"}));
    assert_eq!(lines[0].lines().count(), 3);
    let wrapped = lists(json!({"batch_rows": 9, "body": {"n": 1, "items": "{rows}"}}));
    assert!(wrapped[0].starts_with(r#"{"n":1,"items":[{"id":0,"#), "{wrapped:?}");
}

#[test]
fn values_stand_in_addresses_and_bodies() {
    let config =
        json!({"url": "/orders/{id}?name={name}", "method": "PUT", "body": {"n": "{amount}", "t": "row {id}/{name}"}});
    let requests = sent(config, vec![orders().inserts(1..2).unwrap()]).unwrap();
    assert_eq!((requests[0].path.as_str(), requests[0].param("name")), ("/orders/1", Some("name 1.0")));
    assert_eq!(requests[0].body, r#"{"n":100,"t":"row 1/name 1.0"}"#);
    let error = sent(json!({"url": "/orders/{name}"}), vec![orders().inserts(3..4).unwrap()]).unwrap_err();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Data, Some("url")), "nothing is no part of a path");
    let error = sent(json!({"body": "{nmae}"}), vec![orders().inserts(0..1).unwrap()]).unwrap_err();
    assert!(error.to_string().contains("nmae") && error.hint().unwrap().contains("name"), "{error:?}");
    let encoded = super::template::fill_url(
        "http://a/{v}",
        "t",
        &[crate::http::json::Json::parse(br#"{"v":"../x?y#z%/ "}"#).unwrap()],
    );
    assert_eq!(encoded.unwrap(), "http://a/..%2Fx%3Fy%23z%25%2F%20");
}

#[test]
fn changes_say_what_happened() {
    use Op::{Delete, Insert, UpdateAfter, UpdateBefore};
    let changes = || {
        let rows = [
            (Insert, 1, 0),
            (UpdateBefore, 1, 0),
            (UpdateAfter, 1, 1),
            (UpdateBefore, 1, 1),
            (UpdateAfter, 2, 2),
            (UpdateAfter, 2, 3),
            (Delete, 2, 3),
        ];
        vec![orders().changes(&rows).unwrap()]
    };
    let requests = sent(json!({"op_member": "op"}), changes()).unwrap();
    let said: Vec<String> = requests
        .iter()
        .map(|request| serde_json::from_str::<Value>(&request.body).unwrap())
        .map(|row| format!("{} {}", row["op"].as_str().unwrap(), row["id"]))
        .collect();
    assert_eq!(said, ["insert 1", "update 1", "delete 1", "insert 2", "update 2", "delete 2"]);
    assert_eq!(sent(json!({}), changes()).unwrap_err().setting(), Some("op_member"));
    assert_eq!(sent(json!({"op_member": "id"}), changes()).unwrap_err().setting(), Some("op_member"));
    let service = Service::start(|_, _| Reply::status(200));
    let folder = TempDir::new().unwrap();
    let truncated = run(async {
        let mut work = Work::start(build(&service, json!({}))?, &folder, 1, 0).await?;
        let change = SchemaChange::new(orders().relation().clone(), Change::Truncate);
        work.sink.write(SinkInput::Schema(change), &mut work.bad).await
    });
    assert_eq!(truncated.unwrap_err().kind(), ErrorKind::Schema);
}

#[test]
fn an_epoch_that_is_committed_again_has_the_same_keys_and_a_new_folder_has_others() {
    let broken = Arc::new(AtomicBool::new(true));
    let seen = broken.clone();
    let service =
        Service::start(
            move |n, _| if n == 2 && seen.load(Ordering::SeqCst) { Reply::status(404) } else { Reply::status(200) },
        );
    let folder = TempDir::new().unwrap();
    let keys = |requests: &[Request]| -> Vec<String> {
        requests.iter().map(|request| request.header("idempotency-key").unwrap().to_owned()).collect()
    };
    run(async {
        let mut work = Work::start(build(&service, json!({})).unwrap(), &folder, 1, 0).await.unwrap();
        work.write(orders().inserts(0..4).unwrap()).await.unwrap();
        let prepared = work.flush().await.unwrap();
        let error = work.sink.commit(Epoch(1), &prepared).await.unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some("on_status")));
        drop(work);
        broken.store(false, Ordering::SeqCst);
        let mut work = Work::start(build(&service, json!({})).unwrap(), &folder, 2, 1).await.unwrap();
        work.sink.commit(Epoch(1), &prepared).await.unwrap();
        work.epoch(orders().inserts(4..5).unwrap()).await.unwrap();
        let sent = keys(&service.requests());
        assert_eq!((&sent[..3], sent.len()), (&sent[3..6], 8));
        assert_eq!(sent[3..].iter().collect::<BTreeSet<_>>().len(), 5);
        let other = TempDir::new().unwrap();
        let mut work = Work::start(build(&service, json!({})).unwrap(), &other, 1, 0).await.unwrap();
        work.epoch(orders().inserts(0..1).unwrap()).await.unwrap();
        assert!(!sent.contains(&keys(&service.requests())[8]));
    });
}

#[test]
fn a_status_leads_to_what_is_said() {
    for (status, on_status, is_done) in [
        (409, json!({"409": "ok"}), true),
        (422, json!({"4xx": "drop"}), true),
        (422, json!({"4xx": "drop", "422": "fail"}), false),
        (302, json!({}), false),
        (401, json!({}), false),
    ] {
        let service = Service::start(move |_, _| Reply::status(status));
        let folder = TempDir::new().unwrap();
        let outcome = run(async {
            let mut work = Work::start(build(&service, json!({"on_status": on_status}))?, &folder, 1, 0).await?;
            work.epoch(orders().inserts(0..2)?).await
        });
        assert_eq!(outcome.is_ok(), is_done, "{status}: {outcome:?}");
        assert_eq!(service.requests().len(), if is_done { 2 } else { 1 });
    }
    let service = Service::start(|n, _| Reply::status(if n == 0 { 503 } else { 201 }));
    let folder = TempDir::new().unwrap();
    run(async {
        let mut work = Work::start(build(&service, json!({})).unwrap(), &folder, 1, 0).await.unwrap();
        work.epoch(orders().inserts(0..1).unwrap()).await.unwrap();
    });
    let requests = service.requests();
    assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
}

/// A service that honours keys: what it took, by table.
type Taken = Arc<Mutex<(BTreeSet<String>, Tables)>>;

fn honouring() -> (Service, Taken) {
    let taken: Taken = Arc::default();
    let known = taken.clone();
    let service = Service::start(move |_, request| {
        let mut known = known.lock().unwrap();
        if known.0.insert(request.header("idempotency-key").unwrap().to_owned()) {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            for row in body.as_array().unwrap() {
                let cells = row.as_object().unwrap().values().map(|cell| match cell {
                    Value::Null => NULL_TEXT.to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                known
                    .1
                    .entry(request.path.rsplit('/').next().unwrap().to_owned())
                    .or_default()
                    .push(cells.collect::<Vec<_>>().join("|"));
            }
        }
        Reply::status(200)
    });
    (service, taken)
}

/// Gives the suite's sink its folder, which the suite's context has not.
struct InFolder(HttpWriter, std::path::PathBuf);

#[async_trait::async_trait]
impl Sink for InFolder {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<aqueduct_model::Recorded>> {
        self.0.open(&context(&self.1)).await
    }
    async fn claim(&mut self, claim: &Claim) -> Result<()> {
        self.0.claim(claim).await
    }
    async fn write(&mut self, input: SinkInput, bad: &mut BadRows) -> Result<()> {
        self.0.write(input, bad).await
    }
    async fn flush(&mut self, cut: &Cut, bad: &mut BadRows) -> Result<Option<PreparedCommit>> {
        self.0.flush(cut, bad).await
    }
    async fn commit(&mut self, epoch: Epoch, prepared: &PreparedCommit) -> Result<()> {
        self.0.commit(epoch, prepared).await
    }
    async fn close(&mut self) -> Result<()> {
        self.0.close().await
    }
}

#[test]
fn the_suite_finds_nothing_at_a_service_that_honours_keys() {
    let target = || {
        let (service, taken) = honouring();
        let folder = Arc::new(TempDir::new().unwrap());
        let config = json!({"url": service.url("/rows/{_table}"), "batch_rows": 100, "service_honours_key": true, "client": {"allow_private": true}});
        let build = move || {
            let config: HttpWriterConfig = serde_json::from_value(config.clone()).unwrap();
            Ok(Box::new(InFolder(HttpWriter::new(config), folder.path().to_owned())) as Box<dyn Sink>)
        };
        Ok(SinkTarget::new(build, move || Ok(taken.lock().unwrap().1.clone())))
    };
    let case = SinkCase { large_rows: 2_000, ..SinkCase::staged("http", target) };
    let found = run(check_sink(&case)).into_result().err().unwrap_or_default();
    assert_eq!(found, [""; 0]);
}

#[test]
fn mistakes_in_settings_are_named() {
    let on = |status: &str| json!({"on_status": BTreeMap::from([(status, "ok")])});
    for (extra, setting) in [
        (json!({"url": "https://{host}/x"}), "url"),
        (json!({"url": "{scheme}://a/x"}), "url"),
        (json!({"url": "https://a/{id}", "batch_rows": 2}), "url"),
        (json!({"body": {"a": ["x {id}"]}, "batch_rows": 2}), "body"),
        (json!({"batch_rows": 10_001}), "batch_rows"),
        (json!({"headers": {"idempotency-key": "x"}}), "headers.idempotency-key"),
        (json!({"idempotency_header": "a b"}), "idempotency_header"),
        (json!({"idempotency_header": "", "service_honours_key": true}), "service_honours_key"),
        (on("9xx"), "on_status"),
        (on("40"), "on_status"),
        (on("4x4"), "on_status"),
    ] {
        let mut config = json!({"url": "https://api.example.com"});
        for (name, value) in extra.as_object().unwrap() {
            config[name.as_str()] = value.clone();
        }
        let error = (ENTRY.check)(&config).unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)), "{error:?}");
    }
}
