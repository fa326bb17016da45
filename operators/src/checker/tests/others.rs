//! Rules that need other rows, against a plain table, through crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aqueduct_model::{
    Batch, Change, Error, ErrorKind, InputPort, Op, OperatorContext, Relation, RelationName, RuleCounts, SchemaChange,
};
use arrow::array::{ArrayRef, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::*;

type Cells = Vec<Option<String>>;

fn config() -> Value {
    json!({"rules": [
        {"column": "n", "check": {"range": {"min": -1}}},
        {"column": "s", "check": "unique"},
        {"name": "known", "column": "n", "check": {"reference": {"input": "other", "in": ["id"]}}},
        {"columns": ["s", "n"], "check": "unique"},
    ]})
}

/// The rules, row by row over a plain table.
#[derive(Default)]
struct Plain {
    known: BTreeSet<i64>,
    /// By id: the row, and why it was rejected.
    rows: BTreeMap<i64, (Row, Vec<&'static str>)>,
}

impl Plain {
    fn reasons(&self, (id, n, s): &Row) -> Vec<&'static str> {
        let taken = |same: &dyn Fn(&Row) -> bool| {
            self.rows.values().any(|(other, reasons)| reasons.is_empty() && other.0 != *id && same(other))
        };
        let rules = [
            (n.is_some_and(|n| n < -1), "n is below -1"),
            (s.is_some() && taken(&|other| other.2 == *s), "s is not unique"),
            (n.is_some_and(|n| !self.known.contains(&n)), "known: n is not in other"),
            (
                s.is_some() && n.is_some() && taken(&|other| other.2 == *s && other.1 == *n),
                "s, n are not unique together",
            ),
        ];
        rules.into_iter().filter(|(broken, _)| *broken).map(|(_, reason)| reason).collect()
    }

    fn apply(&mut self, (op, row, _): &Event) {
        match op {
            Op::Delete | Op::UpdateBefore => {
                self.rows.remove(&row.0);
            }
            Op::Insert | Op::UpdateAfter => {
                let reasons = self.reasons(row);
                self.rows.insert(row.0, (row.clone(), reasons));
            }
        }
    }

    /// The rows of both ports, as [`fold`] shows them.
    fn tables(&self) -> (Vec<Cells>, Vec<Cells>) {
        let passed = self.rows.values().filter(|(_, reasons)| reasons.is_empty()).map(|(row, _)| row.clone());
        let rejected = self.rows.values().filter(|(_, reasons)| !reasons.is_empty());
        let mut rejected: Vec<Cells> = rejected
            .map(|(row, reasons)| {
                let mut cells = shown([row.clone()]).remove(0);
                cells.push(Some(reasons.join("; ")));
                cells
            })
            .collect();
        rejected.sort_by_key(|cells| cells[0].clone());
        (shown(passed), rejected)
    }
}

/// Few different values, so that rows collide.
fn few((id, n, s): Row) -> Row {
    (id, n.map(|n| n % 3), s)
}

/// Batches of both inputs: first those of the reference, as the planner has it.
fn batches(known: &BTreeSet<i64>, events: &[Event], size: usize) -> Vec<(usize, Batch)> {
    let known: Vec<Row> = known.iter().map(|id| row(*id, None, "")).collect();
    let known = known.chunks(2).map(|rows| (1, inserts(rows)));
    known.chain(cut(events, size).into_iter().map(|batch| (0, batch))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn folding_each_port_is_its_part_of_the_plain_table(
        events in changelog(), known in prop::collection::btree_set(-2i64..3, 0..4), size in 1usize..20,
        crashes in prop::collection::vec(0usize..20, 0..4), on_disk: bool,
    ) {
        let events: Vec<Event> = events.into_iter().map(|(op, row, bare)| (op, few(row), bare)).collect();
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let out = run_with_crashes(ENTRY, &config(), &batches(&known, &events, size), &crashes, folder).unwrap();
        let mut plain = Plain { known, ..Plain::default() };
        events.iter().for_each(|event| plain.apply(event));
        prop_assert!(out.bad.is_empty());
        prop_assert_eq!((fold(&out.port(0)), fold(&out.port(1))), plain.tables());
    }

    #[test]
    fn in_a_table_without_a_key_the_first_good_row_takes_the_key(
        rows in rows(), size in 1usize..20, crashes in prop::collection::vec(0usize..20, 0..4),
    ) {
        let keyless = Relation::new(relation().name().clone(), relation().columns().clone(), &[] as &[&str], 1);
        let keyless = Arc::new(keyless.unwrap());
        let config = json!({"rules": [
            {"column": "n", "check": {"range": {"min": 0}}}, {"column": "s", "check": "unique"},
        ]});
        let events: Vec<Event> = rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect();
        let batches: Vec<_> = events.chunks(size).map(|events| (0, batch(&keyless, events))).collect();
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, None).unwrap();
        let mut taken = BTreeSet::new();
        let (mut passed, mut rejected) = (Vec::new(), Vec::new());
        for row in rows {
            let is_low = row.1.is_some_and(|n| n < 0);
            let is_taken = row.2.as_ref().is_some_and(|s| taken.contains(s));
            if !is_low && !is_taken {
                taken.extend(row.2.clone());
            }
            let reasons = [(is_low, "n is below 0"), (is_taken, "s is not unique")];
            let reasons: Vec<&str> = reasons.into_iter().filter(|(broken, _)| *broken).map(|(_, why)| why).collect();
            let mut cells = shown([row]).remove(0);
            if reasons.is_empty() {
                passed.push(cells);
            } else {
                cells.push(Some(reasons.join("; ")));
                rejected.push(cells);
            }
        }
        let cells = |port| out.port(port).iter().flat_map(ops_and_cells).map(|(_, cells)| cells).collect::<Vec<_>>();
        prop_assert_eq!((cells(0), cells(1)), (passed, rejected));
    }
}

fn unique() -> Value {
    json!({"rules": [{"column": "s", "check": "unique"}]})
}

/// The ids that each port's table has.
fn ids(out: &Memory) -> (Vec<String>, Vec<String>) {
    let ids = |port| fold(&out.port(port)).into_iter().filter_map(|cells| cells[0].clone()).collect();
    (ids(0), ids(1))
}

#[test]
fn a_refused_row_waits_for_no_key_and_takes_one_when_it_is_updated() {
    let events = [
        (Op::Insert, row(1, 0, "a"), false),
        (Op::Insert, row(2, 0, "a"), false),
        (Op::Delete, row(1, 0, "a"), true),
        (Op::Insert, row(3, 0, "a"), false),
        (Op::Delete, row(3, 0, "a"), false),
        (Op::UpdateAfter, row(2, 1, "a"), false),
        (Op::UpdateAfter, row(2, 2, "b"), false),
        (Op::Insert, row(4, 0, "a"), false),
    ];
    let until = |n: usize| ids(&run(ENTRY, &unique(), &[batch(&relation(), &events[..n])]).unwrap());
    let texts = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(until(2), (texts(&["1"]), texts(&["2"])));
    assert_eq!(until(3), (texts(&[]), texts(&["2"])), "2 stays where it is");
    assert_eq!(until(4), (texts(&["3"]), texts(&["2"])), "the key is free for what comes");
    assert_eq!(until(6), (texts(&["2"]), texts(&[])), "2 is looked at anew");
    assert_eq!(until(8), (texts(&["2", "4"]), texts(&[])), "an update gives the old key back");
}

#[test]
fn two_rows_that_swap_their_keys_are_judged_one_by_one() {
    let swap = |id, from, to| [(Op::UpdateBefore, row(id, 0, from), false), (Op::UpdateAfter, row(id, 0, to), false)];
    let start = [(Op::Insert, row(1, 0, "a"), false), (Op::Insert, row(2, 0, "b"), false)];
    let events: Vec<Event> = start.into_iter().chain(swap(1, "a", "b")).chain(swap(2, "b", "a")).collect();
    let out = run(ENTRY, &unique(), &[batch(&relation(), &events)]).unwrap();
    assert_eq!(ids(&out), (vec!["2".to_owned()], vec!["1".to_owned()]));
}

#[test]
fn a_bad_row_changes_nothing() {
    let both = json!({"rules": [{"column": "s", "check": "unique"}, {"column": "n", "check": "not_null"}]});
    let events = [
        (Op::Insert, row(1, 0, "a"), false),
        // Neither n nor s came: nobody knows what it breaks.
        (Op::UpdateAfter, row(1, 0, "a"), true),
        (Op::Insert, row(2, 0, "a"), false),
    ];
    let out = run(ENTRY, &both, &[batch(&relation(), &events)]).unwrap();
    assert_eq!(ids(&out), (vec!["1".to_owned()], vec!["2".to_owned()]));
    assert_eq!((out.bad.len(), out.bad[0].row["id"].as_str()), (1, Some("1")));
}

#[test]
fn a_change_of_a_table_without_a_key_is_refused() {
    let keyless = Relation::new(RelationName::table("t"), relation().columns().clone(), &[] as &[&str], 1);
    let gone = batch(&Arc::new(keyless.unwrap()), &[(Op::Delete, row(1, 0, "a"), false)]);
    let error = run(ENTRY, &unique(), &[gone]).err().unwrap();
    assert!(error.kind() == ErrorKind::Data && error.hint().unwrap().contains("give the table a key"), "{error:?}");
}

#[test]
fn an_emptied_table_gives_all_keys_back() {
    let mut operator = build(ENTRY, &unique()).unwrap();
    let mut out = Memory::default();
    block_on(async {
        operator.open(&OperatorContext::default(), None).await.unwrap();
        operator.process(InputPort(0), inserts(&[row(1, 0, "a")]), &mut out).await.unwrap();
        operator.on_schema(InputPort(0), SchemaChange::new(relation(), Change::Truncate), &mut out).await.unwrap();
        operator.process(InputPort(0), inserts(&[row(2, 0, "a")]), &mut out).await.unwrap();
    });
    assert!(out.port(1).is_empty() && out.port(0).len() == 2);
}

/// Runs batches, each by its port.
fn by_ports(config: &Value, batches: &[(usize, Batch)]) -> aqueduct_model::Result<Memory> {
    run_with_crashes(ENTRY, config, batches, &[], None)
}

fn named(name: &str, columns: Vec<(&str, ArrayRef)>) -> Batch {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let relation = Relation::new(RelationName::table(name), rows.schema(), &[] as &[&str], 1).unwrap();
    Batch::inserts(Arc::new(relation), rows).unwrap()
}

#[test]
fn a_reference_of_several_columns_is_met_together_and_null_meets_nothing() {
    let config = json!({"rules": [
        {"columns": ["tenant", "code"], "check": {"reference": {"input": "other", "in": ["owner", "name"]}}},
    ]});
    let known = named(
        "codes",
        vec![
            ("name", Arc::new(LargeStringArray::from(vec![Some("a"), Some("b"), None])) as ArrayRef),
            ("owner", Arc::new(Int32Array::from(vec![Some(1), Some(2), Some(3)])) as ArrayRef),
        ],
    );
    let rows = named(
        "rows",
        vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])) as ArrayRef),
            ("tenant", Arc::new(Int64Array::from(vec![Some(1), Some(1), Some(2), None, Some(3)])) as ArrayRef),
            ("code", Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("b"), Some("x"), None])) as ArrayRef),
        ],
    );
    let out = by_ports(&config, &[(1, known), (0, rows)]).unwrap();
    assert_eq!(out.port(0).iter().flat_map(|batch| numbers(batch, "id")).flatten().collect::<Vec<_>>(), [1, 3, 4, 5]);
    let cells = ops_and_cells(&out.port(1)[0]).remove(0).1;
    assert_eq!(cells[3].as_deref(), Some("tenant, code are not together in other"));
}

