//! The join of changing tables against that of the tables as they are, after every batch, through crashes.

use std::collections::BTreeMap;

use aqueduct_model::{Batch, Change, Epoch, InputPort, Op, Operator, OperatorContext, Relation, SchemaChange, State};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

use crate::join::ENTRY;
use crate::tests::{
    Event, Memory, Row, block_on, build, changelog, cut, fold_events, inserts, ops_and_cells, refusal, relation, row,
    run,
};

type Cells = Vec<Option<String>>;

fn opened(config: &Value, folder: Option<&std::path::Path>, state: Option<State>) -> Box<dyn Operator> {
    let mut operator = build(ENTRY, config).unwrap();
    let context =
        OperatorContext { task: "joined".into(), state_dir: folder.map(Into::into), ..OperatorContext::default() };
    block_on(operator.open(&context, state)).unwrap();
    operator
}

/// Rows by key, or by all that they have; how often each is there.
type Table = BTreeMap<Cells, (Cells, usize)>;

/// Applies changes: what goes has to be there as it was, and what comes with a key must not be there.
fn apply(table: &mut Table, batches: &[Batch]) {
    for batch in batches {
        let has_key = !batch.relation().key().is_empty();
        for (op, cells) in ops_and_cells(batch) {
            let key: Cells = match has_key {
                true => batch.relation().key().iter().map(|&i| cells[i].clone()).collect(),
                false => cells.clone(),
            };
            match Op::from_u8(op).unwrap() {
                Op::Insert | Op::UpdateAfter => {
                    let (_, count) = table.entry(key).or_insert((cells, 0));
                    assert!(!has_key || *count == 0, "it is there already");
                    *count += 1;
                }
                Op::UpdateBefore | Op::Delete => {
                    let (there, count) = table.get_mut(&key).expect("it is there");
                    assert_eq!(*there, cells, "it is there as it was");
                    *count -= 1;
                    if *count == 0 {
                        table.remove(&key);
                    }
                }
            }
        }
    }
}

const KINDS: [&str; 6] = ["inner", "left", "right", "full", "semi", "anti"];

/// What has to be equal: many to many, many to one, one to many, many to many with a condition, one to one.
fn on(which: usize) -> (Value, Option<&'static str>) {
    match which {
        0 => (json!(["s"]), None),
        1 => (json!([{ "n": "id" }]), None),
        2 => (json!([{ "id": "n" }]), None),
        3 => (json!(["s"]), Some("left.n < right.n")),
        _ => (json!(["id"]), None),
    }
}

fn meets(which: usize, left: &Row, right: &Row) -> bool {
    let same = left.2.is_some() && left.2 == right.2;
    match which {
        0 => same,
        1 => left.1 == Some(right.0),
        2 => right.1 == Some(left.0),
        3 => same && left.1.zip(right.1).is_some_and(|(a, b)| a < b),
        _ => left.0 == right.0,
    }
}

/// A pair as it comes out: a column of `on` that both tables call the same comes out once.
fn cells(kind: &str, which: usize, left: Option<&Row>, right: Option<&Row>) -> Cells {
    let of = |row: Option<&Row>| match row {
        Some((id, n, s)) => vec![Some(id.to_string()), n.map(|n| n.to_string()), s.clone()],
        None => vec![None; 3],
    };
    let (mut cells, mut others) = (of(left), of(right));
    if ["semi", "anti"].contains(&kind) {
        return cells;
    }
    let shared = match which {
        0 | 3 => Some(2),
        4 => Some(0),
        _ => None,
    };
    if let Some(shared) = shared {
        let other = others.remove(shared);
        if left.is_none() {
            cells[shared] = other;
        }
    }
    cells.append(&mut others);
    cells
}

