use std::sync::Arc;

use aqueduct_model::{Batch, Change, Epoch, InputPort, Op, OperatorContext, Relation, RelationName, SchemaChange};
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::json;

use super::{ENTRY, widen};
use crate::tests::*;

fn table(name: &str, columns: Vec<(&str, ArrayRef)>) -> Batch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let relation = Relation::new(RelationName::table(name), schema.clone(), &["id"], 1).unwrap();
    let rows = RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

fn ids(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[test]
fn relations_pass_side_by_side() {
    let batches = [table("a", vec![("id", ids(&[1]))]), table("b", vec![("id", ids(&[2]))])];
    let out = run(ENTRY, &json!({}), &batches).unwrap();
    let names: Vec<_> = out.port(0).iter().map(|batch| batch.relation().name().to_string()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn one_table_by_name_widens_and_fills_with_null() {
    let a = table("a", vec![("id", ids(&[1])), ("n", Arc::new(Int32Array::from(vec![7])))]);
    let b = table("b", vec![("x", Arc::new(StringArray::from(vec!["y"]))), ("n", ids(&[1 << 40])), ("id", ids(&[2]))]);
    let out = run(ENTRY, &json!({"table": "all"}), &[a, b]).unwrap();
    let changes: Vec<_> = out.changes.iter().map(|(_, change)| change.change.clone()).collect();
    assert_eq!(
        changes,
        [Change::CreateTable, Change::AlterColumns(vec!["n".into()]), Change::AddColumns(vec!["x".into()])]
    );
    assert_eq!(out.changes.iter().map(|(_, change)| change.relation.version()).collect::<Vec<_>>(), [1, 2, 3]);
    let last = &out.port(0)[1];
    assert_eq!(ops_and_cells(last)[0].1, [Some("2".into()), Some((1i64 << 40).to_string()), Some("y".into())]);
    assert!(!last.has_absent(), "a column that a table does not have is NULL");
}

#[test]
fn one_table_by_position_takes_the_first_names() {
    let a = table("a", vec![("id", ids(&[1])), ("n", ids(&[7]))]);
    let b = {
        let batch = table("b", vec![("id", ids(&[2])), ("other", ids(&[8]))]);
        batch.slice(0, 1)
    };
    let out = run(ENTRY, &json!({"table": "all", "by": "position"}), &[a.clone(), b]).unwrap();
    assert_eq!(numbers(&out.port(0)[1], "n"), [Some(8)]);
    let short = table("c", vec![("id", ids(&[2]))]);
    let got = refusal(run(ENTRY, &json!({"table": "all", "by": "position"}), &[a, short]));
    assert!(got.contains("another number of columns"), "{got}");
}

#[test]
fn the_source_column_keeps_shards_apart() {
    let config = json!({"table": "all", "source_column": "shard"});
    let batches = [table("a", vec![("id", ids(&[1]))]), table("b", vec![("id", ids(&[1]))])];
    let out = run(ENTRY, &config, &batches).unwrap();
    assert_eq!(out.port(0)[0].relation().key_names(), ["shard", "id"]);
    assert_eq!(fold(&out.port(0)).len(), 2);
}

#[test]
fn columns_survive_a_restart() {
    let mut before = build(ENTRY, &json!({"table": "all"})).unwrap();
    let mut after = build(ENTRY, &json!({"table": "all"})).unwrap();
    let (a, b) = (table("a", vec![("id", ids(&[1])), ("n", ids(&[7]))]), table("b", vec![("id", ids(&[2]))]));
    let mut out = Memory::default();
    block_on(async {
        before.process(InputPort(0), a, &mut Memory::default()).await.unwrap();
        let state = before.snapshot(Epoch(1)).await.unwrap();
        after.open(&OperatorContext::default(), Some(state)).await.unwrap();
        after.process(InputPort(1), b, &mut out).await.unwrap();
    });
    assert!(out.changes.is_empty());
    assert_eq!(numbers(&out.port(0)[0], "n"), [None]);
}

#[test]
fn what_cannot_be_one_table_is_refused() {
    let a = table("a", vec![("id", ids(&[1])), ("n", ids(&[7]))]);
    let text = table("b", vec![("id", ids(&[1])), ("n", Arc::new(StringArray::from(vec!["x"])))]);
    let got = refusal(run(ENTRY, &json!({"table": "all"}), &[a.clone(), text]));
    assert!(got.contains("cast: { n: varchar }"), "{got}");
    let keyless = Relation::new(RelationName::table("c"), a.relation().columns().clone(), &[] as &[&str], 1).unwrap();
    let keyless = Batch::inserts(Arc::new(keyless), a.rows().clone()).unwrap();
    assert!(refusal(run(ENTRY, &json!({"table": "all"}), &[a, keyless])).contains("another key"));
    assert!(refusal((ENTRY.check)(&json!({"by": "position"}))).contains("only with `table`"));
    let truncate = SchemaChange::new(relation(), Change::Truncate);
    assert!(refusal(run_change(ENTRY, &json!({"table": "all"}), truncate)).contains("truncated"));
}

/// The same changes of another table, which has no column `s`.
fn narrower(batch: &Batch) -> Batch {
    let columns = Arc::new(batch.relation().columns().project(&[0, 1]).unwrap());
    let relation = Relation::new(RelationName::table("u"), columns, &["id"], 1).unwrap();
    batch.with_columns(Arc::new(relation), batch.rows().project(&[0, 1]).unwrap(), &[Some(0), Some(1)]).unwrap()
}

proptest! {
    #[test]
    fn shards_that_change_in_turns_are_side_by_side(
        one in changelog(), other in changelog(), size in 1usize..9, turns in prop::collection::vec(any::<bool>(), 200),
        crashes in prop::collection::vec(0usize..40, 0..4),
    ) {
        let (mut ones, mut others) = (cut(&one, size).into_iter().peekable(), cut(&other, size).into_iter().peekable());
        let mut batches = Vec::new();
        let mut turns = turns.into_iter();
        while ones.peek().is_some() || others.peek().is_some() {
            let first = turns.next().unwrap_or(true);
            let next = if first { ones.next().map(|batch| (0, batch)) } else { others.next().map(|batch| (1, narrower(&batch))) };
            batches.extend(next);
            if turns.len() == 0 {
                batches.extend(others.next().map(|batch| (1, narrower(&batch))));
            }
        }
        let config = json!({"table": "all", "source_column": "shard"});
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, None).unwrap();
        let cells = |shard: &str, rows: Vec<Row>, with_s: bool| {
            let of = |(id, n, s): Row| vec![Some(shard.to_owned()), Some(id.to_string()), n.map(|n| n.to_string()), s.filter(|_| with_s)];
            rows.into_iter().map(of).collect::<Vec<_>>()
        };
        let mut expected = cells("t", fold_events(&one), true);
        expected.extend(cells("u", fold_events(&other), false));
        expected.sort();
        let mut found = fold(&out.port(0));
        // As long as no table with it came, there was no column `s`.
        found.iter_mut().for_each(|cells| cells.resize(4, None));
        found.sort();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_changelog_through_one_table_is_itself(events in changelog(), size in 1usize..20) {
        let out = run(ENTRY, &json!({"table": "all"}), &cut(&events, size)).unwrap();
        prop_assert_eq!(fold(&out.port(0)), shown(fold_events(&events)));
        let absent = out.port(0).iter().any(aqueduct_model::Batch::has_absent);
        prop_assert_eq!(absent, events.iter().any(|(op, _, bare)| *bare && *op != Op::Insert));
    }
}

#[test]
fn widening_loses_nothing() {
    use DataType::*;
    let cases = [
        (Int8, Int64, Some(Int64)),
        (UInt8, Int8, Some(Int16)),
        (UInt32, Int8, Some(Int64)),
        (UInt64, Int8, Some(Decimal128(20, 0))),
        (Int32, Float32, Some(Float64)),
        (Int16, Float32, Some(Float32)),
        (Int64, Float64, None),
        (Int64, Decimal128(10, 2), Some(Decimal128(21, 2))),
        (Decimal128(38, 0), Decimal128(38, 38), Some(Decimal256(76, 38))),
        (Decimal128(12, 2), Float64, None),
        (Utf8, LargeUtf8, Some(LargeUtf8)),
        (Utf8, Int32, None),
        (Null, Date32, Some(Date32)),
        (Date32, Timestamp(TimeUnit::Second, None), None),
        (
            Timestamp(TimeUnit::Second, None),
            Timestamp(TimeUnit::Microsecond, None),
            Some(Timestamp(TimeUnit::Microsecond, None)),
        ),
        (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Nanosecond, None), None),
        (Timestamp(TimeUnit::Second, None), Timestamp(TimeUnit::Second, Some("UTC".into())), None),
        (Boolean, Int8, None),
    ];
    for (a, b, expected) in cases {
        assert_eq!(widen(&a, &b), expected, "{a} and {b}");
        assert_eq!(widen(&b, &a), expected, "{b} and {a}");
    }
}
