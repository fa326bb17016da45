//! `ParquetOutput`: the suite, types, files, and reading back.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use aqueduct_model::conformance::{Orders, SinkCase, SinkTarget, Tables, check_sink, record_texts};
use aqueduct_model::{
    BadRowPolicy, BadRows, Batch, Change, Claim, Cut, Epoch, Inspect, Op, Relation, RelationName, Result, SchemaChange,
    Sink, SinkInput, SinkPlugin, Token, View,
};
use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use tempfile::TempDir;

use super::ParquetOutput;
use super::inspect::ParquetInspect;
use super::sink_config::ParquetOutputConfig;
use crate::staged_files::tests::{context, run};

pub(super) fn config(path: &Path, more: serde_json::Value) -> ParquetOutputConfig {
    let mut settings = json!({ "path": path });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(settings).unwrap()
}

/// What `verify` sees.
async fn view(config: &ParquetOutputConfig) -> Result<(View, Vec<(RelationName, Vec<RecordBatch>)>)> {
    let mut inspect = ParquetInspect::new(config.clone());
    let view = inspect.open(&context()).await?;
    let mut tables = Vec::new();
    for relation in &view.tables {
        inspect.start(relation.name()).await?;
        let mut batches = Vec::new();
        while let Some(batch) = inspect.next().await? {
            batches.push(batch);
        }
        tables.push((relation.name().clone(), batches));
    }
    Ok((view, tables))
}

async fn tables(config: &ParquetOutputConfig) -> Result<Tables> {
    let mut tables = Tables::new();
    for (name, batches) in view(config).await?.1 {
        for batch in batches {
            tables.entry(name.table.clone()).or_default().extend(record_texts(&batch)?);
        }
    }
    Ok(tables)
}

/// Writes inputs as one epoch each.
pub(super) async fn write_epochs(config: &ParquetOutputConfig, epochs: Vec<Vec<SinkInput>>) -> BadRows {
    let mut sink = ParquetOutput::build(config.clone()).unwrap();
    let mut bad = BadRows::new(BadRowPolicy::DeadLetter, 1_000);
    sink.open(&context()).await.unwrap();
    sink.claim(&Claim { token: Token(1), ..Claim::default() }).await.unwrap();
    for (i, inputs) in epochs.into_iter().enumerate() {
        for input in inputs {
            sink.write(input, &mut bad).await.unwrap();
        }
        let epoch = Epoch(i as u64 + 1);
        let prepared = sink.flush(&Cut { epoch, ..Cut::default() }, &mut bad).await.unwrap().unwrap();
        sink.commit(epoch, &prepared).await.unwrap();
    }
    sink.close().await.unwrap();
    bad
}

#[test]
fn keeps_every_promise() {
    for (settings, changes) in [
        (json!({}), false),
        (json!({ "compression": "snappy", "max_file_rows": 17, "row_group_rows": 5 }), false),
        (json!({ "mode": "changelog", "compression": "none" }), true),
    ] {
        let name = format!("ParquetOutput {settings}");
        let target = move || {
            let folder = Arc::new(TempDir::new().unwrap());
            let config = config(&folder.path().join("out"), settings.clone());
            let build = config.clone();
            Ok(SinkTarget::new(
                move || ParquetOutput::build(build.clone()),
                move || {
                    let _alive = &folder;
                    // The suite is inside a runtime; this future never waits, so a poll is enough.
                    at_once(tables(&config))
                },
            ))
        };
        let case = SinkCase { changes, large_rows: 4_000, seeds: 4, ..SinkCase::staged(&name, target) };
        let found = run(check_sink(&case)).into_result().err().unwrap_or_default();
        assert_eq!(found, [""; 0]);
    }
}

/// Runs a future that does not wait for anything.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

