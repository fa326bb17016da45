//! What is between rows and a component, with functions in Rust in the place of components; `aqueduct_wasm` has tests
//! of components. Builds with the feature `wasm` run a component in the operator too.

use std::fmt;
use std::sync::Arc;

use aqueduct_model::{Batch, Change, ErrorKind, HumanDuration, Op, Relation, RelationName, Result};
use aqueduct_wasm::{Failed, Moment, Value};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array,
    Int64Array, ListArray, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use serde_json::json;

use super::super::ENTRY;
use super::super::returned::{Giver, Output};
use super::load::Call;
use super::work::{BoundComponent, bind};
use crate::projection::Projected;
use crate::tests::*;

type Given = Result<Vec<Value>, Failed>;

struct Pretend<F>(F);

impl<F> fmt::Debug for Pretend<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pretend")
    }
}

impl<F: Fn(&[Value]) -> Given + Send + Sync> Call for Pretend<F> {
    fn call(&self, row: &[Value]) -> Given {
        (self.0)(row)
    }
}

fn component(
    relation: &Relation,
    arguments: &[&str],
    returns: &[(&str, &str)],
    function: impl Fn(&[Value]) -> Given + Send + Sync + 'static,
) -> Result<BoundComponent> {
    let names: Vec<String> = arguments.iter().map(|name| (*name).to_owned()).collect();
    let returns: Vec<_> = returns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    let outputs = Output::all(&returns, Giver::Component)?;
    bind(Arc::new(Pretend(function)), &names, relation, outputs, HumanDuration::from_secs(1))
}

fn echo(row: &[Value]) -> Given {
    Ok(row.to_vec())
}

fn decimals(units: Vec<Option<i128>>) -> ArrayRef {
    Arc::new(Decimal128Array::from(units).with_precision_and_scale(12, 2).unwrap())
}

/// A column of each kind, with its SQL type and what a component gets of its first row; the second row is NULL.
fn kinds() -> Vec<(&'static str, ArrayRef, &'static str, Value)> {
    let moment = |seconds, nanoseconds| Moment { seconds, nanoseconds };
    let text = |text: &str| text.to_owned();
    vec![
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None])), "boolean", Value::Boolean(true)),
        ("tiny", Arc::new(Int8Array::from(vec![Some(-128), None])), "tinyint", Value::Integer(-128)),
        ("number", Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), "bigint", Value::Integer(i64::MIN)),
        ("real", Arc::new(Float32Array::from(vec![Some(0.5), None])), "real", Value::Float(0.5)),
        ("float", Arc::new(Float64Array::from(vec![Some(-0.1), None])), "double", Value::Float(-0.1)),
        ("price", decimals(vec![Some(-5), None]), "decimal(12,2)", Value::Decimal(text("-0.05"))),
        ("text", Arc::new(StringArray::from(vec![Some("日"), None])), "varchar", Value::Text(text("日"))),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\xff\0"[..]), None])), "bytea", Value::Bytes(vec![255, 0])),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None])), "date", Value::Date(-1)),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None])),
            "timestamp(6)",
            Value::DateTime(moment(-1, 999_999_000)),
        ),
    ]
}

#[test]
fn cells_of_every_type_come_back_as_they_went_in() {
    for (name, column, sql_type, expected) in kinds() {
        let rows = RecordBatch::try_from_iter([(name, column.clone())]).unwrap();
        let relation = Relation::new(RelationName::table("t"), rows.schema(), &[] as &[&str], 1).unwrap();
        let batch = Batch::inserts(Arc::new(relation), rows).unwrap();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = seen.clone();
        let function = move |row: &[Value]| {
            kept.lock().unwrap().extend_from_slice(row);
            echo(row)
        };
        let bound = component(batch.relation(), &[name], &[("v", sql_type)], function).unwrap();
        let Projected { batch: out, refused } = bound.apply(&batch).unwrap();
        assert_eq!(refused, [], "{name}");
        assert_eq!(out.rows().column(1), &column, "{name}");
        assert_eq!(*seen.lock().unwrap(), [expected, Value::Null], "{name}");
    }
}

