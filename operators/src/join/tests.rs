//! Joins against two loops over plain lists.

use std::sync::Arc;

use aqueduct_model::{Batch, ChangeSupport, Op, Relation, RelationName, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::{Memory, Row, cut, inserts, refusal, row, rows, run_with_crashes};

type Cells = Vec<Option<String>>;

fn renamed(batch: &Batch, table: &str) -> Batch {
    Batch::inserts(Arc::new(batch.relation().renamed(RelationName::table(table))), batch.rows().clone()).unwrap()
}

/// Rows of both tables as batches of some size, taking turns.
fn both(left: &[Row], right: &[Row], size: usize) -> Vec<(usize, Batch)> {
    let events = |rows: &[Row]| rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect::<Vec<_>>();
    let mut left = cut(&events(left), size).into_iter();
    let mut right = cut(&events(right), size).into_iter();
    let mut batches = Vec::new();
    loop {
        let before = batches.len();
        batches.extend(left.next().map(|batch| (0, renamed(&batch, "l"))));
        batches.extend(right.next().map(|batch| (1, renamed(&batch, "r"))));
        if batches.len() == before {
            return batches;
        }
    }
}

fn cells(row: &Row) -> Cells {
    vec![Some(row.0.to_string()), row.1.map(|n| n.to_string()), row.2.clone()]
}

/// Pairs that are equal in n, and whose ids rise.
fn expected(kind: &str, left: &[Row], right: &[Row]) -> Vec<Cells> {
    let fits = |l: &Row, r: &Row| l.1.is_some() && l.1 == r.1 && l.0 <= r.0;
    let none: Cells = vec![None; 3];
    let pair = |l: Cells, r: Cells| [l, r].concat();
    let mut found: Vec<Cells> = Vec::new();
    for l in left {
        let partners: Vec<&Row> = right.iter().filter(|r| fits(l, r)).collect();
        match kind {
            "semi" => found.extend((!partners.is_empty()).then(|| cells(l))),
            "anti" => found.extend(partners.is_empty().then(|| cells(l))),
            _ => found.extend(partners.iter().map(|r| pair(cells(l), cells(r)))),
        }
        if matches!(kind, "left" | "full") && partners.is_empty() {
            found.push(pair(cells(l), none.clone()));
        }
    }
    if matches!(kind, "right" | "full") {
        let lonely = right.iter().filter(|r| !left.iter().any(|l| fits(l, r)));
        found.extend(lonely.map(|r| pair(none.clone(), cells(r))));
    }
    found.sort();
    found
}

fn sorted(out: &Memory) -> Vec<Cells> {
    let mut cells: Vec<Cells> = out.rows().into_iter().map(|(_, cells)| cells).collect();
    cells.sort();
    cells
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn joins_are_those_of_two_loops(
        left in rows(), right in rows(), size in 1usize..20, crashes in prop::collection::vec(0usize..8, 0..3),
        kind in prop::sample::select(vec!["inner", "left", "right", "full", "semi", "anti"]), on_disk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({ "type": kind, "on": [{ "n": "r_n" }], "where": "input.id <= other.R_ID" });
        let batches: Vec<(usize, Batch)> = both(&left, &right, size).into_iter()
            .map(|(port, batch)| (port, if port == 1 { with_other_names(&batch) } else { batch })).collect();
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, on_disk.then(|| folder.path()));
        let out = match out {
            Ok(out) => out,
            // Of a table that has no row the columns are not known.
            Err(error) => {
                prop_assert!(error.hint().unwrap().contains("columns:"), "{error:?}");
                prop_assert!(left.is_empty() || right.is_empty());
                return Ok(());
            }
        };
        prop_assert_eq!(sorted(&out), expected(kind, &left, &right));
    }
}

/// The same rows of columns r_id, r_n and r_s.
fn with_other_names(batch: &Batch) -> Batch {
    let fields = batch.relation().columns().fields().iter();
    let columns = Arc::new(Schema::new(
        fields.map(|field| field.as_ref().clone().with_name(format!("r_{}", field.name()))).collect::<Vec<_>>(),
    ));
    let relation = Relation::new(batch.relation().name().clone(), columns.clone(), &["r_id"], 1).unwrap();
    Batch::inserts(Arc::new(relation), RecordBatch::try_new(columns, batch.rows().columns().to_vec()).unwrap()).unwrap()
}

fn two(config: &Value) -> Result<Memory> {
    let left = renamed(&inserts(&[row(1, 7, "a"), row(2, 8, "b")]), "l");
    let right = renamed(&inserts(&[row(1, 7, "x"), row(3, 9, "z")]), "r");
    run_with_crashes(ENTRY, config, &[(0, left), (1, right)], &[], None)
}

