use std::sync::Arc;

use aqueduct_model::{Batch, Change, ErrorKind, Op, Relation, RelationName, SchemaChange};
use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, ListArray, RecordBatch, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::ENTRY;
use crate::tests::*;

fn one(script: &str, sql_type: &str) -> Value {
    json!({"columns": {"v": {"script": script, "type": sql_type}}})
}

fn cells(batch: &Batch, column: &str) -> Vec<Option<String>> {
    let index = batch.relation().columns().index_of(column).unwrap();
    ops_and_cells(batch).into_iter().map(|(_, cells)| cells[index].clone()).collect()
}

/// What the script gives for one row, or why it does not.
fn given(script: &str, sql_type: &str, batch: &Batch) -> Result<Option<String>, String> {
    let out = run(ENTRY, &one(script, sql_type), std::slice::from_ref(batch)).unwrap();
    match out.bad.first() {
        Some(bad) => Err(bad.reasons[0].clone()),
        None => Ok(cells(&out.port(0)[0], "v").remove(0)),
    }
}

#[test]
fn scripts_and_expressions_build_on_each_other() {
    let config = json!({
        "script": "let twice = |x| x * 2;\n#{ a: twice.call(n), s: if row.s == \"x\" { () } else { s + \"!\" } }",
        "returns": {"a": "bigint", "s": "varchar"},
        "columns": {"b": "a + 1", "c": {"script": "b * a", "type": "bigint"}},
    });
    let out = run(ENTRY, &config, &[inserts(&[row(1, 4, "x"), row(2, 5, "y")])]).unwrap();
    let batch = &out.port(0)[0];
    let names: Vec<_> = batch.relation().columns().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "n", "s", "a", "b", "c"]);
    assert_eq!(numbers(batch, "c"), [Some(72), Some(110)]);
    assert_eq!(cells(batch, "s"), [None, Some("y!".to_owned())]);
}

fn typed() -> Batch {
    let decimals = Decimal128Array::from(vec![Some(1_050)]).with_precision_and_scale(12, 2).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1]))),
        ("price", Arc::new(decimals)),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"))),
        ("big", Arc::new(UInt64Array::from(vec![u64::MAX]))),
        ("unit price", Arc::new(Int64Array::from(vec![9]))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)])]))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let relation = Relation::new(RelationName::table("t"), rows.schema(), &["id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

#[test]
fn nothing_is_converted_silently() {
    for (script, sql_type, expected) in [
        ("price * 3 + decimal(\"0.005\")", "decimal(12,3)", Ok("31.505")),
        ("(price * decimal(\"0.19\")).round(2)", "decimal(12,2)", Ok("2.00")),
        ("price * decimal(\"0.19\")", "decimal(12,2)", Err("more digits behind the point (round it)")),
        ("price.div(3, 4)", "decimal(12,4)", Ok("3.5000")),
        ("price * 0.19", "double", Err("there is no function * (decimal, f64)")),
        ("price.to_float() * 2.0", "double", Ok("21.0")),
        ("price > 10 && 11 > price && price == decimal(\"10.5\")", "boolean", Ok("true")),
        ("decimal(\"100000\")", "decimal(5,0)", Err("a decimal with more digits")),
        ("price", "bigint", Err("no whole number")),
        ("price * 2", "bigint", Ok("21")),
        ("300", "tinyint", Err("too large or too small")),
        ("1.0", "bigint", Err("the script gives a floating point number, and the type is bigint")),
        ("1", "varchar", Err("the script gives a whole number")),
        ("\"1\"", "bigint", Err("the script gives a text")),
        ("3", "double", Ok("3.0")),
        ("9007199254740993", "double", Err("a whole number")),
        ("at", "varchar", Ok("1970-01-01T00:00:01.500Z")),
        ("\"2024-02-30\"", "date", Err("a text that is none")),
        ("\"2024-02-29\"", "date", Ok("2024-02-29")),
        ("big", "bigint", Err("too large")),
        ("big - 1", "decimal(20,0)", Ok("18446744073709551614")),
        ("print(price); debug(1); 1", "bigint", Ok("1")),
        ("row[\"unit price\"]", "bigint", Ok("9")),
        ("row.list", "bigint", Err("there is no property list")),
        ("()", "bigint", Ok("")),
        ("[1]", "bigint", Err("the script gives a list")),
    ] {
        let got = given(script, sql_type, &typed());
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got.unwrap_or_default(), expected, "{script}"),
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{script}: {got}"),
            (got, expected) => panic!("{script}: {got:?} and not {expected:?}"),
        }
    }
    let got = refusal(run(ENTRY, &one("list", "bigint"), &[typed()]));
    assert!(got.contains("a script cannot see list") && got.contains("setting columns.v"), "{got}");
}

