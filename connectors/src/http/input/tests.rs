use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aqueduct_model::conformance::{SourceCase, batch_texts, check_source};
use aqueduct_model::{
    BadRow, BadRowPolicy, BadRows, Build, Epoch, Error, ErrorKind, PollBudget, Polled, Position, Result, Source,
    SourceContext,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ENTRY;
use crate::http::test_service::{Reply, Request, Service, run};

fn build(service: &Service, mut config: Value) -> Result<Box<dyn Source>> {
    config["url"] = service.url("/rows").into();
    config["client"]["allow_private"] = json!(true);
    config["client"]["retry"]["wait"] = json!("1ms");
    (ENTRY.check)(&config)?;
    let Build::Source { build, .. } = ENTRY.build else { panic!("a source") };
    build(&config)
}

/// What a source gave until it finished, or until it was idle for the given number of polls.
struct Seen {
    rows: Vec<String>,
    bad: Vec<BadRow>,
    /// Positions with the number of rows in front.
    marks: Vec<(usize, Position)>,
    source: Box<dyn Source>,
}

async fn read(
    mut source: Box<dyn Source>,
    folder: Option<&TempDir>,
    resume: Option<&Position>,
    idle: usize,
) -> Result<Seen> {
    let state_dir = folder.map(|folder| folder.path().join("sources"));
    source.open(&SourceContext { state_dir, ..SourceContext::default() }, resume).await?;
    let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 1_000);
    let budget = PollBudget { max_rows: 3, max_wait: Duration::from_millis(20), ..PollBudget::default() };
    let (mut rows, mut marks) = (Vec::new(), vec![(0, source.position().unwrap())]);
    let mut idles = 0;
    while idles < idle {
        match source.poll(&budget, &mut bad).await? {
            Polled::Batch(batch) => rows.extend(batch_texts(&batch)?),
            Polled::Idle => idles += 1,
            Polled::Finished => idles = idle,
            Polled::Schema(_) => {}
        }
        let here = source.position().unwrap();
        if marks.last().is_none_or(|(_, last)| *last != here) {
            marks.push((rows.len(), here));
        }
    }
    Ok(Seen { rows, bad: bad.take(), marks, source })
}

fn all(service: &Service, config: Value) -> Result<Seen> {
    let source = build(service, config)?;
    run(read(source, None, None, 1_000))
}

fn rows(range: std::ops::Range<u64>) -> Vec<Value> {
    range.map(|id| json!({"id": id, "name": format!("n{id}")})).collect()
}

/// Ten rows, four to a page, in every way of paging.
fn ten(request: &Request) -> Reply {
    let number = |name: &str| request.param(name).map(|text| text.parse::<u64>().unwrap());
    let page = |begin: u64| rows(begin.min(10)..(begin + 4).min(10));
    let linked = |begin: u64| {
        let next = (begin + 4 < 10).then(|| format!("/rows?from={}", begin + 4));
        let link = next.clone().map(|next| format!("<{next}>; rel=\"next\"")).unwrap_or_default();
        Reply::json(&json!({"data": {"items": page(begin)}, "next": next, "more": begin + 4 < 10}))
            .header("Link", &link)
    };
    match (number("page"), number("offset"), number("cursor"), number("from")) {
        (Some(page), ..) => linked((page - 1) * 4),
        (_, Some(begin), ..) | (_, _, Some(begin), _) | (_, _, _, Some(begin)) => {
            let Reply::Full { status, headers, body } = linked(begin) else { unreachable!() };
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body["cursor"] = if begin + 4 < 10 { json!(begin + 4) } else { json!("") };
            Reply::Full { status, headers, body: body.to_string() }
        }
        _ => {
            let Reply::Full { status, headers, body } = linked(0) else { unreachable!() };
            let mut body: Value = serde_json::from_str(&body).unwrap();
            body["cursor"] = json!(4);
            Reply::Full { status, headers, body: body.to_string() }
        }
    }
}

fn ways() -> Vec<(Value, usize)> {
    vec![
        (json!({"type": "page"}), 4),
        (json!({"type": "page", "has_more": "more"}), 3),
        (json!({"type": "offset"}), 4),
        (json!({"type": "offset", "has_more": "more"}), 3),
        (json!({"type": "cursor", "path": "cursor"}), 3),
        (json!({"type": "link"}), 3),
        (json!({"type": "link", "path": "next"}), 3),
    ]
}

#[test]
fn every_way_of_paging_reads_every_row_once() {
    for (paging, requests) in ways() {
        let service = Service::start(|_, request| ten(request));
        let seen = all(&service, json!({"rows": "data.items", "paging": paging})).unwrap();
        let expected: Vec<String> = (0..10).map(|id| format!("{id}|n{id}")).collect();
        assert!(seen.rows.iter().zip(&expected).all(|(row, wanted)| row.contains(wanted.as_str())), "{:?}", seen.rows);
        assert_eq!((seen.rows.len(), service.requests().len()), (10, requests), "{paging}");
    }
}

