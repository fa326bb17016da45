//! `CSVOutput`: the suite, cells, compression.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::conformance::{SinkCase, SinkTarget, Tables, check_sink};
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Claim, Cut, Epoch, ErrorKind, Relation, RelationName, Result, Sink, SinkInput, Token,
};
use arrow::array::*;
use arrow::datatypes::{DataType, Int32Type};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::sink::{OUTPUT, csv_sink};
use crate::staged_files::committed_files;
use crate::staged_files::tests::{context, run};

fn build(path: &Path, more: &Value) -> Result<Box<dyn Sink>> {
    let mut settings = json!({ "path": path });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    (OUTPUT.check)(&settings)?;
    Ok(Box::new(csv_sink(serde_json::from_value(settings).unwrap())?))
}

/// The texts of all committed files, decompressed, in order.
fn texts(root: &Path) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in committed_files(root).unwrap().1 {
        let bytes = fs::read(root.join(&entry.path)).unwrap();
        let mut text = Vec::new();
        match entry.path.rsplit('.').next() {
            Some("gz") => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap()),
            Some("zst") => text = zstd::decode_all(&bytes[..]).unwrap(),
            _ => text = bytes,
        }
        texts.push((entry.table.table, String::from_utf8(text).unwrap()));
    }
    texts
}

async fn write(root: &Path, more: &Value, rows: RecordBatch) -> Result<BadRows> {
    let relation = Arc::new(Relation::new(RelationName::table("t"), rows.schema(), &[""; 0], 1)?);
    let mut sink = build(root, more)?;
    let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 100);
    sink.open(&context()).await?;
    sink.claim(&Claim { token: Token(1), ..Claim::default() }).await?;
    sink.write(SinkInput::Batch(Batch::inserts(relation, rows)?), &mut bad).await?;
    let cut = Cut { epoch: Epoch(1), ..Cut::default() };
    let prepared = sink.flush(&cut, &mut bad).await?.unwrap();
    sink.commit(Epoch(1), &prepared).await?;
    sink.close().await?;
    Ok(bad)
}

fn written(more: Value, columns: Vec<(&str, ArrayRef)>) -> String {
    let folder = TempDir::new().unwrap();
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let rows = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    run(write(&folder.path().join("out"), &more, rows)).unwrap();
    texts(&folder.path().join("out")).remove(0).1
}

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

#[test]
fn keeps_every_promise() {
    for (more, changes) in [
        (json!({ "delimiter": "|", "header": false, "null_text": "NULL" }), false),
        (
            json!({ "delimiter": "|", "header": false, "null_text": "NULL", "compression": "gzip", "max_file_rows": 13 }),
            false,
        ),
        (
            json!({ "delimiter": "|", "header": false, "null_text": "NULL", "compression": "zstd", "mode": "changelog" }),
            true,
        ),
    ] {
        let name = format!("CSVOutput {more}");
        let target = move || {
            let folder = Arc::new(TempDir::new().unwrap());
            let (more, build_in) = (more.clone(), folder.clone());
            Ok(SinkTarget::new(
                move || build(&build_in.path().join("out"), &more),
                move || Ok(state(&folder.path().join("out"), changes)),
            ))
        };
        let case = SinkCase { changes, large_rows: 3_000, seeds: 4, ..SinkCase::staged(&name, target) };
        assert_eq!(run(check_sink(&case)).into_result().err().unwrap_or_default(), [""; 0]);
    }
}

/// The rows of the files, or what a changelog leads to by its first column.
fn state(root: &Path, changelog: bool) -> Tables {
    let mut tables = Tables::new();
    for (table, text) in texts(root) {
        let rows = tables.entry(table).or_default();
        for line in text.lines() {
            let line = line.replace('"', "");
            if !changelog {
                rows.push(line);
                continue;
            }
            let mut cells = line.splitn(3, '|');
            let (op, _, row) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
            let key = |row: &str| row.split('|').next().unwrap().to_owned();
            rows.retain(|old: &String| key(old) != key(row));
            if op != "D" {
                rows.push(row.to_owned());
            }
        }
    }
    tables
}

#[test]
fn cells_are_quoted_where_they_need_it() {
    let cells = [
        (Some("plain"), "plain"),
        (Some(""), "\"\""),
        (None, ""),
        (Some("a,b"), "\"a,b\""),
        (Some("a\"b"), "\"a\"\"b\""),
        (Some("two\nlines"), "\"two\nlines\""),
        (Some(" space"), "\" space\""),
        (Some("#no comment"), "\"#no comment\""),
        (Some("=1+1"), "=1+1"),
        (Some("数据"), "数据"),
    ];
    let values: Vec<Option<&str>> = cells.iter().map(|cell| cell.0).collect();
    let expected: String = cells.iter().map(|cell| format!("{},1\n", cell.1)).collect();
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1; cells.len()]));
    assert_eq!(written(json!({}), vec![("a b", text(&values)), ("n,m", ones)]), format!("a b,\"n,m\"\n{expected}"));
}

