use std::sync::Arc;

use aqueduct_model::{Batch, Change, InputPort, Op, OperatorContext, Relation, RelationName, SchemaChange};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::json;

use super::{ENTRY, Expression};
use crate::tests::*;

fn query(text: &str) -> serde_json::Value {
    json!({"query": text})
}

fn one(text: &str) -> Batch {
    run(ENTRY, &query(text), &[inserts(&[row(1, 2, "x")])]).unwrap().port(0)[0].clone()
}

fn columns(batch: &Batch) -> Vec<&str> {
    batch.relation().columns().fields().iter().map(|field| field.name().as_str()).collect()
}

fn orders() -> Batch {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("amount", DataType::Decimal128(12, 2), true),
        Field::new("Unit Price", DataType::Int64, true),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(Decimal128Array::from(vec![10_000, 200_000]).with_precision_and_scale(12, 2).unwrap()),
        Arc::new(Int64Array::from(vec![5, 6])),
    ];
    let name = RelationName { catalog: None, schema: Some("shop".into()), table: "orders".into() };
    let relation = Relation::new(name, schema.clone(), &["id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), RecordBatch::try_new(schema, columns).unwrap()).unwrap()
}

#[test]
fn orders_are_enriched() {
    let text =
        "select *, amount * 0.19 as vat, case when amount > 1000 then 'big' else 'small' end as size from orders";
    let out = run(ENTRY, &query(text), &[orders()]).unwrap();
    let batch = &out.port(0)[0];
    assert_eq!(columns(batch), ["id", "amount", "Unit Price", "vat", "size"]);
    assert_eq!(batch.relation().key_names(), ["id"]);
    assert!(matches!(batch.rows().column(3).data_type(), DataType::Decimal128(..)), "money stays exact");
    let cells: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells[3..].to_vec()).collect();
    assert_eq!(cells, [[Some("19.0000".into()), Some("small".into())], [Some("380.0000".into()), Some("big".into())]]);
}

#[test]
fn names_are_found_exactly_then_without_case() {
    for text in [
        "select ID, \"Unit Price\" as p from orders",
        "select o.id, o.\"Unit Price\" as p from shop.orders as o",
        "select orders.Id, orders.\"Unit Price\" p from ORDERS",
        "select id, \"Unit Price\" as p from input;",
        "select o.id, \"Unit Price\" as p from \"orders\" o",
    ] {
        let out = run(ENTRY, &query(text), &[orders()]).unwrap();
        assert_eq!(columns(&out.port(0)[0]), ["id", "p"], "{text}");
    }
    assert!(
        refusal(run(ENTRY, &query("select id, \"unit price\" as p from orders"), &[orders()])).contains("Unit Price")
    );
}

#[test]
fn the_wildcard_takes_its_options() {
    assert_eq!(columns(&one("select * except (n) from t")), ["id", "s"]);
    assert_eq!(columns(&one("select * exclude n from t")), ["id", "s"]);
    assert_eq!(columns(&one("select * rename (n as m) from t")), ["id", "m", "s"]);
    assert_eq!(columns(&one("select t.*, n + 1 as m from t")), ["id", "n", "s", "m"]);
    let replaced = one("select * replace (n * 10 as n) from t");
    assert_eq!((columns(&replaced), numbers(&replaced, "n")), (vec!["id", "n", "s"], vec![Some(20)]));
}

#[test]
fn tables_that_are_not_named_pass_or_are_dropped() {
    let batches = [orders(), inserts(&[row(1, 2, "x")])];
    let pass = run(ENTRY, &query("select id from orders"), &batches).unwrap();
    assert_eq!(pass.port(0).iter().map(|batch| columns(batch).len()).collect::<Vec<_>>(), [1, 3]);
    let drop = json!({"query": "select id from orders", "others": "drop", "table": "ids"});
    let drop = run(ENTRY, &drop, &batches).unwrap();
    assert_eq!((drop.port(0).len(), drop.port(0)[0].relation().name().to_string()), (1, "ids".to_owned()));
}

