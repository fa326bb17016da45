//! Every type at its extremes comes back as it was.

use std::sync::Arc;

use aqueduct_model::{Batch, ErrorKind};
use arrow::array::*;
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, TimeUnit, i256};
use serde_json::json;

use super::{Bench, Kit, relation, texts};

const UNITS: [TimeUnit; 4] = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond];

fn timestamps(unit: TimeUnit, values: Vec<Option<i64>>) -> ArrayRef {
    match unit {
        TimeUnit::Second => Arc::new(TimestampSecondArray::from(values)),
        TimeUnit::Millisecond => Arc::new(TimestampMillisecondArray::from(values)),
        TimeUnit::Microsecond => Arc::new(TimestampMicrosecondArray::from(values)),
        TimeUnit::Nanosecond => Arc::new(TimestampNanosecondArray::from(values)),
    }
}

/// Columns of four rows each; the last row is NULL everywhere.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let decimal = |values: [i128; 3], precision, scale| -> ArrayRef {
        let array: Decimal128Array = values.into_iter().map(Some).chain([None]).collect();
        Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
    };
    let nines = 10i128.pow(38) - 1;
    let big = i256::from_string(&"9".repeat(76)).unwrap();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), None]))),
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), Some(0), Some(i8::MAX), None]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(i16::MIN), Some(0), Some(i16::MAX), None]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(i32::MIN), Some(0), Some(i32::MAX), None]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(0), Some(i64::MAX), None]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(0), Some(1), Some(u8::MAX), None]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(0), Some(1), Some(u32::MAX), None]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), Some(i64::MAX as u64 + 1), Some(u64::MAX), None]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(f32::MIN_POSITIVE), Some(f32::MAX), Some(f32::NAN), None]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::MIN), Some(f64::INFINITY), Some(f64::NAN), None]))),
        ("f64b", Arc::new(Float64Array::from(vec![Some(5e-324), Some(0.0), Some(0.1), None]))),
        ("decimal_2", decimal([-99, 0, 99], 2, 1)),
        ("decimal_12", decimal([-999_999_999_999, 1, 999_999_999_999], 12, 2)),
        ("decimal_38", decimal([-nines, 1, nines], 38, 20)),
        ("decimal_38_0", decimal([-nines, 7, nines], 38, 0)),
        ("text", Arc::new(StringArray::from(vec![Some(""), Some("007"), Some("\u{1F600} 表 'q\" \n1e5"), None]))),
        (
            "number_text",
            Arc::new(StringArray::from(vec![Some("1.0"), Some("18446744073709551616"), Some("NaN"), None])),
        ),
        ("large", Arc::new(LargeStringArray::from(vec![Some("x"), Some("NULL"), Some(" "), None]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec![Some("a longer text than twelve bytes"), Some("b"), Some(""), None])),
        ),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b""[..]), Some(b"\0\xff"), Some(b"text"), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-719_528), Some(0), Some(2_932_896), None]))),
        ("dictionary", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("a"), Some("b"), Some("a"), None]))),
        ("time_s", Arc::new(Time32SecondArray::from(vec![Some(0), Some(1), Some(86_399), None]))),
        ("time_us", Arc::new(Time64MicrosecondArray::from(vec![Some(0), Some(1), Some(86_399_999_999), None]))),
        ("time_ns", Arc::new(Time64NanosecondArray::from(vec![Some(0), Some(1), Some(86_399_999_999_999), None]))),
        ("duration", Arc::new(DurationMicrosecondArray::from(vec![Some(i64::MIN), Some(-1), Some(i64::MAX), None]))),
    ];
    let wide: Decimal256Array = [Some(big), Some(-big), Some(i256::from_i128(1)), None].into_iter().collect();
    columns.push(("decimal_76", Arc::new(wide.with_precision_and_scale(76, 5).unwrap())));
    for (unit, names) in UNITS.into_iter().zip([("s", "s_utc"), ("ms", "ms_utc"), ("us", "us_utc"), ("ns", "ns_utc")]) {
        // Year 0001 to 9999, except nanoseconds, which end in 2262.
        let (least, most) = match unit {
            TimeUnit::Second => (-62_135_596_800, 253_402_300_799),
            TimeUnit::Millisecond => (-62_135_596_800_000, 253_402_300_799_999),
            TimeUnit::Microsecond => (-62_135_596_800_000_000, 253_402_300_799_999_999),
            TimeUnit::Nanosecond => (-9_223_286_400_000_000_001, 9_223_286_399_999_999_999),
        };
        let array = timestamps(unit, vec![Some(least), Some(1), Some(most), None]);
        let zoned = arrow::compute::cast(&array, &DataType::Int64).unwrap();
        let zoned = arrow::compute::cast(&zoned, &DataType::Timestamp(unit, Some("UTC".into()))).unwrap();
        columns.push((names.0, array));
        columns.push((names.1, zoned));
    }
    columns
}

