//! Components written as text: no compiler for WebAssembly is needed.

use std::time::Duration;

use super::{Component, check_build};
use crate::{About, Failed, Limits, Moment, Refused, Value};

/// The types of `wit/function.wit`, under their names.
const TYPES: &str = r#"
    (type $moment' (record (field "seconds" s64) (field "nanoseconds" u32)))
    (export $moment "moment" (type $moment'))
    (type $value' (variant (case "null") (case "boolean" bool) (case "integer" s64) (case "float" f64)
        (case "decimal" string) (case "text" string) (case "bytes" (list u8)) (case "date" s32) (case "time" u64)
        (case "instant" $moment) (case "date-time" $moment)))
    (export $value "value" (type $value'))"#;

/// A memory, and an allocator that only goes up. What a function gives is written at 16: whether it is an error, and
/// where the list or the text is. A cell takes 24 bytes: its case, and at 8 what it holds.
const MEMORY: &str = r#"
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
        (global.set $next (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    (func $give (param $is_error i32) (param $at i32) (param $length i32) (result i32)
        (i32.store8 (i32.const 16) (local.get $is_error))
        (i32.store (i32.const 20) (local.get $at))
        (i32.store (i32.const 24) (local.get $length))
        (i32.const 16))
    (func $integer (param $number i64) (result i32)
        (i32.store8 (i32.const 64) (i32.const 2))
        (i64.store (i32.const 72) (local.get $number))
        (call $give (i32.const 0) (i32.const 64) (i32.const 1)))"#;

/// What lifts the function `score` of a module to one of the component.
const LIFT: &str = r#"(param "row" (list $value)) (result (result (list $value) (error string)))
    (canon lift (core func $i "score") (memory $i "memory") (realloc (func $i "realloc")))"#;

/// A component whose function has this body; `$row` and `$cells` are where its row is and how long.
fn with_body(body: &str) -> String {
    with_module(&function(body))
}

fn function(body: &str) -> String {
    format!(r#"(func (export "score") (param $row i32) (param $cells i32) (result i32) {body})"#)
}

fn with_module(functions: &str) -> String {
    format!(
        r#"(component {TYPES} (core module $m {MEMORY} {functions}) (core instance $i (instantiate $m))
        (func (export "score") {LIFT}))"#
    )
}

const ECHO: &str = "(call $give (i32.const 0) (local.get $row) (local.get $cells))";

const LIMITS: Limits = Limits { fuel: 1_000_000, memory_bytes: 1 << 20, time: Duration::from_secs(60) };

fn load(text: &str) -> Component {
    Component::load(text.as_bytes(), "score", LIMITS).unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn refusal(file: impl AsRef<[u8]>) -> Refused {
    Component::load(file.as_ref(), "score", LIMITS).expect_err("this component is no good")
}

fn why(body: &str) -> String {
    match load(&with_body(body)).call(&[]) {
        Err(Failed::Row(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn cells() -> Vec<Value> {
    let moment = |seconds, nanoseconds| Moment { seconds, nanoseconds };
    vec![
        Value::Null,
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        Value::Float(-0.0),
        Value::Float(f64::INFINITY),
        Value::Decimal("-12345678901234567890123456789012345.678".to_owned()),
        Value::Text(String::new()),
        Value::Text("søndag 日曜日 \0".to_owned()),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0, 255, 128]),
        Value::Date(i32::MIN),
        Value::Date(19_782),
        Value::Time(86_399_999_999_999),
        Value::Instant(moment(-1, 999_999_999)),
        Value::DateTime(moment(i64::MAX, 0)),
    ]
}

#[test]
fn cells_of_every_type_go_in_and_come_back() {
    check_build().unwrap();
    let component = load(&with_body(ECHO));
    assert_eq!(component.call(&cells()).unwrap(), cells());
    assert_eq!(component.call(&[]).unwrap(), []);
    let cells: Vec<Value> = (0..1_000).map(Value::Integer).collect();
    assert_eq!(component.call(&cells).unwrap(), cells);
    let Value::Float(nan) = component.call(&[Value::Float(f64::NAN)]).unwrap().remove(0) else { panic!("no float") };
    assert!(nan.is_nan());
}

#[test]
fn nothing_is_left_of_a_row() {
    // Counts in a global and in memory: each row is the first.
    let count = r#"(global $calls (mut i64) (i64.const 0))
        (func (export "score") (param i32 i32) (result i32)
            (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
            (i64.store (i32.const 32) (i64.add (i64.load (i32.const 32)) (i64.const 10)))
            (i64.store (i32.const 65000) (i64.add (i64.load (i32.const 65000)) (i64.const 100)))
            (drop (memory.grow (i32.const 1)))
            (i64.store (i32.const 131000) (i64.add (i64.load (i32.const 131000)) (i64.const 1000)))
            (call $integer (i64.add (i64.add (global.get $calls) (i64.load (i32.const 32)))
                (i64.add (i64.load (i32.const 65000)) (i64.load (i32.const 131000))))))
        (data (i32.const 32) "\01")"#;
    let component = load(&with_module(count));
    for _ in 0..100 {
        assert_eq!(component.call(&[]).unwrap(), [Value::Integer(1 + 11 + 100 + 1_000)]);
    }
    // Also when rows in between fail half way.
    let fails = r#"(func (export "score") (param $row i32) (param $cells i32) (result i32)
        (i64.store (i32.const 32) (i64.add (i64.load (i32.const 32)) (i64.const 1)))
        (if (local.get $cells) (then unreachable))
        (call $integer (i64.load (i32.const 32))))"#;
    let component = load(&with_module(fails));
    for _ in 0..10 {
        assert!(component.call(&[Value::Null]).is_err());
        assert_eq!(component.call(&[]).unwrap(), [Value::Integer(1)]);
    }
}

#[test]
fn nan_has_the_same_bits_everywhere() {
    let bits = "(call $integer (i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0))))";
    assert_eq!(load(&with_body(bits)).call(&[]).unwrap(), [Value::Integer(0x7ff8_0000_0000_0000)]);
}

#[test]
fn a_row_that_fails_says_why() {
    let nested = "(call $f (i32.add (local.get 0) (i32.const 1)))";
    let deep = format!(
        r#"(func $f (param i32) (result i32) (i32.add {nested} (i32.const 1)))
        (func (export "score") (param i32 i32) (result i32) (call $f (i32.const 0)))"#
    );
    let mut limits = LIMITS;
    limits.fuel = 100_000_000;
    let component = Component::load(with_module(&deep).as_bytes(), "score", limits).unwrap();
    let Err(Failed::Row(got)) = component.call(&[]) else { panic!("it is too deep") };
    assert_eq!(got, "functions of the component call each other too deeply");
    for (body, expected) in [
        ("unreachable", "the component gives up (`unreachable`)"),
        ("(i32.div_u (i32.const 1) (local.get $cells))", "division by zero"),
        ("(i32.load (i32.const 100000000))", "the component fails (out of bounds memory access)"),
        ("(loop (br 0)) (i32.const 0)", "the component takes too many steps (`limits.fuel`)"),
        // A page at a time, all at once, and more than there can be.
        ("(loop (drop (memory.grow (i32.const 1))) (br 0)) (i32.const 0)", "too much memory (`limits.memory`)"),
        ("(memory.grow (i32.const 16))", "too much memory (`limits.memory`)"),
        ("(memory.grow (i32.const 65536))", "too much memory (`limits.memory`)"),
        // A list outside of the memory, and a cell of a case that there is none of.
        ("(call $give (i32.const 0) (i32.const 65528) (i32.const 1))", "gives no list of values"),
        (
            "(i32.store8 (i32.const 64) (i32.const 11)) (call $give (i32.const 0) (i32.const 64) (i32.const 1))",
            "gives no list",
        ),
    ] {
        let got = why(body);
        assert!(got.contains(expected), "{body}: {got}");
    }
    let body =
        "(if (i32.ne (memory.grow (i32.const 14)) (i32.const 1)) (then unreachable)) (call $integer (i64.const 7))";
    assert_eq!(load(&with_body(body)).call(&[]).unwrap(), [Value::Integer(7)], "so much is within the limit");
}

#[test]
fn what_is_given_is_bounded_too() {
    // Two thousand cells that name the same 60 KB: little in the component, 120 MB outside of it.
    let body = "(local $i i32)
        (loop
            (i32.store8 (i32.add (i32.const 4096) (local.get $i)) (i32.const 5))
            (i32.store (i32.add (i32.const 4104) (local.get $i)) (i32.const 0))
            (i32.store (i32.add (i32.const 4108) (local.get $i)) (i32.const 60000))
            (local.set $i (i32.add (local.get $i) (i32.const 24)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 48000))))
        (call $give (i32.const 0) (i32.const 4096) (i32.const 2000))";
    let got = why(body);
    assert!(got.contains("more than `limits.memory`"), "{got}");
}

#[test]
fn its_own_reason_is_told_if_it_is_no_value() {
    let told = r#"(func (export "score") (param $row i32) (param $cells i32) (result i32)
            (if (i32.eqz (local.get $cells)) (then (return (call $give (i32.const 1) (i32.const 2000) (i32.const 20)))))
            (call $give (i32.const 1) (i32.load (i32.add (local.get $row) (i32.const 8)))
                (i32.load (i32.add (local.get $row) (i32.const 12)))))
        (data (i32.const 2000) "the country is not known")"#;
    let component = load(&with_module(told));
    let own = |cells: &[Value]| component.call(cells).unwrap_err();
    assert_eq!(own(&[]), Failed::Row("the country is not k".to_owned()));
    for secret in ["4929 1234 5678 9012", "the", ""] {
        let got = own(&[Value::Text(secret.to_owned())]);
        assert_eq!(got, Failed::Row("the component refuses it".to_owned()), "{secret}");
    }
}

#[test]
fn time_is_no_property_of_a_row() {
    let limits = Limits { fuel: u64::MAX, time: Duration::from_millis(1), ..LIMITS };
    let text = with_body("(loop (br_if 0 (i32.eqz (local.get $cells)))) (call $integer (i64.const 1))");
    let component = Component::load(text.as_bytes(), "score", limits).unwrap();
    assert_eq!(component.call(&[]), Err(Failed::Time));
    let component = Component::load(text.as_bytes(), "score", Limits { fuel: u64::MAX, ..LIMITS }).unwrap();
    assert_eq!(component.call(&[Value::Null]).unwrap(), [Value::Integer(1)]);
}

#[test]
fn imports_are_refused_by_name_but_for_types() {
    for (import, expected) in [
        (r#"(import "log" (func))"#, "imports log (function)"),
        (
            r#"(import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))"#,
            "imports wasi:clocks/monotonic-clock@0.2.0 (its function now)",
        ),
        (r#"(import "wasi:io/error@0.2.0" (instance (export "error" (type (sub resource)))))"#, "(its resource error)"),
        (r#"(import "file" (type (sub resource)))"#, "imports file (resource)"),
        (r#"(import "lib" (core module))"#, "imports lib (module)"),
    ] {
        let refused = refusal(with_body(ECHO).replacen("(component", &format!("(component {import}"), 1));
        assert_eq!(refused.about, About::File);
        assert!(refused.text.contains(expected), "{refused:?}");
        assert_eq!(refused.hint.contains("without WASI"), import.contains("wasi:"), "{refused:?}");
    }
    // As `use types.{value}` in a world makes them.
    let types = TYPES.replace("(export $moment", "(export $m").replace("(export $value", "(export $v");
    let types = types.replace("$moment)", "$m)");
    let imported = format!(
        r#"(component (import "aqueduct:function/types@1.0.0" (instance $types {types}))
        (alias export $types "value" (type $value))
        (core module $m {MEMORY} {})
        (core instance $i (instantiate $m))
        (func (export "score") {LIFT}))"#,
        function(ECHO)
    );
    let imported =
        imported.replace("(export $m \"moment\" (type $moment'))", "(export \"moment\" (type $m (eq $moment')))");
    let imported =
        imported.replace("(export $v \"value\" (type $value'))", "(export \"value\" (type $v (eq $value')))");
    assert_eq!(load(&imported).call(&cells()).unwrap(), cells());
}

#[test]
fn the_function_is_found_by_its_name() {
    let inner = format!(
        "{TYPES} (core module $m {MEMORY} {}) (core instance $i (instantiate $m)) (func $score {LIFT})",
        function(ECHO)
    );
    let instance = |name: &str| {
        format!(
            r#"(instance (export "{name}") (export "moment" (type $moment)) (export "value" (type $value))
                (export "score" (func $score)))"#
        )
    };
    let one = format!("(component {inner} {})", instance("shop:prices/scoring"));
    let both = format!("(component {inner} {} {})", instance("shop:prices/scoring"), instance("shop:prices/more"));
    let call = |text: &str, function: &str| {
        Component::load(text.as_bytes(), function, LIMITS).map(|component| component.call(&[Value::Null]).unwrap())
    };
    assert_eq!(call(&one, "score").unwrap(), [Value::Null]);
    assert_eq!(call(&both, "shop:prices/more#score").unwrap(), [Value::Null]);
    for (text, function, expected, hint) in [
        (&both, "score", "several functions score", "shop:prices/scoring#score, shop:prices/more#score"),
        (&one, "scores", "no function scores", "it exports shop:prices/scoring#score"),
        (&one, "shop:prices/more#score", "no function shop:prices/more#score", "it exports"),
        (&"(component)".to_owned(), "score", "exports no function", "export a function of type"),
    ] {
        let refused = call(text, function).unwrap_err();
        assert_eq!(refused.about, About::Function);
        assert!(refused.text.contains(expected) && refused.hint.contains(hint), "{refused:?}");
    }
}

#[test]
fn what_is_no_such_component_is_refused() {
    let echo = with_body(ECHO);
    let binary = wat::parse_str(&echo).unwrap();
    assert_eq!(Component::load(&binary, "score", LIMITS).unwrap().call(&cells()).unwrap(), cells());
    let core = wat::parse_str("(module (func (export \"score\")))").unwrap();
    let one_result = echo.replace("(result (result (list $value) (error string)))", "(result (list $value))");
    let other_case = echo.replace("(case \"date\" s32)", "(case \"day\" s32)");
    let relaxed = "(drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))";
    let mut damaged = binary.clone();
    damaged.truncate(binary.len() / 2);
    let file = |text: &str| text.as_bytes().to_vec();
    for (bytes, about, expected) in [
        (core, About::File, "is a core module and not a component"),
        (file("(module)"), About::File, "is a core module and not a component"),
        (damaged, About::File, "the component cannot be used"),
        (vec![], About::File, "the file is no WebAssembly"),
        (file("fn score() {}"), About::File, "the file is no WebAssembly"),
        (file("(component (nothing))"), About::File, "the component's text cannot be read"),
        (file("(component (import \"lib\" (component)))"), About::File, "component imports are not supported"),
        (file(&one_result), About::Function, "the function has another type"),
        (file(&other_case), About::Function, "the function has another type"),
        (file(&with_body(&format!("{relaxed} {ECHO}"))), About::File, "relaxed"),
        (file(&echo.replace("(export \"memory\") 1)", "(export \"memory\") 1 2 shared)")), About::File, "shared"),
        (file(&echo.replace("(export \"memory\") 1)", "(export \"memory\") 17)")), About::File, "memory"),
        (
            file(&with_module(&format!("(func $start unreachable) (start $start) {}", function(ECHO)))),
            About::Limits,
            "cannot start: the component gives up",
        ),
        (
            file(&with_module(&format!("(func $start (loop (br 0))) (start $start) {}", function(ECHO)))),
            About::Limits,
            "cannot start: the component takes too many steps",
        ),
    ] {
        let refused = refusal(&bytes);
        assert_eq!(refused.about, about, "{refused:?}");
        assert!(refused.text.contains(expected) && !refused.hint.is_empty(), "{refused:?}");
    }
}

#[test]
fn threads_wait_for_each_other() {
    let component = load(&with_body(ECHO));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let component = &component;
            scope.spawn(move || {
                for _ in 0..50 {
                    assert_eq!(component.call(&[Value::Integer(thread)]).unwrap(), [Value::Integer(thread)]);
                }
            });
        }
    });
}

/// What wasmtime makes of `wit/function.wit`.
mod contract {
    wasmtime::component::bindgen!({ path: "wit", world: "function" });
}

#[test]
fn the_contract_is_what_components_are_tested_with() {
    let engine = super::engine::engine(LIMITS).unwrap();
    let component = wasmtime::component::Component::new(&engine, wat::parse_str(with_body(ECHO)).unwrap()).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    store.set_fuel(LIMITS.fuel).unwrap();
    store.set_epoch_deadline(1);
    let linker = wasmtime::component::Linker::new(&engine);
    let function = contract::Function::instantiate(&mut store, &component, &linker).unwrap();
    let given = function.call_score(&mut store, &[contract::Value::Date(1)]).unwrap().unwrap();
    assert!(matches!(given[..], [contract::Value::Date(1)]), "{given:?}");
}

#[test]
fn the_example_does_what_it_says() {
    let component = Component::load(include_bytes!("../../examples/twice.wat"), "twice", LIMITS).unwrap();
    assert_eq!(component.call(&[Value::Integer(21)]).unwrap(), [Value::Integer(42)]);
    let refused = component.call(&[Value::Null]).unwrap_err();
    assert_eq!(refused, Failed::Row("there is no number to double".to_owned()));
}