#[test]
fn an_input_is_named_by_its_task() {
    let mut operator = build(ENTRY, &query("select id from other")).unwrap();
    let mut out = Memory::default();
    block_on(async {
        let inputs = vec!["input".to_owned(), "other".to_owned()];
        operator.open(&OperatorContext { inputs, ..OperatorContext::default() }, None).await.unwrap();
        operator.process(InputPort(0), orders(), &mut out).await.unwrap();
        operator.process(InputPort(1), orders(), &mut out).await.unwrap();
    });
    assert_eq!(out.port(0).iter().map(|batch| columns(batch).len()).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn what_cannot_be_run_is_refused_with_a_way_out() {
    for (text, expected) in [
        ("with a as (select 1) select id from a", "names no table"),
        ("select id from generate_series(1, 10)", "a table function"),
        ("select id, now() as at from t", "another value each time"),
        ("select id, random() as at from t", "another value each time"),
        ("select id, uper(s) as x from t", "did you mean `upper`?"),
        ("select id, upper(s) from t", "name it: `upper(s) as <name>`"),
        ("select 1 as a; select 2 as b", "expected the end"),
        ("drop table t", "only a `select`"),
        ("copy t to 'x'", "setting query"),
        ("create external table x (a int) stored as csv location '/etc/passwd'", "setting query"),
        ("selec id from t", "setting query"),
        ("select id from", "setting query"),
        ("", "empty"),
        ("select 1 as x", "names no table"),
    ] {
        let got = refusal((ENTRY.check)(&query(text)));
        assert!(got.contains(expected), "{text}: {got}");
        assert!(got.contains("hint: "), "{text}: {got}");
    }
}

#[test]
fn a_query_that_is_not_stateless_needs_the_end_of_its_inputs() {
    for text in [
        "select sum(n) as s from t",
        "select row_number() over () as r from t",
        "select distinct id from t",
        "select id from t order by id",
        "select id from t limit 3",
        "select id from t group by id",
        "select t.id from t join u on t.id = u.id",
        "select t.id from t, u",
        "select id from t union all select id from u",
        "with a as (select id from t) select id from a",
        "select id from (select * from t) as a",
        "select id from t where n in (select n from u)",
        "select id, (select max(id) from t) as x from t",
        "select unnest(make_array(n, n)) as x from t",
    ] {
        assert!((ENTRY.check)(&query(text)).unwrap().needs_end, "{text}");
    }
    for text in ["select id from t", "select *, abs(n) as m from t where n > 1 and s in ('a', 'b')"] {
        let properties = (ENTRY.check)(&query(text)).unwrap();
        assert!(!properties.needs_end && !properties.stateful, "{text}");
    }
}

#[test]
fn what_does_not_fit_the_table_is_refused() {
    for (text, expected) in [
        ("select id, nn from t", "t has no column nn"),
        ("select n from t", "the key of t (id) would be lost"),
        ("select id, n as id from t", "two output columns"),
        ("select id from t where s", "is not a condition"),
        ("select id, n + s as x from t", "does not fit the columns of t"),
        ("select * except (x) from t", "t has no column x"),
        ("select id, u.n from t", "u"),
    ] {
        let got = refusal(run(ENTRY, &query(text), &[inserts(&[row(1, 1, "x")])]));
        assert!(got.contains(expected), "{text}: {got}");
    }
}

#[test]
fn deep_and_long_texts_are_refused_not_crashed_on() {
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Expression::parse(&deep).is_err());
    for nested in [
        format!("{}n{}", "abs(".repeat(400), ")".repeat(400)),
        format!("{}n{}", "case when n > 0 then ".repeat(200), " end".repeat(200)),
        format!("{}n", "not ".repeat(900)),
        format!("{}n", "- ".repeat(900)),
    ] {
        assert!(Expression::parse(&nested).is_err(), "{nested}");
    }
    let query = format!("{}select 1 as x from t{}", "select a from (".repeat(300), ")".repeat(300));
    assert!((ENTRY.check)(&json!({ "query": query })).is_err());
    let indexed = Expression::parse(&format!("n{}", "[1]".repeat(600))).and_then(|indexed| indexed.bind(&relation()));
    assert!(indexed.is_err());
    let listed = format!("cast(n as {}int{})", "array<".repeat(500), ">".repeat(500));
    drop(Expression::parse(&listed).and_then(|listed| listed.bind(&relation())));
    assert!(Expression::parse(&format!("{}n{}", "abs(".repeat(12), ")".repeat(12))).is_ok());
    assert!(Expression::parse(&vec!["n"; 5_000].join("+")).is_err());
    assert!(Expression::parse(&format!("'{}'", "x".repeat(100_000))).is_err());
}

#[test]
fn the_longest_chain_that_is_allowed_is_planned() {
    // On a stack as small as a worker thread's.
    let chain = vec!["n > 0"; 490].join(" and ");
    let sum = vec!["n"; 1_000].join(" + ");
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let planned = thread.spawn(move || {
        for text in [chain, sum] {
            let bound = Expression::parse(&text).and_then(|expression| expression.bind(&relation())).unwrap();
            bound.evaluate(inserts(&[row(1, 2, "x")]).rows()).unwrap();
        }
    });
    planned.unwrap().join().unwrap();
}

#[test]
fn expressions_say_what_they_are() {
    let bound = Expression::parse("coalesce(n, 0) + 1").unwrap().bind(&relation()).unwrap();
    assert_eq!((bound.data_type(), bound.columns(), bound.plain_column()), (&DataType::Int64, &[1][..], None));
    let plain = Expression::parse("T.N").unwrap().bind(&relation()).unwrap();
    assert_eq!(plain.plain_column(), Some(1));
    assert!(Expression::parse("1 + 1").unwrap().bind(&relation()).unwrap().is_constant());
    let text = Expression::parse("cast(n as varchar) || s").unwrap().bind(&relation()).unwrap();
    assert_eq!(text.data_type(), &DataType::Utf8);
    for (text, zone) in [("cast(s as timestamptz)", Some("UTC")), ("to_timestamp(n)", None)] {
        let bound = Expression::parse(text).unwrap().bind(&relation()).unwrap();
        assert_eq!(bound.data_type(), &DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Arc::from)), "{text}");
    }
    let batch = inserts(&[row(1, 2, "x")]);
    let values = text.evaluate(batch.rows()).unwrap();
    assert_eq!(values.as_ref(), &StringArray::from(vec!["2x"]) as &dyn arrow::array::Array);
}