pub(crate) fn every_type_comes_back(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let columns = columns().into_iter().filter(|(name, _)| !kit.refuses.contains(name));
    let mut fields = vec![Field::new("id", DataType::Int64, false)];
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4]))];
    for (name, array) in columns {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let schema = Arc::new(Schema::new(fields));
    let rows = RecordBatch::try_new(schema.clone(), arrays).unwrap();
    let name = aqueduct_model::RelationName::table("every");
    let relation = Arc::new(aqueduct_model::Relation::new(name, schema.clone(), &["id"], 1).unwrap());
    let (mut writer, _) = bench.start();
    writer.write(Batch::inserts(relation.clone(), rows.clone()).unwrap());
    writer.flush();
    // Once more without two columns: they are read from the target and written back.
    let touched = Batch::changes(relation, rows.clone(), UInt8Array::from(vec![2; 4])).unwrap();
    let mut partial = touched;
    for column in 1..rows.num_columns() {
        partial = partial.with_present(column, BooleanArray::from(vec![column % 2 == 0; 4])).unwrap();
    }
    writer.write(partial);
    writer.flush();
    assert_eq!(writer.bad.take(), []);
    writer.close();
    let (_, batches) = bench.read_batches("every");
    let read = arrow::compute::concat_batches(&schema, &batches).unwrap();
    let order = arrow::compute::sort_to_indices(read.column(0), None, None).unwrap();
    let read = arrow::compute::take_record_batch(&read, &order).unwrap();
    for (i, field) in schema.fields().iter().enumerate() {
        let (before, after) = (single(&rows, i), single(&read, i));
        assert_eq!(before, after, "{field:?}");
    }
}

fn single(rows: &RecordBatch, column: usize) -> Vec<String> {
    let rows = rows.project(&[column]).unwrap();
    // Arrow shows texts and blobs alike; their data says more.
    if rows.column(0).data_type() == &DataType::Float64 {
        let bits = rows.column(0).as_primitive::<arrow::datatypes::Float64Type>();
        return bits.iter().map(|value| format!("{:?}", value.map(f64::to_bits))).collect();
    }
    texts(&rows)
}

pub(crate) fn every_type_can_be_a_key(kit: &Kit) {
    let can_be_key = |name: &str| !name.starts_with('f') && !kit.refuses.contains(&name);
    for (name, array) in columns().into_iter().filter(|(name, _)| can_be_key(name)) {
        let bench = Bench::new(kit, json!({}));
        let relation = relation("keyed", &[(name, array.data_type().clone()), ("v", DataType::Int64)], &[name]);
        // The three values that are not NULL; booleans and dictionaries repeat.
        let keys = array.slice(0, 3);
        let write = |value: i64| {
            let values: ArrayRef = Arc::new(Int64Array::new(ScalarBuffer::from(vec![value; 3]), None));
            RecordBatch::try_new(relation.columns().clone(), vec![keys.clone(), values]).unwrap()
        };
        let (mut writer, _) = bench.start();
        writer.write(Batch::inserts(relation.clone(), write(1)).unwrap());
        writer.flush();
        writer.write(Batch::inserts(relation.clone(), write(2)).unwrap());
        writer.flush();
        let deletes = Batch::changes(relation.clone(), write(0).slice(0, 1), UInt8Array::from(vec![3])).unwrap();
        writer.write(deletes);
        writer.flush();
        assert_eq!(writer.bad.take(), [], "{name}");
        writer.close();
        let distinct = if matches!(name, "boolean" | "dictionary") { 2 } else { 3 };
        let rows = bench.read("keyed").1;
        assert_eq!(rows.len(), distinct - 1, "{name}: {rows:?}");
        assert!(rows.iter().all(|row| row.ends_with("|2")), "{name}: {rows:?}");
    }
}

pub(crate) fn nested_types_are_refused_by_name(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let list = DataType::new_list(DataType::Int32, true);
    let relation = relation("t", &[("id", DataType::Int64), ("tags", list.clone())], &["id"]);
    let arrays: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1])), new_null_array(&list, 1)];
    let rows = RecordBatch::try_new(relation.columns().clone(), arrays).unwrap();
    let (mut writer, _) = bench.start();
    writer.write(Batch::inserts(relation, rows).unwrap());
    let error = writer.try_flush().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert!(error.to_string().contains("tags"), "{error:?}");
}
