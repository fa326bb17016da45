//! `ParquetInput`: the suite, positions, filters, changed files, damaged files.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::conformance::{NULL_TEXT, SourceCase, check_source, record_texts};
use aqueduct_model::{
    BadRowPolicy, BadRows, Change, Error, ErrorKind, PollBudget, Polled, Position, Result, Source, SourceContext,
    SourcePlugin,
};
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ParquetInput;
use crate::staged_files::tests::run;

fn build(settings: Value) -> Result<Box<dyn Source>> {
    (super::INPUT.check)(&settings)?;
    ParquetInput::build(serde_json::from_value(settings).unwrap())
}

fn write(path: &Path, rows: &RecordBatch, row_group_rows: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group_rows)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let names = ids.clone().map(|id| (id % 3 != 0).then(|| format!("n{id}"))).collect::<StringArray>();
    let floats = ids.clone().map(|id| if id % 10 == 0 { f64::NAN } else { id as f64 }).collect::<Vec<_>>();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids)), false),
        ("name", Arc::new(names), true),
        ("f", Arc::new(Float64Array::from(floats)), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Three files of several row groups, one of them without rows.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("orders/a.parquet"), &rows(0..100), 30);
    write(&folder.path().join("orders/b.parquet"), &rows(100..100), 30);
    write(&folder.path().join("orders/c.parquet"), &rows(100..250), 40);
    write(&folder.path().join("orders/_skipped.parquet"), &rows(900..901), 40);
    folder
}

fn pattern(folder: &TempDir) -> String {
    format!("{}/orders/*.parquet", folder.path().display())
}

struct Read {
    texts: Vec<String>,
    changes: Vec<Change>,
    versions: Vec<u32>,
    position: Position,
}

async fn read(settings: &Value, resume: Option<&Position>) -> Result<Read> {
    let mut source = build(settings.clone())?;
    source.open(&SourceContext::default(), resume).await?;
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let (mut texts, mut changes, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match source.poll(&PollBudget::default(), &mut bad).await? {
            Polled::Batch(batch) => {
                texts.extend(record_texts(batch.rows())?);
                versions.push(batch.relation().version());
            }
            Polled::Schema(change) => changes.push(change.change),
            Polled::Idle => {}
            Polled::Finished => break,
        }
    }
    Ok(Read { texts, changes, versions, position: source.position().unwrap() })
}