#[test]
fn the_suite_finds_nothing() {
    for (paging, _) in ways() {
        let service = Service::start(|_, request| ten(request));
        let config = json!({"rows": "data.items", "paging": paging, "key": ["id"]});
        let case = SourceCase {
            batch_rows: 3,
            max_wait: Duration::from_secs(5),
            ..SourceCase::new("http", move || build(&service, config.clone()))
        };
        assert_eq!(run(check_source(&case)).into_result().err().unwrap_or_default(), [""; 0], "{paging}");
    }
}

#[test]
fn a_replay_is_exact_though_the_service_answers_otherwise() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let service = Service::start(move |_, request| {
        let times = counted.fetch_add(1, Ordering::SeqCst) as u64;
        match request.param("page") {
            Some("1" | "2") => Reply::json(&json!(rows(times * 100..times * 100 + 4))),
            _ => Reply::json(&json!([])),
        }
    });
    let config = json!({"paging": {"type": "page"}});
    let folder = TempDir::new().unwrap();
    let first = run(read(build(&service, config.clone()).unwrap(), Some(&folder), None, 1_000)).unwrap();
    assert_eq!(first.rows.len(), 8);
    for (rows, position) in &first.marks {
        let again = run(read(build(&service, config.clone()).unwrap(), Some(&folder), Some(position), 1_000)).unwrap();
        assert_eq!(again.rows, first.rows[*rows..], "from {position:?}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3, "every page is asked for once");
    // Without the folder a page that is another one is noticed.
    let (_, inside) = &first.marks[1];
    let error = run(read(build(&service, config.clone()).unwrap(), None, Some(inside), 1_000)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::LostPosition);
    // What all targets have is forgotten.
    let mut source = first.source;
    let (_, end) = first.marks.last().unwrap();
    run(source.on_checkpoint_durable(Epoch(1), end)).unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("sources")).unwrap().count(), 0);
}

#[test]
fn looks_ask_for_what_is_new_and_leave_out_what_comes_again() {
    let row = |id: u64, at: &str| json!({"id": id, "at": at});
    let (t1, t2, t3) = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:03+00:00");
    let service = Service::start(move |n, request| {
        let since = request.param("since").map(str::to_owned);
        let (expected, rows) = match n {
            0 => (None, vec![row(1, t1), row(2, t2)]),
            1 => (Some(t2), vec![row(2, t2), row(3, t2), row(2, t2)]),
            2 => (Some(t2), vec![row(2, t2), row(3, t2), row(2, t2), row(4, t3)]),
            _ => (Some(t3), vec![]),
        };
        assert_eq!(since.as_deref(), expected);
        Reply::json(&json!(rows))
    });
    let folder = TempDir::new().unwrap();
    let config = json!({"poll": "1ms", "incremental": {"param": "since", "column": "at"}});
    let first = run(read(build(&service, config.clone()).unwrap(), Some(&folder), None, 50)).unwrap();
    let ids: Vec<&str> =
        first.rows.iter().map(|row| row.split('|').find(|part| part.len() == 1).unwrap_or(row)).collect();
    assert_eq!(first.rows.len(), 5, "the second row 2 of the second look is another one: {ids:?}");
    for (rows, position) in &first.marks {
        let again = run(read(build(&service, config.clone()).unwrap(), Some(&folder), Some(position), 50)).unwrap();
        assert_eq!(again.rows, first.rows[*rows..], "from {position:?}");
    }
    let place = first.marks.last().unwrap().1.offset("").unwrap();
    assert_eq!((&place["page"], &place["row"]), (&json!(3), &json!(0)), "looks that bring nothing leave it alone");
}

