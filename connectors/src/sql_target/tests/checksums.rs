//! Every target sums its rows up to the checksum that is made of the rows here.

use std::sync::Arc;

use aqueduct_model::{Batch, Build, Checksum, Inspect, Relation};
use arrow::array::*;
use arrow::datatypes::{DataType, i256};
use serde_json::json;

use super::{Bench, Kit, block_on, orders, relation};
use crate::row_checksum::{cell_texts, digests};

const DAY_US: i64 = 86_400_000_000;

/// A column of each kind with its nastiest values, as targets hold them.
fn columns() -> Vec<(&'static str, ArrayRef)> {
    let years = [-719_162_i64, -141_428, -1, 0, 19_782, 2_932_896];
    let stamps: Vec<i64> = years
        .iter()
        .flat_map(|day| [day * DAY_US, day * DAY_US + 1, day * DAY_US + 500_000, day * DAY_US + DAY_US - 1])
        .collect();
    // One hour before and after the clocks of Europe change.
    let stamps: Vec<i64> = stamps.into_iter().chain([1_711_846_799_999_999, 1_711_846_800_000_000]).collect();
    let text = [
        "",
        " ",
        "a",
        "ab  ",
        "ünï 表",
        "\u{1F600}",
        "it's",
        "\"q\"",
        "back\\slash",
        "%_",
        "a,b",
        "3:abc,",
        "\t\r\n\u{1}\u{7f}",
        "NULL",
        "é",
        "e\u{301}",
        "A",
        "ß",
        "0012",
        "1e3",
    ];
    let decimal = |values: Vec<i128>, precision, scale| {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).unwrap()) as ArrayRef
    };
    let many = i256::from_string(&"9".repeat(60)).unwrap();
    vec![
        ("bool", Arc::new(BooleanArray::from(vec![true, false]))),
        ("int8", Arc::new(Int8Array::from(vec![i8::MIN, 0, i8::MAX]))),
        ("int16", Arc::new(Int16Array::from(vec![i16::MIN, -1, i16::MAX]))),
        ("int32", Arc::new(Int32Array::from(vec![i32::MIN, 10, i32::MAX]))),
        ("int64", Arc::new(Int64Array::from(vec![i64::MIN, 100, i64::MAX]))),
        ("uint8", Arc::new(UInt8Array::from(vec![0, u8::MAX]))),
        ("uint16", Arc::new(UInt16Array::from(vec![0, u16::MAX]))),
        ("uint32", Arc::new(UInt32Array::from(vec![0, u32::MAX]))),
        ("uint64", Arc::new(UInt64Array::from(vec![0, 1 << 63, u64::MAX]))),
        ("money", decimal(vec![0, 1, -1, 10, -50, 100, 123_456_789_012_345_678], 18, 2)),
        ("whole", decimal(vec![0, -7, 10_i128.pow(38) - 1], 38, 0)),
        ("fine", decimal(vec![0, -1, 10_i128.pow(28) - 10], 28, 28)),
        (
            "wide",
            Arc::new(
                Decimal256Array::from(vec![i256::ZERO, i256::from_i128(-10), many])
                    .with_precision_and_scale(60, 10)
                    .unwrap(),
            ),
        ),
        ("day", Arc::new(Date32Array::from(years.iter().map(|day| *day as i32).collect::<Vec<_>>()))),
        ("wall", Arc::new(TimestampMicrosecondArray::from(stamps.clone()))),
        ("moment", Arc::new(TimestampMicrosecondArray::from(stamps).with_timezone("UTC"))),
        ("clock", Arc::new(Time64MicrosecondArray::from(vec![0, 1, 500_000, 36_000_000_000, DAY_US - 1]))),
        (
            "span",
            Arc::new(DurationMicrosecondArray::from(vec![0, 1, -1, -500_000, 3_020_399_000_000, -3_020_399_000_000])),
        ),
        ("text", Arc::new(StringArray::from(text.to_vec()))),
        ("bytes", Arc::new(BinaryArray::from_vec(vec![b"", b"\0", b"\xff\x00\xc3", b"plain", b"a,\\'"]))),
    ]
}