fn columns(out: &Memory) -> (Vec<String>, Vec<String>) {
    let relation = out.batches[0].1.relation();
    let names = relation.columns().fields().iter().map(|field| field.name().clone()).collect();
    (names, relation.key_names().into_iter().map(str::to_owned).collect())
}

#[test]
fn columns_keys_and_names() {
    let text = |text: &str| Some(text.to_owned());
    // Equal in the whole key of the right table: the left key stays one.
    let out = two(&json!({ "on": ["ID"] })).unwrap();
    assert_eq!(
        columns(&out),
        (["id", "n", "s", "other_n", "other_s"].map(String::from).to_vec(), vec!["id".to_owned()])
    );
    assert_eq!(sorted(&out), [[text("1"), text("7"), text("a"), text("7"), text("x")]]);
    // One column stands for both: it has the value of the side that is there.
    let out = two(&json!({ "type": "full", "on": ["id"], "prefix": "r_", "table": "both" })).unwrap();
    assert_eq!(columns(&out), (["id", "n", "s", "r_n", "r_s"].map(String::from).to_vec(), vec![]));
    let ids: Vec<_> = sorted(&out).into_iter().map(|cells| cells[0].clone().unwrap()).collect();
    assert_eq!(
        (ids, out.batches[0].1.relation().name().table.as_str()),
        (["1", "2", "3"].map(String::from).to_vec(), "both")
    );
    // Both keys together.
    let out = two(&json!({ "on": ["n"], "left": "l", "right": "r" })).unwrap();
    assert_eq!(
        columns(&out),
        (["id", "n", "s", "r_id", "r_s"].map(String::from).to_vec(), vec!["id".to_owned(), "r_id".to_owned()])
    );
    let out = two(&json!({ "type": "anti", "on": ["id"], "left": "r", "right": "l" })).unwrap();
    assert_eq!(sorted(&out), [[text("3"), text("9"), text("z")]]);
}

#[test]
fn a_side_without_rows_matters_only_where_its_columns_come_out() {
    let left = [(0, renamed(&inserts(&[row(1, 7, "a")]), "l"))];
    let joined = |kind: &str, more: Value| {
        let mut config = json!({ "type": kind, "on": ["id"] });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run_with_crashes(ENTRY, &config, &left, &[], None).map(|out| sorted(&out).len())
    };
    for (kind, rows) in [("inner", 0), ("semi", 0), ("anti", 1)] {
        assert_eq!(joined(kind, json!({})).unwrap(), rows, "{kind}");
    }
    for kind in ["left", "full"] {
        assert!(joined(kind, json!({})).unwrap_err().hint().unwrap().contains("columns: { other:"));
        assert_eq!(joined(kind, json!({ "columns": { "other": { "id": "bigint", "name": "varchar" } } })).unwrap(), 1);
    }
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let checked = |config: Value| refusal((ENTRY.check)(&config));
    assert!(checked(json!({ "on": [] })).contains("on: [customer_id]"));
    assert!(checked(json!({ "on": ["a"], "where": "a >" })).contains("setting where"));
    assert!(checked(json!({ "on": ["a"], "where": "exists (select 1)" })).contains("setting where"));
    assert!(checked(json!({ "on": ["a"], "left": "t", "right": "t" })).contains("task `SQL`"));
    assert!(refusal(two(&json!({ "on": ["m"] }))).contains("setting on"));
    assert!(refusal(two(&json!({ "on": [{ "id": "s" }] }))).contains("cannot be compared exactly"));
    assert!(refusal(two(&json!({ "on": ["id"], "where": "input.x = 1" }))).contains("columns are"));
    assert!(refusal(two(&json!({ "on": ["id"], "left": "m" }))).contains("neither"));
    let properties = (ENTRY.check)(&json!({ "on": ["id"] })).unwrap();
    assert!(properties.needs_end && properties.changes == ChangeSupport::AppendOnly);
}

#[test]
fn whole_numbers_and_decimals_are_equal_by_value() {
    let decimals = inserts(&[row(1, 7, "x"), row(3, 9, "z")]);
    let column: ArrayRef = cast(decimals.rows().column(0), &DataType::Decimal128(20, 2)).unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("d", DataType::Decimal128(20, 2), false)]));
    let relation = Arc::new(Relation::new(RelationName::table("r"), schema.clone(), &["d"], 1).unwrap());
    let right = Batch::inserts(relation, RecordBatch::try_new(schema, vec![column]).unwrap()).unwrap();
    let left = renamed(&inserts(&[row(1, 7, "a"), row(2, 8, "b")]), "l");
    let out = run_with_crashes(ENTRY, &json!({ "on": [{ "id": "d" }] }), &[(0, left), (1, right)], &[], None).unwrap();
    assert_eq!(sorted(&out).len(), 1);
}