#[test]
fn styles() {
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("a", text(&[Some("x"), None, Some("NA"), Some("-1")])),
            ("n", Arc::new(Int32Array::from(vec![Some(-1), None, Some(0), Some(7)]))),
        ]
    };
    for (more, expected) in [
        (json!({ "null_text": "NA" }), "a,n\nx,-1\nNA,NA\n\"NA\",0\n-1,7\n"),
        (json!({ "quote_style": "text" }), "\"a\",\"n\"\n\"x\",-1\n,\n\"NA\",0\n\"-1\",7\n"),
        (json!({ "quote_style": "always" }), "\"a\",\"n\"\n\"x\",\"-1\"\n,\n\"NA\",\"0\"\n\"-1\",\"7\"\n"),
        (json!({ "delimiter": "tab", "header": false, "line_ending": "crlf" }), "x\t-1\r\n\t\r\nNA\t0\r\n-1\t7\r\n"),
        (json!({ "delimiter": "-" }), "a-n\nx-\"-1\"\n-\nNA-0\n\"-1\"-7\n"),
        (json!({ "formula_guard": true }), "a,n\nx,-1\n,\nNA,0\n'-1,7\n"),
        (json!({ "encoding": "utf8_bom" }), "\u{feff}a,n\nx,-1\n,\nNA,0\n-1,7\n"),
    ] {
        assert_eq!(written(more.clone(), columns()), expected, "{more}");
    }
}

#[test]
fn formulas_are_guarded_in_cells_and_names() {
    let cells = ["=1", "+1", "-1", "@x", "\tx", "\rx", "x=1"].map(Some);
    let got = written(json!({ "formula_guard": true }), vec![("=name", text(&cells))]);
    assert_eq!(got, "'=name\n'=1\n'+1\n'-1\n'@x\n\"'\tx\"\n\"'\rx\"\nx=1\n");
}

#[test]
fn values_of_every_type() {
    let decimal = Decimal128Array::from(vec![-12_345]).with_precision_and_scale(12, 2).unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec!["a,b"].into_iter().collect();
    let got = written(
        json!({}),
        vec![
            ("bool", Arc::new(BooleanArray::from(vec![true]))),
            ("u64", Arc::new(UInt64Array::from(vec![u64::MAX]))),
            ("f64", Arc::new(Float64Array::from(vec![1.5]))),
            ("decimal", Arc::new(decimal)),
            ("date", Arc::new(Date32Array::from(vec![0]))),
            ("time", Arc::new(Time64MicrosecondArray::from(vec![1]))),
            ("stamp", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"))),
            ("local", Arc::new(TimestampSecondArray::from(vec![1]))),
            ("bytes", Arc::new(BinaryArray::from(vec![&[0u8, 255][..]]))),
            ("large", Arc::new(LargeStringArray::from(vec!["l"]))),
            ("view", Arc::new(StringViewArray::from(vec!["v"]))),
            ("dictionary", Arc::new(dictionary)),
        ],
    );
    let line = got.lines().nth(1).unwrap();
    let expected = "true,18446744073709551615,1.5,-123.45,1970-01-01,00:00:00.000001,1970-01-01T00:00:01.500Z,1970-01-01T00:00:01,00ff,l,v,\"a,b\"";
    assert_eq!(line, expected);
}

#[test]
fn a_time_that_no_calendar_has_is_a_bad_row() {
    let folder = TempDir::new().unwrap();
    let stamps: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX, 1]));
    let rows = RecordBatch::try_from_iter(vec![("t", stamps)]).unwrap();
    let mut bad = run(write(&folder.path().join("out"), &json!({}), rows)).unwrap();
    assert_eq!(bad.take().len(), 1);
    assert_eq!(texts(&folder.path().join("out"))[0].1, "t\n1970-01-01T00:00:00\n1970-01-01T00:00:01\n");
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = TempDir::new().unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    let rows = RecordBatch::try_from_iter(vec![("list", Arc::new(list) as ArrayRef)]).unwrap();
    assert!(matches!(rows.column(0).data_type(), DataType::List(_)));
    let error = run(write(&folder.path().join("out"), &json!({}), rows)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Schema);
    for (more, setting) in [
        (json!({ "delimiter": "::" }), "delimiter"),
        (json!({ "delimiter": "\"" }), "delimiter"),
        (json!({ "delimiter": "" }), "delimiter"),
        (json!({ "null_text": "a,b" }), "null_text"),
        (json!({ "max_file_rows": 0 }), "max_file_rows"),
        (json!({ "table": "../x" }), "table"),
    ] {
        assert_eq!(build(folder.path(), &more).err().unwrap().setting(), Some(setting), "{more}");
    }
}
