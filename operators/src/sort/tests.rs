//! Orders against those of a plain list.

use std::sync::Arc;

use aqueduct_model::{Batch, Change, ChangeSupport, InputPort, Op, OperatorContext, RelationName, SchemaChange};
use proptest::prelude::*;
use serde_json::json;

use super::ENTRY;
use crate::tests::{Memory, block_on, build, cut, inserts, refusal, relation, row, rows, run, run_with_crashes};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn rows_come_in_order_however_they_are_cut(
        rows in rows(), size in 1usize..20, crashes in prop::collection::vec(0usize..8, 0..3), limit in prop::option::of(1u64..30), on_disk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let events: Vec<_> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let batches: Vec<_> = cut(&events, size).into_iter().map(|batch| (0, batch)).collect();
        let mut config = json!({ "by": ["N desc nulls last", "abs(id)", "s nulls first"] });
        if let Some(limit) = limit {
            config["limit"] = json!(limit);
        }
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, on_disk.then(|| folder.path())).unwrap();
        let mut expected = rows;
        expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)).then(a.2.cmp(&b.2)));
        expected.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        let expected: Vec<_> = expected.into_iter()
            .map(|(id, n, s)| (0, vec![Some(id.to_string()), n.map(|n| n.to_string()), s])).collect();
        prop_assert_eq!(out.rows(), expected);
        prop_assert!(out.batches.iter().all(|(_, batch)| batch.relation().key_names() == ["id"]));
    }
}

#[test]
fn each_table_is_sorted_by_itself() {
    let other = |rows: &[crate::tests::Row]| {
        let other = Arc::new(relation().renamed(RelationName {
            catalog: None,
            schema: Some("x.y".into()),
            table: "a \"b\".c".into(),
        }));
        Batch::inserts(other, inserts(rows).rows().clone()).unwrap()
    };
    let batches = [inserts(&[row(2, 1, "a")]), other(&[row(9, 1, "a"), row(8, 1, "a")]), inserts(&[row(1, 1, "a")])];
    let out = run(ENTRY, &json!({ "by": ["id"] }), &batches).unwrap();
    let ids: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells[0].clone().unwrap()).collect();
    assert_eq!(ids, ["1", "2", "8", "9"]);
    assert_eq!(out.batches[1].1.relation().name().to_string(), "x.y.a \"b\".c");
}

#[test]
fn wrong_orders_are_refused() {
    let checked = |config| refusal((ENTRY.check)(&config));
    assert!(checked(json!({ "by": [] })).contains("by: [amount desc]"));
    assert!(checked(json!({ "by": ["a desc b"] })).contains("setting by"));
    assert!(checked(json!({ "by": ["sum(a)"] })).contains("setting by"));
    assert!(checked(json!({ "by": ["(select 1)"] })).contains("setting by"));
    assert!(checked(json!({ "by": ["a"], "limit": 0 })).contains("limit: 10"));
    let got = refusal(run(ENTRY, &json!({ "by": ["nm"] }), &[inserts(&[row(1, 1, "a")])]));
    assert!(got.contains("did you mean n?") && got.contains("config error") && got.contains("setting by"), "{got}");
    let properties = (ENTRY.check)(&json!({ "by": ["id"] })).unwrap();
    assert!(properties.needs_end && properties.changes == ChangeSupport::AppendOnly);
}

#[test]
fn a_table_that_is_emptied_has_no_rows_and_new_columns_stop() {
    let mut operator = build(ENTRY, &json!({ "by": ["id"] })).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        operator.process(InputPort(0), inserts(&[row(1, 1, "a")]), &mut out).await.unwrap();
        let more = Arc::new(
            aqueduct_model::Relation::new(
                RelationName::table("t"),
                Arc::new(arrow::datatypes::Schema::new(relation().columns().fields()[..2].to_vec())),
                &["id"],
                2,
            )
            .unwrap(),
        );
        let change = SchemaChange::new(more, Change::DropColumns(vec!["s".into()]));
        let error = operator.on_schema(InputPort(0), change, &mut out).await.unwrap_err();
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::Schema);
        operator.on_schema(InputPort(0), SchemaChange::new(relation(), Change::Truncate), &mut out).await.unwrap();
        operator.process(InputPort(0), inserts(&[row(2, 1, "a")]), &mut out).await.unwrap();
        operator.finish(&mut out).await.unwrap();
    });
    assert_eq!(out.rows().len(), 1);
    assert_eq!(out.changes.len(), 1);
}