fn ids(read: &Read) -> Vec<i64> {
    read.texts.iter().map(|text| text.split('|').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn keeps_every_promise() {
    let folder = folder();
    for more in [
        json!({}),
        json!({ "columns": ["name"], "filter": [{ "column": "id", "op": "ge", "value": 35 }] }),
        json!({ "filter": [{ "column": "id", "op": "lt", "value": 20 }, { "column": "name", "op": "not_null" }] }),
    ] {
        let mut settings = json!({ "path": pattern(&folder) });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let name = format!("ParquetInput {more}");
        let far = json!({ "done_files": 9, "done_hash": 0, "file": null, "row_group": 0, "row": 0 });
        let lost = vec![Position::single("", far)];
        let case = SourceCase {
            batch_rows: 7,
            lost_positions: lost,
            ..SourceCase::new(&name, move || build(settings.clone()))
        };
        assert_eq!(run(check_source(&case)).into_result().err().unwrap_or_default(), [""; 0]);
    }
}

#[test]
fn reads_every_row_once_in_order() {
    let folder = folder();
    let all = run(read(&json!({ "path": pattern(&folder) }), None)).unwrap();
    assert_eq!(ids(&all), (0..250).collect::<Vec<_>>());
    assert_eq!(all.texts[3], format!("3|{NULL_TEXT}|3.0"));
    assert_eq!((all.changes.len(), all.versions.iter().max()), (0, Some(&1)));
    let two = json!({ "path": [folder.path().join("orders/c.parquet"), folder.path().join("orders/a.parquet")], "columns": ["name", "id"] });
    let two = run(read(&two, None)).unwrap();
    assert_eq!((two.texts.len(), two.texts[1].as_str()), (250, "n1|1"));
}

#[test]
fn filters_are_exact() {
    let folder = folder();
    let passed = |column: &str, op: &str, value: Value| {
        let mut comparison = json!({ "column": column, "op": op });
        if !value.is_null() {
            comparison["value"] = value;
        }
        ids(&run(read(&json!({ "path": pattern(&folder), "filter": [comparison] }), None)).unwrap())
    };
    assert_eq!(passed("id", "eq", json!(137)), [137]);
    assert_eq!(passed("id", "ne", json!("137")).len(), 249);
    assert_eq!(passed("id", "lt", json!(31)), (0..31).collect::<Vec<_>>());
    assert_eq!(passed("id", "le", json!(31)).len(), 32);
    assert_eq!(passed("id", "gt", json!(240)), (241..250).collect::<Vec<_>>());
    assert_eq!(passed("id", "ge", json!(1_000)), [0i64; 0]);
    assert_eq!(passed("name", "is_null", Value::Null).len(), 84);
    assert_eq!(passed("name", "not_null", Value::Null).len(), 166);
    assert_eq!(passed("name", "eq", json!("n7")), [7]);
    // NaN is greater than every number, and no statistic knows of it.
    assert_eq!(passed("f", "gt", json!(248)), (0..250).filter(|id| id % 10 == 0 || *id > 248).collect::<Vec<_>>());
}

#[test]
fn mistakes_name_their_setting() {
    let folder = folder();
    for (more, setting) in [
        (json!({ "columns": ["id", "nam"] }), "columns[1]"),
        (json!({ "filter": [{ "column": "nam", "op": "is_null" }] }), "filter[0].column"),
        (json!({ "filter": [{ "column": "id", "op": "eq", "value": "x" }] }), "filter[0].value"),
        (json!({ "filter": [{ "column": "id", "op": "eq" }] }), "filter[0].value"),
        (json!({ "filter": [{ "column": "id", "op": "is_null", "value": 1 }] }), "filter[0].value"),
        (json!({ "key": ["nam"] }), "key"),
        (json!({ "path": "no/such/*.parquet" }), "path"),
        (json!({ "path": "no/such.parquet" }), "path"),
        (json!({ "path": "[" }), "path"),
    ] {
        let mut settings = json!({ "path": pattern(&folder) });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let error = run(read(&settings, None)).err().unwrap();
        assert_eq!((error.kind(), error.setting()), (ErrorKind::Config, Some(setting)), "{more}");
    }
    let empty = run(read(&json!({ "path": "no/such/*.parquet", "allow_empty": true }), None)).unwrap();
    assert_eq!(empty.texts.len(), 0);
}

async fn after(settings: &Value, polls: usize) -> Position {
    let mut source = build(settings.clone()).unwrap();
    source.open(&SourceContext::default(), None).await.unwrap();
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    for _ in 0..polls {
        source.poll(&PollBudget { max_rows: 20, ..PollBudget::default() }, &mut bad).await.unwrap();
    }
    source.position().unwrap()
}

#[test]
fn changed_files_lose_the_position_and_new_ones_behind_are_read() {
    let folder = folder();
    let settings = json!({ "path": pattern(&folder) });
    let (c, end) = (folder.path().join("orders/c.parquet"), run(read(&settings, None)).unwrap().position);
    let in_c = run(after(&settings, 9));
    assert_eq!(run(read(&settings, Some(&in_c))).map(|read| ids(&read).len()).unwrap(), 110);

    write(&folder.path().join("orders/d.parquet"), &rows(250..260), 40);
    assert_eq!(ids(&run(read(&settings, Some(&end))).unwrap()), (250..260).collect::<Vec<_>>());

    let lost = |position: &Position| run(read(&settings, Some(position))).err().map(|error: Error| error.kind());
    write(&folder.path().join("orders/aa.parquet"), &rows(0..1), 40);
    assert_eq!((lost(&in_c), lost(&end)), (Some(ErrorKind::LostPosition), Some(ErrorKind::LostPosition)));
    fs::remove_file(folder.path().join("orders/aa.parquet")).unwrap();
    assert_eq!(lost(&in_c), None);
    write(&c, &rows(100..251), 40);
    assert_eq!((lost(&in_c), lost(&end)), (Some(ErrorKind::LostPosition), Some(ErrorKind::LostPosition)));
    fs::remove_file(&c).unwrap();
    assert_eq!(lost(&in_c), Some(ErrorKind::LostPosition));
}

#[test]
fn a_change_of_columns_between_files_is_announced() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("t/a.parquet"), &rows(0..10), 4);
    let wider = RecordBatch::try_from_iter_with_nullable(vec![
        ("id", Arc::new(Int64Array::from_iter_values(10..20)) as ArrayRef, false),
        ("name", Arc::new(Int32Array::from_iter_values(10..20)), true),
        ("note", Arc::new(StringArray::from_iter_values((10..20).map(|id| id.to_string()))), true),
    ])
    .unwrap();
    write(&folder.path().join("t/b.parquet"), &wider, 4);
    let settings = json!({ "path": format!("{}/t/*", folder.path().display()) });
    let expected = [
        Change::DropColumns(vec!["f".into()]),
        Change::AddColumns(vec!["note".into()]),
        Change::AlterColumns(vec!["name".into()]),
    ];
    let all = run(read(&settings, None)).unwrap();
    assert_eq!((all.texts.len(), all.versions[0], all.versions[5]), (20, 1, 2));
    assert_eq!(all.changes, expected);
    // The edge of the two files: the change is said again.
    let edge = run(read(&settings, Some(&run(after(&settings, 3))))).unwrap();
    assert_eq!((edge.changes.len(), edge.texts.len()), (3, 10));
}

