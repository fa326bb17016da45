//! Unique rows against a plain set, however the rows are cut, through crashes.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Change, ErrorKind, InputPort, Op, OperatorContext, SchemaChange};
use proptest::prelude::*;
use serde_json::json;

use super::ENTRY;
use crate::tests::{
    Memory, Row, batch, block_on, build, cut, inserts, ops_and_cells, refusal, relation, row, rows, run,
    run_with_crashes,
};

type Cells = Vec<Option<String>>;

fn cells(row: &Row) -> Cells {
    vec![Some(row.0.to_string()), row.1.map(|n| n.to_string()), row.2.clone()]
}

fn port(out: &Memory, port: usize) -> Vec<Cells> {
    out.port(port).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect()
}

fn batches(rows: &[Row], size: usize) -> Vec<(usize, Batch)> {
    let events: Vec<_> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
    cut(&events, size).into_iter().map(|batch| (0, batch)).collect()
}

/// Few different rows.
fn alike() -> impl Strategy<Value = Vec<Row>> {
    rows().prop_map(|rows| rows.into_iter().map(|(id, n, s)| (id % 4, n.map(|n| n % 3), s)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn each_row_comes_once(
        rows in alike(), size in 1usize..20, crashes in prop::collection::vec(0usize..8, 0..3), by_all: bool, counts: bool, on_disk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = json!({ "by": if by_all { vec![] } else { vec!["s", "n"] } });
        if counts {
            config["count_column"] = json!("times");
        }
        let out = run_with_crashes(ENTRY, &config, &batches(&rows, size), &crashes, on_disk.then(|| folder.path())).unwrap();
        let key = |row: &Row| if by_all { cells(row) } else { cells(row)[1..].to_vec() };
        let (mut first, mut again, mut times): (Vec<Cells>, Vec<Cells>, BTreeMap<Cells, i64>) = Default::default();
        for row in &rows {
            let count = times.entry(key(row)).or_default();
            *count += 1;
            if *count == 1 { first.push(cells(row)) } else { again.push(cells(row)) }
        }
        prop_assert_eq!(port(&out, 1), again);
        if !counts {
            prop_assert_eq!(port(&out, 0), first);
            return Ok(());
        }
        let mut expected: Vec<Cells> = first.into_iter().map(|mut cells| {
            let count = times[&if by_all { cells.clone() } else { cells[1..].to_vec() }];
            cells.push(Some(count.to_string()));
            cells
        }).collect();
        expected.sort();
        let mut got = port(&out, 0);
        got.sort();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn tables_are_apart_and_an_emptied_one_begins_anew() {
    let mut operator = build(ENTRY, &json!({})).unwrap();
    let mut out = Memory::default();
    let one = || inserts(&[row(1, 1, "a")]);
    let other = std::sync::Arc::new(relation().renamed(aqueduct_model::RelationName::table("u")));
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        operator.process(InputPort(0), one(), &mut out).await.unwrap();
        operator
            .process(InputPort(0), Batch::inserts(other.clone(), one().rows().clone()).unwrap(), &mut out)
            .await
            .unwrap();
        operator.on_schema(InputPort(0), SchemaChange::new(relation(), Change::Truncate), &mut out).await.unwrap();
        operator.process(InputPort(0), one(), &mut out).await.unwrap();
        operator.process(InputPort(0), Batch::inserts(other, one().rows().clone()).unwrap(), &mut out).await.unwrap();
    });
    assert_eq!((port(&out, 0).len(), port(&out, 1).len(), out.changes.len()), (3, 1, 2));
}

#[test]
fn what_cannot_be_unique_is_refused() {
    assert!((ENTRY.check)(&json!({ "count_column": "c" })).unwrap().needs_end);
    assert!(!(ENTRY.check)(&json!({})).unwrap().needs_end);
    assert!(refusal((ENTRY.check)(&json!({ "count_column": "" }))).contains("count_column: times"));
    let one = [inserts(&[row(1, 1, "a")])];
    assert!(refusal(run(ENTRY, &json!({ "by": ["m"] }), &one)).contains("setting by"));
    assert!(refusal(run(ENTRY, &json!({ "count_column": "n" }), &one)).contains("count_column: n_count"));
    let lone = (Op::Delete, row(1, 1, "a"), false);
    let error = run(ENTRY, &json!({}), &[batch(&relation(), &[lone])]).err().unwrap();
    assert!(error.kind() == ErrorKind::Data && error.hint().unwrap().contains("Group"), "{error:?}");
}