#[test]
fn other_types_go_in_exactly_or_not_at_all() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("at", Arc::new(TimestampSecondArray::from(vec![-1]).with_timezone("Europe/Berlin"))),
        ("time", Arc::new(Time64MicrosecondArray::from(vec![1]))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)])]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let relation = Relation::new(RelationName::table("t"), rows.schema(), &[] as &[&str], 1).unwrap();
    let batch = Batch::inserts(Arc::new(relation), rows).unwrap();
    let expected = vec![
        Value::Decimal(u64::MAX.to_string()),
        Value::Instant(Moment { seconds: -1, nanoseconds: 0 }),
        Value::Time(1_000),
        Value::Time(1_000),
    ];
    let function = move |row: &[Value]| Ok(vec![Value::Boolean(row == expected)]);
    let arguments = ["big", "at", "time", "time"];
    let bound = component(batch.relation(), &arguments, &[("v", "boolean")], function).unwrap();
    let out = bound.apply(&batch).unwrap();
    assert_eq!(ops_and_cells(&out.batch.select(&BooleanArray::from(vec![true])).unwrap()).len(), 1);
    let same = out.batch.rows().column_by_name("v").unwrap();
    assert_eq!(same.as_ref(), &BooleanArray::from(vec![true]) as &dyn arrow::array::Array);
    for (argument, expected) in [("list", "a component cannot get list: its type is List"), ("l", "t has no column l")]
    {
        let got = refusal(component(batch.relation(), &[argument], &[("v", "boolean")], echo).map(drop));
        assert!(got.contains(expected), "{got}");
    }
}

/// What a function that gives these values makes of one row: its column `v`, or the reason why there is none.
fn one(given: Given, sql_type: &str) -> Result<Option<String>, String> {
    let batch = inserts(&[row(1, 1, "secret")]);
    let bound = component(batch.relation(), &[], &[("v", sql_type)], move |_| given.clone()).unwrap();
    let out = bound.apply(&batch).unwrap();
    match out.refused.first() {
        Some((_, why)) => Err(why.clone()),
        None => Ok(ops_and_cells(&out.batch)[0].1[3].clone()),
    }
}

#[test]
fn nothing_is_converted_silently() {
    let moment = |seconds, nanoseconds| Moment { seconds, nanoseconds };
    let decimal = |digits: &str| Value::Decimal(digits.to_owned());
    let text = |text: &str| Value::Text(text.to_owned());
    for (value, sql_type, expected) in [
        (Value::Integer(300), "tinyint", Err("too large or too small")),
        (Value::Integer(3), "double", Ok("3.0")),
        (Value::Integer((1 << 53) + 1), "double", Err("gives a whole number, and the type is double")),
        (Value::Integer(3), "decimal(4,2)", Ok("3.00")),
        (Value::Integer(300), "decimal(4,2)", Err("a decimal with more digits")),
        (Value::Float(1.0), "bigint", Err("the component gives a floating point number, and the type is bigint")),
        (decimal("1.505"), "decimal(12,2)", Err("more digits behind the point (round it)")),
        (decimal("1.500"), "decimal(12,2)", Ok("1.50")),
        (decimal("2.0"), "bigint", Ok("2")),
        (decimal("1e3"), "decimal(12,2)", Err("a decimal that is none")),
        (decimal("secret"), "varchar", Err("a decimal that is none")),
        (text("1"), "bigint", Err("the component gives a text")),
        (text("2024-02-29"), "date", Err("the component gives a text")),
        (text("a"), "bytea", Err("the component gives a text")),
        (Value::Bytes(vec![65]), "varchar", Err("gives bytes, and the type is varchar")),
        (Value::Date(19_782), "date", Ok("2024-02-29")),
        (Value::Date(1), "timestamp", Err("gives a date, and")),
        (Value::DateTime(moment(1, 1)), "timestamp(6)", Err("more digits behind the second (round it)")),
        (Value::DateTime(moment(1, 1_000)), "timestamp(6)", Ok("1970-01-01T00:00:01.000001")),
        (Value::DateTime(moment(1, 1_000_000_000)), "timestamp(6)", Err("more nanoseconds than a second has")),
        (Value::DateTime(moment(i64::MAX, 0)), "timestamp(6)", Err("too far away")),
        (Value::DateTime(moment(1, 1)), "timestamp", Ok("1970-01-01T00:00:01.000000001")),
        (Value::Instant(moment(0, 0)), "timestamp(6)", Err("gives an instant, and")),
        (Value::Instant(moment(1, 0)), "timestamptz", Ok("1970-01-01T00:00:01Z")),
        (Value::Time(86_400_000_000_000), "time", Err("behind the end of the day")),
        (Value::Time(1_000_000_000), "time", Ok("00:00:01")),
        (Value::Null, "bigint", Ok("")),
    ] {
        let shown = format!("{value:?} as {sql_type}");
        match (one(Ok(vec![value]), sql_type), expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got.unwrap_or_default(), expected, "{shown}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected) && !got.contains("secret"), "{shown}: {got}"),
            (got, expected) => panic!("{shown}: {got:?} and not {expected:?}"),
        }
    }
}

