//! Whole queries against a person with a pencil, however the rows are cut, through crashes, within memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aqueduct_model::{Batch, ChangeSupport, ErrorKind, Op, Relation, RelationName, Result};
use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::ENTRY;
use crate::tests::{Memory, Row, batch, cut, inserts, refusal, relation, row, rows, run, run_with_crashes};

type Cells = Vec<Option<String>>;

fn query(text: &str) -> Value {
    json!({ "query": text })
}

/// The rows that came out, sorted.
fn sorted(out: &Memory) -> Vec<Cells> {
    let mut cells: Vec<Cells> = out.rows().into_iter().map(|(_, cells)| cells).collect();
    cells.sort();
    cells
}

fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

/// Rows of both inputs as batches of some size, taking turns.
fn both(left: &[Row], right: &[Row], size: usize) -> Vec<(usize, Batch)> {
    let events = |rows: &[Row]| rows.iter().map(|row| (Op::Insert, row.clone(), false)).collect::<Vec<_>>();
    let mut left = cut(&events(left), size).into_iter();
    let mut right = cut(&events(right), size).into_iter();
    let mut batches = Vec::new();
    loop {
        let before = batches.len();
        batches.extend(left.next().map(|batch| (0, batch)));
        batches.extend(right.next().map(|batch| (1, batch)));
        if batches.len() == before {
            return batches;
        }
    }
}

/// Groups by s: how many, their sum, and how many have a partner in the other table by n.
fn grouped(left: &[Row], right: &[Row]) -> Vec<Cells> {
    let mut groups: BTreeMap<Option<String>, (i64, Option<i64>, i64)> = BTreeMap::new();
    for (_, n, s) in left {
        let group = groups.entry(s.clone()).or_default();
        group.0 += 1;
        group.1 = n.map(|n| n + group.1.unwrap_or(0)).or(group.1);
        group.2 += i64::from(n.is_some() && right.iter().any(|(_, other, _)| other == n));
    }
    let mut cells: Vec<Cells> = groups
        .into_iter()
        .map(|(s, (rows, sum, partners))| vec![s, text(rows), sum.map(|n| n.to_string()), text(partners)])
        .collect();
    cells.sort();
    cells
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn groups_and_joins_are_those_of_a_person(
        left in rows(), right in rows(), size in 1usize..20, crashes in prop::collection::vec(0usize..8, 0..3), on_disk: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let folder = on_disk.then(|| folder.path());
        let batches = both(&left, &right, size);
        let config = query(
            "with Partners as (select distinct n from other) \
             select s, count(*) as c, sum(i.n) as total, count(p.n) as partners \
             from input i left join Partners p on i.n = p.N group by s",
        );
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, folder).unwrap();
        prop_assert_eq!(sorted(&out), grouped(&left, &right));
        prop_assert!(out.batches.iter().all(|(_, batch)| batch.relation().name().table == "task"));

        let config = query("select n, s from input where n > 0 union select n, s from other where n > 0");
        let out = run_with_crashes(ENTRY, &config, &batches, &crashes, folder).unwrap();
        let all = left.iter().chain(&right).filter(|(_, n, _)| n.is_some_and(|n| n > 0));
        let all: BTreeSet<Cells> = all.map(|(_, n, s)| vec![n.map(|n| n.to_string()), s.clone()]).collect();
        prop_assert_eq!(sorted(&out), all.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn order_limit_and_windows(left in rows(), size in 1usize..20, crash in 0usize..8, limit in 1usize..20) {
        let batches = both(&left, &[], size);
        let config = query(&format!(
            "select id, n, s, count(*) over (partition by n) as alike from input order by n desc nulls last, id, s limit {limit}"
        ));
        let out = run_with_crashes(ENTRY, &config, &batches, &[crash], None).unwrap();
        let mut expected = left.clone();
        expected.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)).then((a.2.is_none(), &a.2).cmp(&(b.2.is_none(), &b.2))));
        let alike = |n: &Option<i64>| left.iter().filter(|other| other.1 == *n).count();
        let expected: Vec<Cells> = expected.iter().take(limit)
            .map(|(id, n, s)| vec![text(id), n.map(|n| n.to_string()), s.clone(), text(alike(n))]).collect();
        let got: Vec<Cells> = out.rows().into_iter().map(|(_, cells)| cells).collect();
        prop_assert_eq!(got, expected);
        prop_assert!(out.batches.iter().all(|(_, batch)| batch.relation().name().table == "t"));
    }
}

fn one(text: &str) -> Result<Memory> {
    run(ENTRY, &query(text), &[inserts(&[row(1, i64::MAX, "a"), row(2, 1, "b")])])
}