/// The join of two tables, by hand.
fn joined(kind: &str, which: usize, left: &[Row], right: &[Row]) -> Vec<Cells> {
    let mut pairs: Vec<Cells> = Vec::new();
    let mut push = |left: Option<&Row>, right: Option<&Row>| pairs.push(cells(kind, which, left, right));
    for one in left {
        let partners: Vec<&Row> = right.iter().filter(|other| meets(which, one, other)).collect();
        match kind {
            "semi" if !partners.is_empty() => push(Some(one), None),
            "semi" | "anti" if !partners.is_empty() => {}
            "left" | "full" | "anti" if partners.is_empty() => push(Some(one), None),
            _ => partners.iter().for_each(|other| push(Some(one), Some(other))),
        }
    }
    for other in right.iter().filter(|other| !left.iter().any(|one| meets(which, one, other))) {
        if ["right", "full"].contains(&kind) {
            push(None, Some(other));
        }
    }
    pairs.sort();
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn the_output_is_the_join_after_every_batch_and_every_crash(
        left in changelog(), right in changelog(), kind in 0usize..6, which in 0usize..5,
        sizes in (1usize..9, 1usize..9), turns in prop::collection::vec(any::<bool>(), 20), crash_every in 1usize..6, on_disk: bool,
    ) {
        let kind = KINDS[kind];
        let (on, condition) = on(which);
        let config = json!({ "mode": "changelog", "type": kind, "on": on, "where": condition });
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let mut operator = opened(&config, folder, None);
        // Each table says what it is before its rows, as sources of changes do.
        let mut out = Memory::default();
        for port in 0..2 {
            block_on(operator.on_schema(InputPort(port), SchemaChange::new(relation(), Change::CreateTable), &mut out)).unwrap();
        }
        let (mut batches, mut turn) = ([cut(&left, sizes.0).into_iter(), cut(&right, sizes.1).into_iter()], turns.into_iter().cycle());
        let events = [left, right];
        let mut seen = [0usize; 2];
        let mut table = Table::new();
        for n in 0.. {
            let side = usize::from(turn.next().unwrap());
            let (side, batch) = match (batches[side].next(), side) {
                (Some(batch), side) => (side, batch),
                (None, side) => match batches[1 - side].next() {
                    Some(batch) => (1 - side, batch),
                    None => break,
                },
            };
            block_on(operator.process(InputPort(side), batch.clone(), &mut out)).unwrap();
            seen[side] += batch.num_rows();
            apply(&mut table, &out.port(0));
            out.batches.clear();
            let tables: Vec<Vec<Row>> = (0..2).map(|side| fold_events(&events[side][..seen[side]])).collect();
            let expected = joined(kind, which, &tables[0], &tables[1]);
            let mut found: Vec<Cells> = table.values().flat_map(|(cells, count)| vec![cells.clone(); *count]).collect();
            found.sort();
            prop_assert_eq!(found, expected);
            if n % crash_every == 0 {
                let state = block_on(operator.snapshot(Epoch(1))).unwrap();
                let _ = block_on(operator.process(InputPort(0), inserts(&[row(77, 1, "lost")]), &mut Memory::default()));
                drop(operator);
                operator = opened(&config, folder, Some(state));
            }
        }
        block_on(operator.finish(&mut out)).unwrap();
        // Emptied tables leave nothing.
        for port in 0..2 {
            block_on(operator.on_schema(InputPort(port), SchemaChange::new(relation(), Change::Truncate), &mut out)).unwrap();
        }
        apply(&mut table, &out.port(0));
        prop_assert!(table.is_empty());
    }
}

fn other(name: &str, key: &[&str]) -> Arc<Relation> {
    let columns = relation().columns().clone();
    Arc::new(Relation::new(aqueduct_model::RelationName::table(name), columns, key, 1).unwrap())
}

fn events(rows: &[Row]) -> Vec<Event> {
    rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect()
}

#[test]
fn tables_of_one_stream_are_joined_by_name_and_columns_are_chosen() {
    let config = json!({ "mode": "changelog", "left": "orders", "right": "people", "on": [{ "n": "id" }], "select": ["id", "people_s"] });
    let (orders, people) = (other("orders", &["id"]), other("people", &["id"]));
    let batches = [
        crate::tests::batch(&orders, &events(&[row(1, 7, "x"), row(2, 8, "y")])),
        crate::tests::batch(&people, &events(&[row(7, 0, "Ann")])),
    ];
    let out = run(ENTRY, &config, &batches).unwrap();
    assert_eq!(out.rows(), [(0, vec![Some("1".into()), Some("Ann".into())])]);
    assert_eq!(out.batches[0].1.relation().key_names(), ["id"], "an order has one person");
    let strange = run(ENTRY, &config, &[inserts(&[row(1, 1, "a")])]);
    assert!(refusal(strange).contains("left: orders"));
}