#[test]
fn a_row_that_fails_is_a_bad_row_in_all_columns_and_another_failure_stops_the_flow() {
    assert_eq!(one(Err(Failed::Row("no".into())), "bigint"), Err("column v: no".to_owned()));
    for count in [0, 2] {
        let got = one(Ok(vec![Value::Null; count]), "bigint").unwrap_err();
        assert_eq!(got, format!("column v: the component gives {count} values, and `returns` names 1"));
    }
    let batch = inserts(&[row(1, 1, "x")]);
    for (failed, kind, setting) in [
        (Failed::Time, ErrorKind::Timeout, Some("limits.time")),
        (Failed::Host("no".into()), ErrorKind::Unavailable, None),
    ] {
        let bound = component(batch.relation(), &[], &[("v", "bigint")], move |_| Err(failed.clone())).unwrap();
        let error = bound.apply(&batch).err().unwrap();
        assert_eq!((error.kind(), error.setting()), (kind, setting));
    }
}

#[test]
fn absent_stays_absent_and_ddl_is_translated() {
    let events = [(Op::UpdateAfter, row(1, 5, "x"), true), (Op::UpdateAfter, row(2, 5, "x"), false)];
    let batch = batch(&relation(), &events);
    let bound = component(batch.relation(), &["n"], &[("v", "bigint"), ("s", "bigint")], |row| {
        Ok(vec![row[0].clone(), Value::Integer(7)])
    });
    let bound = bound.unwrap();
    let out = bound.apply(&batch).unwrap();
    for column in [2, 3] {
        let present: Vec<_> = out.batch.present(column).unwrap().iter().flatten().collect();
        assert_eq!((present, &out.refused), (vec![false, true], &Vec::new()));
    }
    let change = Change::AlterColumns(vec!["n".into()]);
    let expected = Change::AlterColumns(vec!["n".into(), "s".into(), "v".into()]);
    assert_eq!(bound.translate(batch.relation(), &change), Some(expected));
    let got = refusal(component(&relation(), &["n"], &[("id", "bigint")], echo).map(drop));
    assert!(got.contains("the key of t (id) would be lost") && got.contains("setting returns"), "{got}");
}