#[test]
fn a_failing_row_is_a_bad_row_without_its_values() {
    let rows = [row(1, 0, "secret"), row(2, 5, "x")];
    let out = run(ENTRY, &one("let a = 10;\na / n", "bigint"), &[inserts(&rows)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "v"), [Some(2)]);
    assert_eq!(out.bad[0].reasons, ["column v: division by zero (line 2, column 3 of the script)"]);
    let mut config = one("10 / n", "bigint");
    config["on_error"] = "set_null".into();
    let out = run(ENTRY, &config, &[inserts(&rows)]).unwrap();
    assert_eq!((numbers(&out.port(0)[0], "v"), out.bad.len()), (vec![None, Some(2)], 0));
    for (script, expected) in [
        ("throw \"no amount\"", "no amount (line 1"),
        ("throw s", "the script refuses it"),
        ("fn f(x) { throw x } f(s)", "the script refuses it"),
        ("row[s]", "there is no such property"),
        ("row.n + s", "the script gives a text"),
        ("row.n - s", "there is no function - (i64"),
        ("() + n", "(i64"),
        ("9223372036854775807 + id", "a number is too large"),
        ("[1, 2][id + 7]", "an index is out of bounds"),
        ("parse_int(s)", "column v: "),
        ("decimal(s)", "a value is no decimal"),
        ("if s { 1 } else { 2 }", "string where bool is needed"),
    ] {
        let why = given(script, "bigint", &inserts(&rows)).unwrap_err();
        let is_told = why.contains(expected) || (expected == "(i64" && why.contains("there is no function"));
        assert!(is_told && !why.contains("secret"), "{script}: {why}");
    }
    for (script, expected) in [
        ("7", "the script gives a whole number, and not a map"),
        ("#{}", "the script does not give it"),
        ("#{ v: 1, w: 2 }", "a column that `returns` does not name"),
    ] {
        let config = json!({"script": script, "returns": {"v": "bigint"}});
        let out = run(ENTRY, &config, &[inserts(&rows)]).unwrap();
        assert!(out.bad[0].reasons[0].contains(expected), "{script}: {:?}", out.bad[0].reasons);
    }
}

#[test]
fn scripts_are_bounded() {
    for (script, expected) in [
        ("loop {}", "it takes too many steps"),
        ("fn f(x) { f(x + 1) } f(1)", "functions call each other too deeply"),
        ("let s = \"x\"; loop { s += s }", "too large a value"),
        ("let a = [1]; loop { a.push(a) }", "too large a value"),
        ("let m = #{}; let i = 0; loop { m[`k${i}`] = i; i += 1 }", "too "),
        ("let s = \"x\"; s.pad(100000000, ' '); 1", "too large a value"),
        ("let a = []; a.pad(100000000, 1); 1", "too large a value"),
        ("blob(100000000).len()", "too large a value"),
    ] {
        let got = given(script, "bigint", &inserts(&[row(1, 1, "x")])).unwrap_err();
        assert!(got.contains(expected), "{script}: {got}");
    }
    let mut config = one("let i = 0; loop { i += 1 }", "bigint");
    config["limits"] = json!({"time": "1ms", "operations": 4_000_000_000_u32});
    let error = run(ENTRY, &config, &[inserts(&[row(1, 1, "x")])]).err().unwrap();
    assert_eq!((error.kind(), error.setting()), (ErrorKind::Timeout, Some("limits.time")));
}