#[test]
fn what_does_not_fit_its_type_is_an_error_and_never_wrapped() {
    for wrong in [
        "select sum(n) as total from t",
        "select s, sum(n) as total from t group by s union all select 'all', sum(n) from t",
        "select id, sum(n) over () as total from t",
        "select id, sum(n) over (order by id rows between 1 preceding and current row) as total from t",
        "select max(n + id) as x from t",
        "select max(n * 2) as x from t",
        "select min(-2 - n) as x from t",
    ] {
        let error = one(wrong).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Data, "{wrong}: {error:?}");
        assert!(format!("{error:?}").contains("a number is too large for its type"), "{wrong}: {error:?}");
    }
    assert!(refusal(one("select sum(distinct n) as total from t")).contains("select distinct x"));
    let out = one("select sum(cast(n as decimal(20, 0))) as total, sum(id * 2 - 1) as other from t").unwrap();
    assert_eq!(sorted(&out), [[text("9223372036854775808"), text("4")]]);
}

#[test]
fn decimals_are_summed_exactly() {
    let columns = Schema::new(vec![Field::new("amount", DataType::Decimal128(38, 2), true)]);
    let relation = Relation::new(RelationName::table("t"), Arc::new(columns), &[] as &[&str], 1).unwrap();
    let amounts = |values: &[i128]| {
        let values = Decimal128Array::from_iter_values(values.iter().copied()).with_precision_and_scale(38, 2).unwrap();
        let rows = RecordBatch::try_new(relation.columns().clone(), vec![Arc::new(values)]).unwrap();
        Batch::inserts(Arc::new(relation.clone()), rows).unwrap()
    };
    let config = query("select sum(amount) as total from t group by true");
    let out = run(ENTRY, &config, &[amounts(&[1, 20]), amounts(&[300])]).unwrap();
    assert_eq!(sorted(&out), [[text("3.21")]]);
    let nines = 10_i128.pow(38) - 1;
    for text in ["select sum(amount) as total from t group by true", "select sum(amount) as total from t"] {
        let error = run(ENTRY, &query(text), &[amounts(&[nines, 1])]).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Data, "{error:?}");
    }
}

#[test]
fn names_are_found_without_case_and_what_is_not_used_is_not_kept() {
    let rows = [row(1, 5, "a"), row(2, 7, "a")];
    let out =
        run(ENTRY, &query("select S, Sum(N) as Total from T group by s order by TOTAL"), &[inserts(&rows)]).unwrap();
    assert_eq!(out.rows(), [(0, vec![text("a"), text("12")])]);
    assert_eq!(out.batches[0].1.relation().columns().field(1).name(), "Total");
    let parsed = super::WholeQuery::parse("select s, count(*) as c from t group by s").unwrap();
    assert!(parsed.uses("S") && !parsed.uses("n"));
    for all in ["select * from t order by s", "select s, count(*) as c from t natural join u group by s"] {
        assert!(super::WholeQuery::parse(all).unwrap().uses("n"), "{all}");
    }
}

#[test]
fn a_key_is_given_checked_and_kept_from_null() {
    let config = json!({ "query": "select s, count(*) as c from t group by s", "key": ["s"], "table": "totals" });
    let out = run(ENTRY, &config, &[inserts(&[row(1, 1, "a")])]).unwrap();
    assert_eq!(
        (out.batches[0].1.relation().key_names(), out.batches[0].1.relation().name().table.as_str()),
        (vec!["s"], "totals")
    );
    let nameless = (Op::Insert, (1, Some(1), None), false);
    let error = run(ENTRY, &config, &[batch(&relation(), &[nameless])]).err().unwrap();
    assert!(error.hint().unwrap().contains("is not null"), "{error:?}");
    let config = json!({ "query": "select s, count(*) as c from t group by s", "key": ["x"] });
    assert!(refusal(run(ENTRY, &config, &[inserts(&[row(1, 1, "a")])])).contains("setting key"));
}

#[test]
fn mistakes_come_out_with_the_first_rows() {
    let cases = [
        ("select nm from t order by nm", "did you mean n?"),
        ("select sum(s) as x from t", "cast("),
        ("select null as x from t order by n", "cast(null as varchar)"),
    ];
    for (text, hint) in cases {
        let mut operator = crate::tests::build(ENTRY, &query(text)).unwrap();
        let mut out = Memory::default();
        let got = crate::tests::block_on(async {
            operator
                .open(&aqueduct_model::OperatorContext { inputs: vec!["input".into()], ..Default::default() }, None)
                .await?;
            operator.process(aqueduct_model::InputPort(0), inserts(&[row(1, 1, "a")]), &mut out).await
        });
        let got = refusal(got);
        assert!(got.contains(hint) && got.contains("config error"), "{text}: {got}");
    }
}

