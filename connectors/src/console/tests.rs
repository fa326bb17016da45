use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;
use aqueduct_model::{BadRowPolicy, BadRows, Batch, Cut, Error, ErrorKind, Relation, RelationName, SinkInput};
use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

/// Where a test finds what was printed.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn batch(names: &[Option<&str>], ops: Option<&[u8]>) -> Batch {
    let columns =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8, true)]));
    let relation = Arc::new(Relation::new(RelationName::table("people"), columns.clone(), &["id"], 1).unwrap());
    let ids = Int64Array::from_iter_values(1..=names.len() as i64);
    let rows = RecordBatch::try_new(columns, vec![Arc::new(ids), Arc::new(StringArray::from(names.to_vec()))]).unwrap();
    match ops {
        None => Batch::inserts(relation, rows).unwrap(),
        Some(ops) => Batch::changes(relation, rows, UInt8Array::from(ops.to_vec())).unwrap(),
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn settings(json: serde_json::Value) -> ConsoleConfig {
    serde_json::from_value(json).unwrap()
}

fn printed(json: serde_json::Value, batches: Vec<Batch>) -> String {
    let screen = Screen::default();
    let mut sink = ConsoleSink::new(settings(json), Box::new(screen.clone()));
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    run(async {
        for batch in batches {
            sink.write(SinkInput::Batch(batch), &mut bad).await.unwrap();
        }
        sink.flush(&Cut::default(), &mut bad).await.unwrap();
        sink.close().await.unwrap();
    });
    screen.text()
}

#[test]
fn a_table_is_framed_and_limited() {
    let rows = || batch(&[Some("Ann"), None, Some("李雷")], None);
    let text = printed(serde_json::json!({"limit": 4}), vec![rows(), rows()]);
    assert!(text.starts_with("people\n+----+------+\n| id | name |\n"), "{text}");
    assert!(text.contains("| 2  | NULL |") && text.ends_with("(2 more rows)\n"), "{text}");
}

#[test]
fn json_is_one_object_per_line() {
    let text = printed(serde_json::json!({"format": "json"}), vec![batch(&[Some("a\nb"), None], None)]);
    assert_eq!(text, "{\"id\":1,\"name\":\"a\\nb\"}\n{\"id\":2,\"name\":null}\n");
    let changes = batch(&[Some("a"), Some("b")], Some(&[3, 2])).with_present(1, BooleanArray::from(vec![true, false]));
    let text = printed(serde_json::json!({"format": "json"}), vec![changes.unwrap()]);
    assert_eq!(text, "{\"_op\":\"-D\",\"id\":1,\"name\":\"a\"}\n{\"_op\":\"+U\",\"id\":2}\n");
}

#[test]
fn a_changelog_names_ops_and_relation() {
    let changes = batch(&[Some("a"), Some("a"), Some("b"), None], Some(&[0, 1, 2, 3]));
    let text = printed(serde_json::json!({"format": "changelog", "columns": ["name", "nothing", "id"]}), vec![changes]);
    let expected =
        "+I people name=a, id=1\n-U people name=a, id=2\n+U people name=b, id=3\n-D people name=NULL, id=4\n";
    assert_eq!(text, expected);
}

#[test]
fn data_cannot_steer_the_terminal_or_forge_lines() {
    let evil = "\x1b[2Jx\r\nERROR forged\u{9b}31m\u{202e}\u{7f}\0";
    for format in ["table", "json", "changelog"] {
        let text = printed(serde_json::json!({"format": format}), vec![batch(&[Some(evil)], None)]);
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{format}: {text:?}");
        assert!(text.lines().all(|line| !line.starts_with("ERROR")), "{format}");
    }
    let json = printed(serde_json::json!({"format": "json"}), vec![batch(&[Some(evil)], None)]);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["name"], evil);
}

#[test]
fn with_epoch_nothing_is_seen_before_the_flush() {
    let screen = Screen::default();
    let mut sink = ConsoleSink::new(settings(serde_json::json!({"epoch": true})), Box::new(screen.clone()));
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    run(async {
        sink.write(SinkInput::Batch(batch(&[None], None)), &mut bad).await.unwrap();
        assert_eq!(screen.text(), "");
        sink.flush(&Cut::default(), &mut bad).await.unwrap();
        assert!(screen.text().contains("| 1 "));
    });
}

#[test]
fn instants_are_printed_in_utc() {
    let zoned = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let columns = Arc::new(Schema::new(vec![Field::new("at", zoned, true)]));
    let relation = Arc::new(Relation::new(RelationName::table("t"), columns.clone(), &[""; 0], 1).unwrap());
    let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC");
    let rows = Batch::inserts(relation, RecordBatch::try_new(columns, vec![Arc::new(times)]).unwrap()).unwrap();
    for (format, expected) in [
        ("changelog", "+I t at=1970-01-01T00:00:01.500Z\n+I t at=NULL\n"),
        ("json", "{\"at\":\"1970-01-01T00:00:01.500Z\"}\n{\"at\":null}\n"),
    ] {
        assert_eq!(printed(serde_json::json!({"format": format}), vec![rows.clone()]), expected);
    }
}

#[test]
fn a_closed_stdout_stops_the_flow() {
    let mut sink = ConsoleSink::new(settings(serde_json::json!({})), Box::new(Closed));
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let error: Error = run(sink.write(SinkInput::Batch(batch(&[None], None)), &mut bad)).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, "stdout was closed"));
}