/// `id` and one column; the last row has NULL in it.
fn table(name: &str, column: &ArrayRef) -> (Arc<Relation>, RecordBatch) {
    let nothing = new_null_array(column.data_type(), 1);
    let values = arrow::compute::concat(&[column.as_ref(), nothing.as_ref()]).unwrap();
    let of = relation(name, &[("id", DataType::Int64), ("value", column.data_type().clone())], &["id"]);
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..values.len() as i64));
    let rows = RecordBatch::try_new(of.columns().clone(), vec![ids, values]).unwrap();
    (of, rows)
}

fn expected(relation: &Relation, rows: &RecordBatch) -> Checksum {
    let mut checksum = Checksum::default();
    digests(&cell_texts(relation).unwrap(), rows).unwrap().into_iter().for_each(|digest| checksum.add(digest));
    checksum
}

/// A view of the target.
fn inspect(bench: &Bench<'_>) -> Box<dyn Inspect> {
    let Build::Sink { inspect, .. } = bench.kit.entry.build else { panic!("not a sink") };
    let mut inspect = inspect(&bench.settings()).unwrap().unwrap();
    block_on(inspect.open(&bench.context)).unwrap();
    inspect
}

pub(super) fn checksums_are_those_of_the_rows(kit: &Kit) {
    let bench = Bench::new(kit, json!({}));
    let tables: Vec<(Arc<Relation>, RecordBatch)> =
        columns().iter().map(|(name, column)| table(&format!("of_{name}"), column)).collect();
    let (mut writer, _) = bench.start();
    for (relation, rows) in &tables {
        writer.write(Batch::inserts(relation.clone(), rows.clone()).unwrap());
    }
    writer.flush();
    let bad: Vec<String> = writer.bad.take().into_iter().flat_map(|row| row.reasons).collect();
    assert_eq!(bad, [""; 0]);
    writer.close();
    let mut inspect = inspect(&bench);
    let mut wrong = Vec::new();
    for (relation, rows) in &tables {
        let found = block_on(inspect.checksum(relation)).unwrap();
        let is_span = relation.name().table == "of_span";
        assert_eq!(inspect.can_sum_up(relation), !(is_span && kit.entry.name == "PostgresOutput"));
        // Decimals that the target keeps as text have no checksum everywhere.
        let may_be_none = matches!(relation.name().table.as_str(), "of_span" | "of_fine" | "of_wide");
        match found {
            None if may_be_none => {}
            found if found == Some(expected(relation, rows)) => {}
            found => wrong.push(format!("{}: {found:?}, not {:?}", relation.name(), expected(relation, rows))),
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", kit.entry.name);
}

pub(super) fn checksums_show_what_changed(kit: &Kit) {
    let bench = Bench::new(kit, json!({ "mode": "soft_delete" }));
    let orders = orders();
    let rows = [(0, 1, "ink"), (0, 2, "pen"), (0, 3, "pad")];
    let (mut writer, _) = bench.start();
    writer.write(super::batch(&orders, &rows));
    writer.write(super::batch(&orders, &[(3, 2, "pen")]));
    writer.flush();
    writer.close();
    let left = super::batch(&orders, &[(0, 3, "pad"), (0, 1, "ink")]);
    let sum = |bench: &Bench<'_>, relation: &Relation| block_on(inspect(bench).checksum(relation)).unwrap();
    assert_eq!(sum(&bench, &orders), Some(expected(&orders, left.rows())), "without the row that is marked as gone");
    let other = relation("orders", &[("id", DataType::Int64), ("item", DataType::Binary)], &["id"]);
    let fewer = relation("orders", &[("id", DataType::Int64)], &["id"]);
    let unknown = relation("other", &[("id", DataType::Int64)], &["id"]);
    assert_eq!([sum(&bench, &other), sum(&bench, &fewer), sum(&bench, &unknown)], [None; 3]);
    for damage in [
        "UPDATE orders SET item = 'Ink' WHERE id = 1",
        "UPDATE orders SET item = NULL WHERE id = 1",
        "UPDATE orders SET item = '' WHERE id = 1",
        "DELETE FROM orders WHERE id = 3",
    ] {
        let before = sum(&bench, &orders);
        bench.sql(damage);
        assert_ne!(sum(&bench, &orders), before, "{damage}");
    }
}