fn every_type() -> RecordBatch {
    let nulls = || NullBuffer::from(vec![true, false, true]);
    let inner = Int64Array::from(vec![Some(1), None, Some(3)]);
    let struct_fields = vec![Field::new("a", DataType::Int64, true)];
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(f32::MIN), None, Some(-0.0)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::INFINITY), None, Some(f64::EPSILON)]))),
        ("text", Arc::new(StringArray::from(vec![Some(""), None, Some("数据|\"\n\0")]))),
        ("large", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("b")]))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&[0u8, 255][..]), None, Some(&[])]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-719_162), None, Some(2_932_896)]))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(0), None, Some(86_399_999_999)]))),
        ("stamp", Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(i64::MAX)]).with_timezone("UTC"))),
        ("nanos", Arc::new(TimestampNanosecondArray::from(vec![Some(i64::MIN), None, Some(1)]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![Some(10i128.pow(37)), None, Some(-1)])
                    .with_precision_and_scale(38, 10)
                    .unwrap(),
            ),
        ),
        ("list", Arc::new(list)),
        ("struct", Arc::new(StructArray::new(struct_fields.into(), vec![Arc::new(inner)], Some(nulls())))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

#[test]
fn types_come_back_as_they_were() {
    let rows = every_type();
    let relation = Arc::new(Relation::new(RelationName::table("t"), rows.schema(), &["i64"], 1).unwrap());
    for mode in ["append", "changelog"] {
        let folder = TempDir::new().unwrap();
        let config = config(folder.path(), json!({ "mode": mode }));
        run(async {
            let batch = Batch::inserts(relation.clone(), rows.clone()).unwrap();
            write_epochs(&config, vec![vec![SinkInput::Batch(batch)]]).await;
            let (view, tables) = view(&config).await.unwrap();
            assert_eq!(view.tables[0].key_names(), ["i64"]);
            assert_eq!(view.cut.unwrap().epoch, Epoch(1));
            assert_eq!(tables[0].1[0].columns(), rows.columns(), "{mode}");
            for (got, given) in view.tables[0].columns().fields().iter().zip(rows.schema().fields()) {
                assert_eq!(got.data_type(), given.data_type(), "{}", given.name());
            }
        });
    }
}

#[test]
fn a_changelog_without_a_key_folds_to_equal_rows() {
    let columns = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let relation = Arc::new(Relation::new(RelationName::table("t"), columns.clone(), &[""; 0], 1).unwrap());
    let batch = |rows: &[(Op, i64)]| {
        let values = Int64Array::from_iter_values(rows.iter().map(|row| row.1));
        let ops = UInt8Array::from_iter_values(rows.iter().map(|row| row.0 as u8));
        let rows = RecordBatch::try_new(columns.clone(), vec![Arc::new(values)]).unwrap();
        SinkInput::Batch(Batch::changes(relation.clone(), rows, ops).unwrap())
    };
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), json!({ "mode": "changelog", "max_file_rows": 3 }));
    run(async {
        use Op::{Delete, Insert, UpdateAfter, UpdateBefore};
        let first = batch(&[(Insert, 5), (Insert, 5), (Insert, 6), (Delete, 5), (Insert, 7)]);
        let second = batch(&[(UpdateBefore, 6), (UpdateAfter, 8), (Delete, 99)]);
        write_epochs(&config, vec![vec![first], vec![second]]).await;
        let mut rows = tables(&config).await.unwrap()["t"].clone();
        rows.sort();
        assert_eq!(rows, ["5", "7", "8"]);
        let truncated = SinkInput::Schema(SchemaChange::new(relation.clone(), Change::Truncate));
        let folder = TempDir::new().unwrap();
        let config = ParquetOutputConfig { path: folder.path().join("out"), ..config.clone() };
        write_epochs(&config, vec![vec![batch(&[(Insert, 1)]), truncated], vec![batch(&[(Insert, 2)])]]).await;
        assert_eq!(tables(&config).await.unwrap()["t"], ["2"]);
    });
}

#[test]
fn row_groups_and_files_have_the_sizes_that_were_asked_for() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path(), json!({ "row_group_rows": 100, "max_file_rows": 250, "table": "all_{table}" }));
    run(async {
        let orders = Orders::new("orders").unwrap();
        write_epochs(&config, vec![vec![SinkInput::Batch(orders.inserts(0..600).unwrap())]]).await;
    });
    let mut groups = Vec::new();
    for number in 0..3 {
        let file = File::open(folder.path().join(format!("all_orders/part-0000000001-{number}.parquet"))).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        groups.push(builder.metadata().row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>());
    }
    assert_eq!(groups, [vec![100, 100, 50], vec![100, 100, 50], vec![100]]);
    assert!(fs::read_dir(folder.path().join("all_orders")).unwrap().count() == 3);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (settings, setting) in [
        (json!({ "path": "" }), "path"),
        (json!({ "path": "x", "row_group_rows": 0 }), "row_group_rows"),
        (json!({ "path": "x", "max_file_rows": 0 }), "max_file_rows"),
        (json!({ "path": "x", "table": "a/../b" }), "table"),
        (json!({ "path": "x", "mode": "upsert" }), "mode"),
        (json!({ "path": "x", "compresion": "zstd" }), "compresion"),
    ] {
        let error = (super::OUTPUT.check)(&settings).unwrap_err();
        assert_eq!(error.setting(), Some(setting), "{settings}");
    }
}

#[test]
fn a_column_that_parquet_cannot_hold_is_named_before_any_row() {
    let field = Field::new("d", DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano), true);
    let columns =
        Arc::new(Schema::new(vec![field, Field::new("t", DataType::Timestamp(TimeUnit::Second, None), true)]));
    let relation = Arc::new(Relation::new(RelationName::table("t"), columns.clone(), &[""; 0], 1).unwrap());
    let folder = TempDir::new().unwrap();
    run(async {
        let mut sink = ParquetOutput::build(config(folder.path(), json!({}))).unwrap();
        sink.open(&context()).await.unwrap();
        sink.claim(&Claim { token: Token(1), ..Claim::default() }).await.unwrap();
        let rows = RecordBatch::new_empty(columns);
        let mut bad = BadRows::new(BadRowPolicy::Fail, 1);
        let input = SinkInput::Batch(Batch::inserts(relation, rows).unwrap());
        let error = sink.write(input, &mut bad).await.unwrap_err();
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::Schema);
    });
}
