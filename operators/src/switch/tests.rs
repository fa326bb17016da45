use aqueduct_model::{Change, Op, SchemaChange};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

fn config() -> Value {
    json!({"cases": [{"port": "big", "when": "n > 10"}, {"port": "a", "when": "s = 'a'"}, {"port": "big", "when": "n > 5"}]})
}

/// The port of a row: big 0, a 1, rest 2.
fn port((_, n, s): &Row) -> usize {
    match (n, s.as_deref()) {
        (Some(n), _) if *n > 10 => 0,
        (_, Some("a")) => 1,
        (Some(n), _) if *n > 5 => 0,
        _ => 2,
    }
}

#[test]
fn ports_are_those_of_the_cases_and_the_default() {
    assert_eq!((ENTRY.check)(&config()).unwrap().outputs, ["big", "a", "rest"]);
    let mut dropping = config();
    dropping["default"] = "drop".into();
    assert_eq!((ENTRY.check)(&dropping).unwrap().outputs, ["big", "a"]);
}

proptest! {
    #[test]
    fn each_row_goes_to_the_first_case_that_holds(rows in rows(), size in 1usize..20) {
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let out = run(ENTRY, &config(), &cut(&events, size)).unwrap();
        for at in 0..3 {
            let got: Vec<_> = out.port(at).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect();
            let expected: Vec<_> = rows.iter().filter(|row| port(row) == at).flat_map(|row| shown([row.clone()])).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn folding_each_port_is_its_part_of_the_table(events in changelog(), size in 1usize..20) {
        let out = run(ENTRY, &config(), &cut(&events, size)).unwrap();
        prop_assert!(out.bad.is_empty());
        for at in 0..3 {
            let expected = shown(fold_events(&events).into_iter().filter(|row| port(row) == at));
            prop_assert_eq!(fold(&out.port(at)), expected);
        }
    }
}

#[test]
fn an_update_over_the_border_is_a_delete_and_an_insert() {
    let events = [(Op::UpdateBefore, row(1, 20, "x"), false), (Op::UpdateAfter, row(1, 0, "x"), false)];
    let out = run(ENTRY, &config(), &[batch(&relation(), &events)]).unwrap();
    assert_eq!((out.port(0)[0].op(0), out.port(2)[0].op(0)), (Op::Delete, Op::Insert));
    assert!(out.port(1).is_empty());
}

#[test]
fn a_lone_update_is_deleted_by_key_elsewhere() {
    let out = run(ENTRY, &config(), &[batch(&relation(), &[(Op::UpdateAfter, row(1, 20, "x"), false)])]).unwrap();
    assert_eq!(out.port(0)[0].op(0), Op::UpdateAfter);
    for at in [1, 2] {
        assert_eq!((out.port(at)[0].op(0), out.port(at)[0].has_absent()), (Op::Delete, true));
    }
}

#[test]
fn a_row_is_refused_only_when_no_earlier_case_holds() {
    let config = json!({"cases": [{"port": "one", "when": "id = 1"}, {"port": "two", "when": "10 / n > 1"}]});
    let events = [(Op::UpdateAfter, row(1, 0, "x"), false), (Op::UpdateAfter, row(2, 0, "x"), false)];
    let out = run(ENTRY, &config, &[batch(&relation(), &events)]).unwrap();
    assert_eq!((out.bad.len(), out.bad[0].row["id"].as_str()), (1, Some("2")));
    assert_eq!(numbers(&out.port(2)[0], "id"), [Some(1)], "the refused update deletes nothing");
}

#[test]
fn ddl_goes_to_every_port() {
    let out = run_change(ENTRY, &config(), SchemaChange::new(relation(), Change::Truncate)).unwrap();
    assert_eq!(out.changes.iter().map(|(port, _)| port.0).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn mistakes_name_the_case() {
    for (config, expected) in [
        (json!({"cases": []}), "setting cases:"),
        (json!({"cases": [{"port": "a", "when": "n >"}]}), "setting cases[0].when:"),
        (json!({"cases": [{"port": "a b", "when": "n > 1"}]}), "setting cases[0].port:"),
        (json!({"cases": [{"port": "drop", "when": "n > 1"}]}), "setting cases[0].port:"),
        (json!({"cases": [{"port": "a", "when": "n > 1"}], "default": "x.y"}), "setting default:"),
        (json!({"cases": [{"port": "a", "when": "n > 1", "then": 1}]}), "unknown field `then`"),
    ] {
        let got = refusal((ENTRY.check)(&config));
        assert!(got.contains(expected), "{got}");
    }
}