#[test]
fn what_cannot_be_run_is_refused_before_it_starts() {
    let cases = [
        ("select count(*) from t", "name it: `count(*) as <name>`"),
        ("select n as a, s as a from t order by 1", "two columns are named a"),
        ("select summ(n) as x from t group by s", "did you mean `sum`?"),
        ("select now() as x, count(*) as c from t", "gives another value each time"),
        ("select s, random() as x from t group by s", "gives another value each time"),
        ("with recursive r as (select 1 as n union all select n + 1 from r) select n from r", "with recursive"),
        ("select count(*) as c from generate_series(1, 10)", "a table function"),
        ("select 1 as x", "names no table"),
        ("select n from t order by n for update", "`for` is not possible"),
        ("select n from t prewhere n > 1 order by n", "setting query"),
        ("select n from t tablesample bernoulli (10) order by n", "setting query"),
        ("select n from t order by n settings a = 1", "setting query"),
    ];
    for (text, hint) in cases {
        let got = refusal((ENTRY.check)(&query(text)));
        assert!(got.contains(hint), "{text}: {got}");
    }
    let properties = (ENTRY.check)(&query("select s, count(*) as c from t group by s")).unwrap();
    assert!(properties.needs_end && properties.changes == ChangeSupport::AppendOnly);
    assert!(!(ENTRY.check)(&query("select s from t")).unwrap().needs_end);
    let small = json!({ "query": "select s from t order by s", "memory": "1KiB" });
    assert!(refusal((ENTRY.check)(&small)).contains("memory: 256MiB"));
}

#[test]
fn a_table_of_which_nothing_came_has_to_be_described() {
    let text = "select t.id, o.name from t left join other_table o on t.n = o.n order by id";
    let error = run(ENTRY, &query(text), &[inserts(&[row(1, 1, "a")])]).err().unwrap();
    assert!(error.hint().unwrap().contains("columns: { other_table: { id: bigint } }"), "{error:?}");
    let config = json!({ "query": text, "columns": { "other_table": { "n": "bigint", "name": "varchar" } } });
    let out = run(ENTRY, &config, &[inserts(&[row(1, 1, "a")])]).unwrap();
    assert_eq!(out.rows(), [(0, vec![Some("1".to_owned()), None])]);
    let config = json!({ "query": text, "columns": { "other_table": { "n": "nonsense" } } });
    assert!(refusal((ENTRY.check)(&config)).contains("columns.other_table.n"));
}

#[test]
fn updates_and_other_tables() {
    let lone = (Op::Delete, row(1, 1, "a"), false);
    let config = query("select s, count(*) as c from t group by s");
    let error = run(ENTRY, &config, &[batch(&relation(), &[lone])]).err().unwrap();
    assert!(error.kind() == ErrorKind::Data && error.hint().is_some(), "{error:?}");
    let other = Arc::new(relation().renamed(RelationName::table("u")));
    let other = Batch::inserts(other, inserts(&[row(1, 1, "a")]).rows().clone()).unwrap();
    let batches = [inserts(&[row(1, 1, "a")]), other];
    assert_eq!(run(ENTRY, &config, &batches).unwrap().batches.len(), 2);
    let config = json!({ "query": "select s, count(*) as c from t group by s", "others": "drop" });
    assert_eq!(run(ENTRY, &config, &batches).unwrap().batches.len(), 1);
}

/// Rows that take about so many bytes, with keys that are scattered.
pub(crate) fn many(table: &str, rows: i64) -> Vec<Batch> {
    let relation = Arc::new(relation().renamed(RelationName::table(table)));
    let made = (0..rows).step_by(8_192).map(|from| {
        let ids = || from..(from + 8_192).min(rows);
        let scattered = |n: i64| (n.wrapping_mul(2_654_435_761)) % rows;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(ids())),
            Arc::new(Int64Array::from_iter_values(ids().map(scattered))),
            Arc::new(StringArray::from_iter_values(ids().map(|n| format!("{:032}", scattered(n))))),
        ];
        let rows = RecordBatch::try_new(relation.columns().clone(), columns).unwrap();
        Batch::inserts(relation.clone(), rows).unwrap()
    });
    made.collect()
}

#[test]
fn five_times_the_memory_is_sorted_joined_and_grouped_in_files() {
    let rows: i64 = 900_000;
    let folder = tempfile::tempdir().unwrap();
    let batches: Vec<(usize, Batch)> = many("t", rows).into_iter().map(|batch| (0, batch)).collect();
    let bytes: usize = batches.iter().map(|(_, batch)| batch.memory_bytes()).sum();
    assert!(bytes > 5 * (8 << 20), "{bytes}");
    let config = |text: &str| json!({ "query": text, "memory": "8MiB" });
    let run = |text: &str| {
        let ran = run_with_crashes(ENTRY, &config(text), &batches, &[], Some(folder.path()));
        ran.unwrap_or_else(|error| panic!("{text}: {}", error.chain()))
    };
    let out = run("select * from t order by s desc, id");
    let ids: Vec<Option<i64>> = out.port(0).iter().flat_map(|batch| crate::tests::numbers(batch, "n")).collect();
    assert_eq!(ids.len() as i64, rows);
    assert!(ids.is_sorted_by(|a, b| a >= b));
    let out = run("select a.id, b.s from t a join t b on a.id = b.n");
    assert_eq!(out.port(0).iter().map(Batch::num_rows).sum::<usize>() as i64, rows);
    let out = run("select s, count(*) as c, sum(n) as total from t group by s");
    assert_eq!(out.port(0).iter().map(Batch::num_rows).sum::<usize>() as i64, rows);
    assert_eq!(std::fs::read_dir(folder.path().join("spill")).unwrap().count(), 0);
}