#[test]
fn what_does_not_fit_a_reference_is_refused() {
    let config = json!({"rules": [{"column": "s", "check": {"reference": {"input": "other", "in": ["id"]}}}]});
    let one = || inserts(&[row(1, 1, "a")]);
    let refused = |batches: &[(usize, Batch)]| -> Error { by_ports(&config, batches).err().unwrap() };
    let types = refused(&[(1, one()), (0, one())]);
    assert!(types.kind() == ErrorKind::Config && types.hint().unwrap().contains("cast"), "{types:?}");
    let column = refused(&[(1, named("c", vec![("key", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]))]);
    assert_eq!(column.setting(), Some("rules[0].check.reference.in"), "{column:?}");
    let change = refused(&[(1, batch(&relation(), &[(Op::Delete, row(1, 1, "a"), false)]))]);
    assert!(change.kind() == ErrorKind::Data && change.hint().is_some(), "{change:?}");
    let two = [(1, one()), (1, named("c", vec![("id", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]))];
    assert_eq!(refused(&two).kind(), ErrorKind::Schema);
    let none = by_ports(&config, &[(0, one())]).unwrap();
    assert_eq!(ids(&none).1, ["1"], "nothing is in an empty reference");
    let nobody = json!({"rules": [{"column": "s", "check": {"reference": {"input": "nobody"}}}]});
    assert!(refusal(by_ports(&nobody, &[])).contains("the task has no input nobody"));
    let mut operator = build(ENTRY, &config).unwrap();
    let context = OperatorContext { inputs: vec!["input".into(), "other".into()], ..OperatorContext::default() };
    block_on(async {
        operator.open(&context, None).await.unwrap();
        let mut out = Memory::default();
        let emptied = operator.on_schema(InputPort(1), SchemaChange::new(relation(), Change::Truncate), &mut out).await;
        assert_eq!(emptied.unwrap_err().kind(), ErrorKind::Schema);
        let made = SchemaChange::new(relation(), Change::CreateTable);
        operator.on_schema(InputPort(1), made, &mut out).await.unwrap();
        assert!(out.changes.is_empty(), "the reference goes nowhere");
    });
}

#[test]
fn a_table_with_too_many_or_too_few_rows_fails_the_flow() {
    let config = |count: Value| json!({"rules": [{"check": {"row_count": count}}]});
    let rows = |n: i64| inserts(&(0..n).map(|id| row(id, 0, "x")).collect::<Vec<_>>());
    let fails = |count: Value, batches: &[Batch]| refusal(run(ENTRY, &config(count), batches));
    assert!(fails(json!({"min": 3}), &[rows(2)]).contains("t has 2 rows, fewer than 3"));
    assert!(fails(json!({"min": 1}), &[]).contains("no row came at all"));
    assert!(fails(json!({"max": 2}), &[rows(3)]).contains("t has more than 2 rows"));
    for (count, batches) in [
        (json!({"min": 2, "max": 2}), vec![rows(2)]),
        (json!({"min": 0}), vec![]),
        // A row that comes and goes was there.
        (json!({"max": 2}), vec![rows(2), batch(&relation(), &[(Op::Delete, row(1, 0, "x"), true)]), rows(1)]),
    ] {
        assert!(run(ENTRY, &config(count), &batches).is_ok());
    }
    let swap = [
        (Op::UpdateBefore, row(1, 0, "x"), false),
        (Op::UpdateAfter, row(1, 1, "x"), false),
        (Op::UpdateAfter, row(0, 1, "x"), false),
        (Op::Insert, row(2, 0, "x"), false),
        (Op::Delete, row(2, 0, "x"), false),
    ];
    let batches = [rows(2), batch(&relation(), &swap)];
    assert!(run(ENTRY, &config(json!({"min": 2, "max": 3})), &batches).is_ok());
    assert!(fails(json!({"max": 2}), &batches).contains("rules[0]"), "for a moment there were three");
}

#[test]
fn what_the_planner_has_to_know_follows_from_the_rules() {
    let properties = |rules: Value| (ENTRY.check)(&json!({ "rules": rules })).unwrap();
    let plain = properties(json!([{"column": "n", "check": "not_null"}, {"check": {"row_count": {"max": 5}}}]));
    assert!(!plain.needs_end && plain.stateful && plain.first_inputs.is_empty());
    assert!(!properties(json!([{"column": "n", "check": "not_null"}])).stateful);
    assert!(properties(json!([{"check": {"row_count": {"min": 5}}}])).needs_end);
    let first = properties(config()["rules"].clone()).first_inputs;
    assert_eq!(first.len(), 1);
    assert_eq!((first[0].input.as_str(), first[0].setting.as_str()), ("other", "rules[2].check.reference.input"));
}

#[test]
fn each_rule_counts_new_rows_and_those_that_broke_it_through_restarts() {
    let config = json!({"rules": [
        {"column": "n", "check": {"range": {"min": 0}}},
        {"column": "n", "check": {"range": {"max": 100}}},
        {"name": "no two alike", "column": "s", "check": "unique"},
        {"check": {"expression": "10 / n > 0"}},
    ]});
    let counts = RuleCounts::default();
    let context = OperatorContext { rules: counts.clone(), ..OperatorContext::default() };
    let events = [
        (Op::Insert, row(1, -1, "a"), false),
        (Op::Insert, row(2, 0, "a"), false),
        (Op::Insert, row(3, 5, "b"), false),
        (Op::Insert, row(4, 6, "b"), false),
        (Op::UpdateBefore, row(4, 6, "b"), false),
        (Op::UpdateAfter, row(4, 6, "b"), false),
        (Op::UpdateAfter, row(4, 6, "b"), true),
        (Op::Delete, row(4, 6, "b"), false),
    ];
    for _ in 0..2 {
        let mut operator = build(ENTRY, &config).unwrap();
        block_on(async {
            operator.open(&context, None).await.unwrap();
            operator.process(InputPort(0), batch(&relation(), &events), &mut Memory::default()).await.unwrap();
        });
    }
    let read: Vec<(String, u64, u64)> =
        counts.read().into_iter().map(|count| (count.rule, count.checked, count.broken)).collect();
    let expected = [("n range", 10, 2), ("n range #2", 10, 0), ("no two alike", 10, 4), ("expression", 10, 4)];
    assert_eq!(read, expected.map(|(rule, checked, broken)| (rule.to_owned(), checked, broken)));
}