#[test]
fn a_row_that_cannot_be_computed_goes_whole_to_the_bad_rows() {
    let rows = [row(1, 1, "left out"), row(2, 0, "bad"), row(3, 5, "good")];
    let out = run(ENTRY, &query("select id, 10 / n as x from t where id > 1"), &[inserts(&rows)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "x"), [Some(2)]);
    assert_eq!(out.bad.len(), 1);
    assert_eq!(
        (out.bad[0].row["s"].as_str(), out.bad[0].reasons[0].as_str()),
        (Some("bad"), "column x: division by zero")
    );
}

#[test]
fn ddl_follows_the_wildcard() {
    let change = |text: &str, change: Change| {
        let out = run_change(ENTRY, &query(text), SchemaChange::new(relation(), change)).unwrap();
        out.changes
            .into_iter()
            .map(|(_, change)| (change.change, change.relation.columns().fields().len()))
            .collect::<Vec<_>>()
    };
    let added = || Change::AddColumns(vec!["s".into()]);
    assert_eq!(change("select *, n + 1 as m from t", added()), [(added(), 4)]);
    assert_eq!(change("select id from t", added()), []);
    assert_eq!(change("select id from u", added()), [(added(), 3)], "another table passes");
}

fn expected(rows: impl IntoIterator<Item = Row>) -> Vec<Vec<Option<String>>> {
    shown(rows.into_iter().filter(|(_, n, _)| n.is_some_and(|n| n > 0)).map(|(id, n, s)| (id, n.map(|n| n * 3), s)))
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_query(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &query("select id, n * 3 as n, s from t where n > 0"), &cut(&events, size)).unwrap();
        let got: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells).collect();
        prop_assert_eq!(got, rows.into_iter().flat_map(|row| expected([row])).collect::<Vec<_>>());
    }

    #[test]
    fn folding_the_output_is_querying_the_table(events in changelog(), size in 1usize..20) {
        let out = run(ENTRY, &query("select id, n * 3 as n, s from t where n > 0"), &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        prop_assert_eq!(fold(&out.port(0)), expected(fold_events(&events)));
    }
}