proptest! {
    #[test]
    fn folding_the_output_is_computing_the_table(events in changelog(), size in 1usize..20) {
        // Refuses what is behind 15, doubles the rest.
        let function = |row: &[Value]| match row {
            [Value::Integer(n)] if *n > 15 => Err(Failed::Row("too much".into())),
            [Value::Integer(n)] => Ok(vec![Value::Integer(n * 2)]),
            _ => Ok(vec![Value::Null]),
        };
        let bound = component(&relation(), &["n"], &[("n", "bigint")], function).unwrap();
        let batches = cut(&events, size);
        let made: Vec<Batch> = batches.iter().map(|batch| bound.apply(batch).unwrap().accepted().unwrap()).collect();
        let script = "if n == () { () } else if n > 15 { throw \"too much\" } else { n * 2 }";
        let script = json!({"columns": {"n": {"script": script, "type": "bigint"}}});
        let expected = run(ENTRY, &script, &cut(&events, usize::MAX)).unwrap();
        prop_assert_eq!(fold(&made), fold(&expected.port(0)), "a component is to rows what a script is");
    }
}

#[test]
fn mistakes_are_found_when_the_flow_is_planned() {
    let settings = json!({"file": "score.wasm", "function": "score", "arguments": ["n"]});
    let returns = json!({"v": "bigint"});
    for (config, expected) in [
        (json!({"component": settings}), "setting component: the columns that `component` gives are not named"),
        (json!({"component": settings, "script": "1", "returns": returns}), "use two tasks"),
        (json!({"component": settings, "returns": {"v": "interval"}}), "setting returns.v"),
        (json!({"component": settings, "returns": returns, "limits": {"memory": "5GiB"}}), "setting limits.memory"),
        (json!({"component": {"file": "score.wasm", "function": "score"}, "returns": returns}), "arguments"),
        (json!({"component": settings, "returns": returns, "limits": {"fuel": 0}}), "fuel"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
}

#[cfg(not(feature = "wasm"))]
#[test]
fn a_build_without_components_says_so_when_the_flow_is_planned() {
    let settings = json!({"file": "score.wasm", "function": "score", "arguments": ["n"]});
    let got = refusal((ENTRY.check)(&json!({"component": settings, "returns": {"v": "bigint"}})));
    assert!(got.contains("setting component: this build of aqueduct runs no WebAssembly components"), "{got}");
    assert!(got.contains("--features wasm"), "{got}");
}

#[cfg(feature = "wasm")]
mod with_wasm {
    use super::*;

    /// Doubles its number; refuses NULL with a text of its own.
    const TWICE: &str = include_str!("../../../../wasm/examples/twice.wat");

    fn settings(file: &std::path::Path, function: &str) -> serde_json::Value {
        json!({"component": {"file": file, "function": function, "arguments": ["n"]}, "returns": {"n": "bigint"}})
    }

    #[test]
    fn a_component_runs_in_the_operator() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("twice.wat");
        std::fs::write(&file, TWICE).unwrap();
        let mut config = settings(&file, "twice");
        config["columns"] = json!({"m": "n + 1"});
        let batch = inserts(&[row(1, 4, "x"), row(2, None, "y"), row(3, -5, "z")]);
        let out = run(ENTRY, &config, &[batch]).unwrap();
        assert_eq!(numbers(&out.port(0)[0], "m"), [Some(9), Some(-9)]);
        assert_eq!(out.bad[0].reasons, ["column n: there is no number to double"]);
    }

    #[test]
    fn files_that_do_not_do_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("twice.wat");
        let got = |file: &std::path::Path, function: &str| {
            refusal(run(ENTRY, &settings(file, function), &[inserts(&[row(1, 1, "x")])]))
        };
        assert!(got(&file, "twice").contains("setting component.file: cannot read the component"));
        std::fs::write(&file, TWICE).unwrap();
        assert!(got(&file, "thrice").contains("setting component.function: the component exports no function thrice"));
        std::fs::write(&file, TWICE.replace("(component", "(component (import \"log\" (func))")).unwrap();
        assert!(got(&file, "twice").contains("setting component.file: the component imports log"));
    }
}