#[test]
fn values_keep_their_digits_and_what_does_not_fit_is_refused() {
    let body = r#"[{"id": "1", "d": 12345678901234567890.12, "at": "2026-01-01T01:00:00+01:00", "o": {"n": 9}, "b": true},
        {"id": 2, "d": 0.123}, {"id": 3.5}, {"id": 4, "at": "soon"}, {"id": null}, 7, {"id": 99999999999, "d": "1.50"},
        {"id": 5, "b": 2}, {"id": 6, "id": 7}, {"id": true}]"#;
    let service = Service::start(move |_, _| Reply::text(body));
    let columns = json!({"id": "int32", "d": "decimal(30,2)", "at": "timestamp(s, utc)", "o.n": "int8", "o": "string", "b": "bool"});
    let seen = all(&service, json!({"columns": columns, "key": ["id"]})).unwrap();
    assert_eq!(seen.rows.len(), 1, "{:?}", seen.rows);
    assert!(seen.rows[0].contains("12345678901234567890.12") && seen.rows[0].contains("{\"n\":9}"), "{:?}", seen.rows);
    let reasons: Vec<&str> = seen.bad.iter().map(|bad| bad.reasons[0].as_str()).collect();
    let expected = [
        "column d is not of type decimal(30,2)",
        "column id is not of type int32",
        "column at is not of type timestamp(s, utc)",
        "key column id is empty",
        "the row is no JSON object",
        "column id is not of type int32",
        "column b is not of type bool",
        "it has the member id twice",
        "column id is not of type int32",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn inferred_columns_stay_and_a_new_member_is_not_lost() {
    let service = Service::start(|_, request| match request.param("page") {
        Some("1") => Reply::json(&json!([{"id": 1, "x": null}, {"id": 2.5, "x": [1]}])),
        Some("2") => Reply::json(&json!([{"id": 3, "x": "y"}, {"id": 4, "new": 1}])),
        _ => Reply::json(&json!([])),
    });
    let seen = all(&service, json!({"paging": {"type": "page"}})).unwrap();
    assert_eq!((seen.rows.len(), seen.bad.len()), (3, 1));
    assert_eq!(seen.bad[0].reasons, ["new is not among the inferred columns; give `columns`"]);
    let (_, position) = &seen.marks[1];
    let later =
        run(read(build(&service, json!({"paging": {"type": "page"}})).unwrap(), None, Some(position), 9)).unwrap();
    assert_eq!(later.rows[..], seen.rows[2..], "with the columns of the first page");
}

#[test]
fn lines_are_rows() {
    let service = Service::start(|_, _| Reply::text("{\"id\":1}\n\n{\"id\":2}\r\n"));
    assert_eq!(all(&service, json!({"format": "jsonl"})).unwrap().rows.len(), 2);
}

#[test]
fn what_a_service_does_wrong_is_named() {
    let failure = |reply: fn() -> Reply, config: Value| -> Error {
        let service = Service::start(move |_, _| reply());
        all(&service, config).err().unwrap()
    };
    /// An answer, the settings, and the error with a part of its text.
    type Case = (fn() -> Reply, Value, ErrorKind, &'static str);
    let cases: Vec<Case> = vec![
        (|| Reply::status(404), json!({}), ErrorKind::Config, "url"),
        (|| Reply::status(401), json!({}), ErrorKind::Auth, "auth"),
        (|| Reply::text("<html>"), json!({}), ErrorKind::Data, "format"),
        (|| Reply::text("{}"), json!({"rows": "data"}), ErrorKind::Data, "rows"),
        (|| Reply::text("[1]"), json!({}), ErrorKind::Data, "rows"),
        (
            || Reply::text(r#"{"rows": [{"a": 1}], "n": "x"}"#),
            json!({"rows": "rows", "paging": {"type": "cursor", "path": "n"}}),
            ErrorKind::Data,
            "paging",
        ),
        (
            || Reply::text(r#"[{"a": 1}]"#),
            json!({"paging": {"type": "page"}, "max_pages": 5}),
            ErrorKind::Data,
            "max_pages",
        ),
        (
            || Reply::text(r#"{"n": "https://evil.example/", "a": 1}"#),
            json!({"paging": {"type": "link", "path": "n"}}),
            ErrorKind::Config,
            "paging",
        ),
        (
            || Reply::text(r#"[{"a": 1}]"#),
            json!({"incremental": {"param": "p", "column": "b"}}),
            ErrorKind::Data,
            "incremental.column",
        ),
        (|| Reply::text(r#"[{"a": 1}]"#), json!({"key": ["b"]}), ErrorKind::Schema, "key"),
    ];
    for (reply, config, kind, setting) in cases {
        let error = failure(reply, config);
        assert_eq!((error.kind(), error.setting()), (kind, Some(setting)), "{error:?}");
        assert!(error.hint().is_some(), "{error:?}");
    }
}

#[test]
fn mistakes_in_settings_are_named() {
    for (extra, setting) in [
        (json!({"url": "api.example.com"}), "url"),
        (json!({"body": {}}), "body"),
        (json!({"query": {"a": null}}), "query.a"),
        (json!({"format": "jsonl", "rows": "a"}), "rows"),
        (json!({"format": "jsonl", "paging": {"type": "cursor", "path": "a"}}), "paging"),
        (json!({"columns": {"a": "int64"}, "key": ["b"]}), "key"),
        (json!({"headers": {"Authorization": "x"}, "auth": {"type": "bearer", "token": "t"}}), "headers.Authorization"),
        (json!({"client": {"requests_per_second": 0.0}}), "client.requests_per_second"),
        (
            json!({"auth": {"type": "oauth2", "token_url": "x", "client_id": "a", "client_secret": "b"}}),
            "auth.token_url",
        ),
    ] {
        let mut config = json!({"url": "https://api.example.com"});
        for (name, value) in extra.as_object().unwrap() {
            config[name.as_str()] = value.clone();
        }
        let error = (ENTRY.check)(&config).unwrap_err();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)), "{error:?}");
    }
}

#[test]
fn a_private_address_is_refused_unless_it_is_named() {
    let service = Service::start(|_, _| Reply::json(&json!([{"a": 1}])));
    let with = |client: Value| {
        let config = json!({"url": service.url("/"), "client": client});
        let Build::Source { build, .. } = ENTRY.build else { panic!("a source") };
        run(read(build(&config).unwrap(), None, None, 1_000))
    };
    assert_eq!(with(json!({})).err().unwrap().setting(), Some("client.allow_hosts"));
    assert_eq!(service.connections(), 0);
    assert_eq!(with(json!({"allow_hosts": ["127.0.0.1"]})).unwrap().rows.len(), 1);
}