#[test]
fn dictionaries_and_views_become_plain() {
    let folder = TempDir::new().unwrap();
    let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    let rows = RecordBatch::try_from_iter_with_nullable(vec![
        ("d", Arc::new(dictionary) as ArrayRef, true),
        ("v", Arc::new(StringViewArray::from(vec![Some("a longer text than twelve"), None, Some("b")])), true),
    ])
    .unwrap();
    let path = folder.path().join("t.parquet");
    write(&path, &rows, 100);
    let settings = json!({ "path": path, "filter": [{ "column": "d", "op": "eq", "value": "x" }] });
    let mut source = build(settings).unwrap();
    run(async {
        source.open(&SourceContext::default(), None).await.unwrap();
        let polled = source.poll(&PollBudget::default(), &mut BadRows::new(BadRowPolicy::Fail, 0)).await.unwrap();
        let Polled::Batch(batch) = polled else { panic!("{polled:?}") };
        let columns = Schema::new(vec![Field::new("d", DataType::Utf8, true), Field::new("v", DataType::Utf8, true)]);
        assert_eq!((batch.rows().schema().fields(), batch.num_rows()), (&columns.fields, 2));
        assert_eq!(batch.relation().name().table, "t");
    });
}

#[test]
fn damaged_files_are_errors_never_panics_or_other_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.parquet");
    write(&path, &rows(0..500), 100);
    let whole = fs::read(&path).unwrap();
    let settings = json!({ "path": path });
    let mut seed = 7u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    std::panic::set_hook(Box::new(|_| {}));
    for round in 0..300 {
        let mut bytes = whole.clone();
        match round % 3 {
            0 => bytes.truncate(random(whole.len())),
            // The footer is at the end: half of the flips go there.
            1 => bytes[whole.len() - 1 - random(whole.len() / 3)] ^= 1 << random(8),
            _ => bytes[random(whole.len())] = random(256) as u8,
        }
        fs::write(&path, &bytes).unwrap();
        if let Err(error) = run(read(&settings, None)) {
            assert!(matches!(error.kind(), ErrorKind::Data | ErrorKind::Config), "{error:?}");
        }
    }
    drop(std::panic::take_hook());
    for bytes in [&b""[..], b"PAR1", b"PAR1\xff\xff\xff\xffPAR1", b"not a parquet file at all", b"PAR1\0\0\0\0PARE"] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(run(read(&settings, None)).err().unwrap().kind(), ErrorKind::Data);
    }
}