#[test]
fn mistakes_are_found_when_the_flow_is_planned() {
    for (script, expected) in [
        ("let a = 1;\nlet b = a +;", "(line 2, column 12 of the script)"),
        ("eval(\"1\")", "eval"),
        ("import \"x\" as y; 1", "import"),
        ("fn f() { n } f()", "a function does not see `n`"),
        ("", ""),
    ] {
        let checked = (ENTRY.check)(&one(script, "bigint"));
        if expected.is_empty() {
            assert!(checked.is_ok());
            continue;
        }
        let got = refusal(checked);
        assert!(got.contains(expected) && got.contains("setting columns.v"), "{script}: {got}");
    }
    for (config, expected) in [
        (one("1", "json"), "columns.v"),
        (one("1", "interval"), "columns.v"),
        (json!({"script": "#{}"}), "setting script: the columns that `script` gives are not named"),
        (json!({"returns": {"a": "int"}, "columns": {"b": "1"}}), "setting returns:"),
        (json!({"script": "#{", "returns": {"a": "int"}}), "setting script: cannot read the script"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{config}: {got}");
    }
    let got = refusal(run(ENTRY, &one("nn + 1", "bigint"), &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("t has no column nn") && got.contains("setting columns.v"), "{got}");
    let got = given("sleep(1)", "bigint", &inserts(&[row(1, 1, "x")])).unwrap_err();
    assert!(got.contains("there is no function sleep"), "{got}");
    let key = json!({"columns": {"id": {"script": "id + 1", "type": "bigint"}}});
    let got = refusal(run(ENTRY, &key, &[inserts(&[row(1, 1, "x")])]));
    assert!(got.contains("the key of t (id) would be lost"), "{got}");
}

#[test]
fn absent_stays_absent_and_ddl_is_translated() {
    let events = [(Op::UpdateAfter, row(1, 5, "x"), true), (Op::UpdateAfter, row(2, 5, "x"), false)];
    let out = run(ENTRY, &one("10 / n", "bigint"), &[batch(&relation(), &events)]).unwrap();
    let present: Vec<_> = out.port(0)[0].present(3).unwrap().iter().flatten().collect();
    assert_eq!((present, out.bad.len()), (vec![false, true], 0));
    let out = run(ENTRY, &one("id + 1", "bigint"), &[batch(&relation(), &events)]).unwrap();
    assert!(out.port(0)[0].present(3).is_none(), "what is not named need not be there");
    let altered = SchemaChange::new(relation(), Change::AlterColumns(vec!["n".into()]));
    let out = run_change(ENTRY, &one("n + 1", "bigint"), altered).unwrap();
    assert_eq!(out.changes[0].1.change, Change::AlterColumns(vec!["n".into(), "v".into()]));
}

proptest! {
    #[test]
    fn folding_the_output_is_computing_the_table(events in changelog(), size in 1usize..20) {
        let config = json!({
            "script": "let m = if n == () { () } else { n * 2 };\n\
                       #{ n: m, s: (if s == () { \"\" } else { s }) + (if m == () { \"\" } else { m.to_string() }) }",
            "returns": {"n": "bigint", "s": "varchar"},
        });
        let out = run(ENTRY, &config, &cut(&events, size)).unwrap();
        let computed = fold_events(&events).into_iter().map(|(id, n, s)| {
            let n = n.map(|n| n * 2);
            (id, n, Some(s.unwrap_or_default() + n.map(|n| n.to_string()).unwrap_or_default().as_str()))
        });
        prop_assert_eq!(fold(&out.port(0)), shown(computed));
    }
}
