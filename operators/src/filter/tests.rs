use aqueduct_model::{Change, Op, SchemaChange};
use proptest::prelude::*;
use serde_json::json;

use super::ENTRY;
use crate::tests::*;

const CONDITION: &str = "n > 0 and S <> 'a'";

fn holds((_, n, s): &Row) -> bool {
    n.is_some_and(|n| n > 0) && s.as_deref().is_some_and(|s| s != "a")
}

proptest! {
    #[test]
    fn rows_are_those_of_a_naive_filter(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &json!({"where": CONDITION}), &cut(&events, size)).unwrap();
        let got: Vec<_> = out.rows().into_iter().map(|(_, cells)| cells).collect();
        let expected: Vec<_> = rows.into_iter().filter(holds).flat_map(|row| shown([row])).collect();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn folding_the_output_is_filtering_the_table(events in changelog(), size in 1usize..20) {
        let out = run(ENTRY, &json!({"where": CONDITION}), &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        let expected = shown(fold_events(&events).into_iter().filter(holds));
        prop_assert_eq!(fold(&out.port(0)), expected.clone());
        // Once more: what comes out is a changelog that the next filter understands.
        let again = run(ENTRY, &json!({"where": CONDITION}), &out.port(0)).unwrap();
        prop_assert_eq!(fold(&again.port(0)), expected);
    }
}

#[test]
fn a_lone_update_that_does_not_fit_is_a_delete_by_key() {
    let events = [(Op::UpdateAfter, row(1, -5, "x"), false), (Op::UpdateAfter, row(2, 5, "x"), false)];
    let out = run(ENTRY, &json!({"where": "n > 0"}), &[batch(&relation(), &events)]).unwrap();
    let kept = &out.port(0)[0];
    assert_eq!((kept.op(0), kept.op(1)), (Op::Delete, Op::UpdateAfter));
    assert!(kept.present(0).is_none(), "the key is present");
    assert_eq!(kept.present(1).unwrap().iter().collect::<Vec<_>>(), [Some(false), Some(true)]);
}

#[test]
fn a_delete_by_key_passes_and_a_whole_one_is_decided() {
    let events =
        [(Op::Delete, row(1, 5, "x"), true), (Op::Delete, row(2, -5, "x"), false), (Op::Delete, row(3, 5, "x"), false)];
    let out = run(ENTRY, &json!({"where": "n > 0"}), &[batch(&relation(), &events)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "id"), [Some(1), Some(3)]);
    let by_key = run(ENTRY, &json!({"where": "id > 1"}), &[batch(&relation(), &events)]).unwrap();
    assert_eq!(numbers(&by_key.port(0)[0], "id"), [Some(2), Some(3)], "the key alone decides");
}

#[test]
fn a_new_row_without_a_needed_value_is_refused_and_stays_downstream() {
    let events = [(Op::UpdateAfter, row(1, 5, "x"), true), (Op::Insert, row(2, 5, "x"), false)];
    let out = run(ENTRY, &json!({"where": "n > 0"}), &[batch(&relation(), &events)]).unwrap();
    assert_eq!(numbers(&out.port(0)[0], "id"), [Some(2)]);
    assert!(out.bad[0].reasons[0].contains("did not send the value of n"), "{:?}", out.bad);
}

#[test]
fn only_the_rows_that_cannot_be_computed_are_refused() {
    let rows: Vec<Row> = (0..100).map(|i| row(i, i % 10, "secret")).collect();
    let out = run(ENTRY, &json!({"where": "100 / n > 20"}), &[inserts(&rows)]).unwrap();
    let refused: Vec<_> = out.bad.iter().map(|bad| bad.row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(refused, ["0", "10", "20", "30", "40", "50", "60", "70", "80", "90"]);
    assert!(out.bad.iter().all(|bad| bad.reasons == ["division by zero"]));
    assert_eq!(out.port(0)[0].num_rows(), 40);
    // A side that is not needed is not computed.
    let guarded = run(ENTRY, &json!({"where": "n <> 0 and 100 / n > 20"}), &[inserts(&rows)]).unwrap();
    assert!(guarded.bad.is_empty());
}

#[test]
fn an_old_image_that_cannot_be_computed_takes_nothing_back() {
    let events = [
        (Op::UpdateBefore, row(1, 0, "x"), false),
        (Op::UpdateAfter, row(1, 1, "x"), false),
        (Op::Delete, row(2, 0, "x"), false),
    ];
    let out = run(ENTRY, &json!({"where": "100 / n > 20"}), &[batch(&relation(), &events)]).unwrap();
    assert!(out.bad.is_empty());
    let ops: Vec<u8> = out.rows().iter().map(|(op, _)| *op).collect();
    assert_eq!(ops, [Op::Insert as u8]);
}

#[test]
fn mistakes_are_named_before_and_when_the_table_is_seen() {
    let check = |condition: &str| refusal((ENTRY.check)(&json!({"where": condition})));
    assert!(check("n >").contains("setting where"), "{}", check("n >"));
    assert!(check("nn > 1 )").contains("Line: 1, Column: 8"), "{}", check("nn > 1 )"));
    assert!(check("").contains("empty"));
    let seen = |condition: &str| refusal(run(ENTRY, &json!({"where": condition}), &[inserts(&[row(1, 1, "x")])]));
    assert!(seen("idd > 1").contains("t has no column idd"), "{}", seen("idd > 1"));
    assert!(seen("idd > 1").contains("did you mean id?"), "{}", seen("idd > 1"));
    assert!(seen("n + 1").contains("is not a condition"), "{}", seen("n + 1"));
}

#[test]
fn ddl_passes_unless_it_takes_the_condition_away() {
    let change = |change| SchemaChange::new(relation(), change);
    let out = run_change(ENTRY, &json!({"where": "n > 0"}), change(Change::AddColumns(vec!["s".into()]))).unwrap();
    assert_eq!(out.changes.len(), 1);
    let gone = run_change(ENTRY, &json!({"where": "gone > 0"}), change(Change::DropColumns(vec!["gone".into()])));
    assert!(refusal(gone).contains("no column gone"));
    assert!(run_change(ENTRY, &json!({"where": "gone > 0"}), change(Change::DropTable)).is_ok());
}