#[test]
fn columns_that_are_not_chosen_may_come_and_others_stop_the_flow_with_what_to_write() {
    let more = |columns: Option<Value>| {
        let config = json!({ "mode": "changelog", "on": [{ "n": "id" }], "select": columns });
        let mut operator = opened(&config, None, None);
        let mut fields: Vec<Field> = relation().columns().fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("more", DataType::Int64, true));
        let name = aqueduct_model::RelationName::table("t");
        let wider = Arc::new(Relation::new(name, Arc::new(Schema::new(fields)), &["id"], 2).unwrap());
        let mut out = Memory::default();
        block_on(async {
            operator.process(InputPort(0), inserts(&[row(1, 2, "a")]), &mut out).await?;
            let change = SchemaChange::new(wider, Change::AddColumns(vec!["more".into()]));
            operator.on_schema(InputPort(0), change, &mut out).await?;
            operator.process(InputPort(1), inserts(&[row(2, 2, "b")]), &mut out).await
        })?;
        Ok::<_, aqueduct_model::Error>(out)
    };
    assert_eq!(more(Some(json!(["id", "right_s"]))).unwrap().rows(), [(0, vec![Some("1".into()), Some("b".into())])]);
    assert!(refusal(more(None)).contains("select: [id"));
}

#[test]
fn equal_rows_of_tables_without_a_key_are_counted() {
    let config = json!({ "mode": "changelog", "type": "left", "on": [{ "id": "n" }] });
    let keyless = other("t", &[]);
    let mut operator = opened(&config, None, None);
    let mut out = Memory::default();
    let process = |operator: &mut Box<dyn Operator>, port: usize, events: &[Event]| {
        let mut out = Memory::default();
        block_on(operator.process(InputPort(port), crate::tests::batch(&keyless, events), &mut out)).unwrap();
        out.rows().into_iter().map(|(op, cells)| (op, cells[3].is_some())).collect::<Vec<_>>()
    };
    let same = row(1, 2, "a");
    assert!(
        process(&mut operator, 0, &events(&[same.clone(), same.clone()])).is_empty(),
        "the right columns are not known"
    );
    block_on(operator.on_schema(InputPort(1), SchemaChange::new(other("u", &[]), Change::CreateTable), &mut out))
        .unwrap();
    assert_eq!(out.rows().len(), 2, "now they are");
    let keyless_right = other("u", &[]);
    let mut right = |events: &[Event]| {
        let mut out = Memory::default();
        block_on(operator.process(InputPort(1), crate::tests::batch(&keyless_right, events), &mut out)).unwrap();
        let mut rows: Vec<_> = out.rows().into_iter().map(|(op, cells)| (op, cells[3].is_some())).collect();
        rows.sort();
        rows
    };
    assert_eq!(right(&events(&[row(5, 1, "b")])), [(0, true), (0, true), (3, false), (3, false)]);
    assert_eq!(right(&[(Op::Delete, row(5, 1, "b"), false)]), [(0, false), (0, false), (3, true), (3, true)]);
}

#[test]
fn what_cannot_be_joined_is_refused_with_what_to_write() {
    let changing = |mut config: Value| {
        config["mode"] = json!("changelog");
        config
    };
    let built = |config: Value| refusal(build(ENTRY, &changing(config)).map(drop));
    assert!(built(json!({ "on": ["a"], "key": ["a"] })).contains("remove `key`"));
    assert!(built(json!({ "on": ["a"], "columns": { "t": { "a": "bigint" } } })).contains("remove `columns`"));
    let ran = |config: Value| {
        let mut operator = opened(&changing(config), None, None);
        let mut out = Memory::default();
        refusal(block_on(async {
            operator.process(InputPort(0), inserts(&[row(1, 2, "a")]), &mut out).await?;
            operator.process(InputPort(1), inserts(&[row(1, 2, "a")]), &mut out).await?;
            operator.finish(&mut out).await
        }))
    };
    assert!(ran(json!({ "on": [{ "id": "s" }] })).contains("cast(… as …)"));
    assert!(ran(json!({ "on": [{ "id": "x" }] })).contains("id, n, s"));
    assert!(ran(json!({ "on": ["s"], "select": ["id"] })).contains("right_id"));
    assert!(ran(json!({ "on": ["id"], "select": ["id", "no"] })).contains("no column no"));
    assert!(ran(json!({ "on": ["id"], "where": "n < 1" })).contains("`left.n`"));
    assert!(ran(json!({ "on": ["id"], "where": "left.n + right.n" })).contains("neither true nor false"));
    let alone = changing(json!({ "type": "full", "on": ["id"] }));
    let alone = run(ENTRY, &alone, &[inserts(&[row(1, 2, "a")])]);
    assert!(refusal(alone).contains("columns of the output are not known"));
}
