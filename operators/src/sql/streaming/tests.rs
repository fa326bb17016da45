//! Queries over changing tables against the same totals by hand.

use std::collections::BTreeMap;

use aqueduct_model::{Epoch, InputPort, Operator, OperatorContext, State};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sql::ENTRY;
use crate::tests::{Event, Memory, block_on, build, changelog, cut, fold, fold_events, inserts, refusal, row, run};

const QUERY: &str = "select upper(t.s) as name, sum(n) + count(*) as score, count(*) as number from t \
                     where t.n is null or n > -5 group by upper(s) having count(*) > 1";

fn settings(query: &str) -> Value {
    json!({ "query": query, "mode": "changelog" })
}

fn opened(folder: &std::path::Path, state: Option<State>) -> Box<dyn Operator> {
    let mut operator = build(ENTRY, &settings(QUERY)).unwrap();
    let inputs = vec!["input".to_owned()];
    let context =
        OperatorContext { task: "scores".into(), state_dir: Some(folder.into()), inputs, ..Default::default() };
    block_on(operator.open(&context, state)).unwrap();
    operator
}

fn expected(events: &[Event]) -> Vec<Vec<Option<String>>> {
    let mut groups: BTreeMap<String, Vec<Option<i64>>> = BTreeMap::new();
    for (_, n, s) in fold_events(events).into_iter().filter(|(_, n, _)| n.is_none_or(|n| n > -5)) {
        groups.entry(s.expect("no NULL").to_uppercase()).or_default().push(n);
    }
    let rows = groups.into_iter().filter(|(_, all)| all.len() > 1).map(|(name, all)| {
        let values: Vec<i64> = all.iter().flatten().copied().collect();
        let score = (!values.is_empty()).then(|| values.iter().sum::<i64>() + all.len() as i64);
        vec![Some(name), score.map(|score| score.to_string()), Some(all.len().to_string())]
    });
    rows.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn totals_are_those_of_the_table_as_it_is(events in changelog(), size in 1usize..9, crash_every in 1usize..6) {
        // Rows without a name would have no group.
        let events: Vec<Event> = events.into_iter().map(|(op, (id, n, s), bare)| (op, (id, n, Some(s.unwrap_or_default())), bare)).collect();
        // The query needs `n` of old rows: those of which only the key came are sent whole.
        let events: Vec<Event> = events.into_iter().map(|(op, row, _)| (op, row, false)).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut operator = opened(folder.path(), None);
        let mut out = Memory::default();
        let mut seen = 0;
        for (n, batch) in cut(&events, size).into_iter().enumerate() {
            seen += batch.num_rows();
            block_on(operator.process(InputPort(0), batch, &mut out)).unwrap();
            prop_assert_eq!(fold(&out.port(0)), expected(&events[..seen]));
            if n % crash_every == 0 {
                let state = block_on(operator.snapshot(Epoch(1))).unwrap();
                let _ = block_on(operator.process(InputPort(0), inserts(&[row(77, 1, "lost")]), &mut Memory::default()));
                drop(operator);
                operator = opened(folder.path(), Some(state));
            }
        }
    }
}

#[test]
fn windows_are_written_as_functions() {
    let query = "select window_start, s, count(*) as number from t \
                 group by tumble(to_timestamp_millis(id), interval '10 seconds'), s having count(*) > 1";
    let rows = [row(1_000, 1, "a"), row(2_000, 1, "a"), row(12_000, 1, "a")];
    let out = run(ENTRY, &settings(query), &[inserts(&rows)]).unwrap();
    let found: Vec<_> = out.rows().into_iter().map(|(op, cells)| (op, cells[1..].to_vec())).collect();
    assert_eq!(found, [(0, vec![Some("a".to_owned()), Some("2".to_owned())])]);
    for windows in
        ["hop(to_timestamp_millis(id), '10s', '5s')", "session(to_timestamp_millis(id), interval '3' second)"]
    {
        let query = format!("select window_start, window_end, count(*) as number from t group by {windows}");
        assert!(!run(ENTRY, &settings(&query), &[inserts(&rows)]).unwrap().batches.is_empty(), "{windows}");
    }
}

#[test]
fn what_is_no_such_query_is_refused_with_what_to_write() {
    let built = |query: &str| refusal(build(ENTRY, &settings(query)).map(drop));
    assert!(built("select s, n, count(*) as c from t group by s").contains("`max(n)`"));
    assert!(built("select count(*) as c from t group by s").contains("`s` makes the group"));
    assert!(built("select s, count(*) from t group by s").contains("as <name>"));
    assert!(built("select s, count(*) as c from t group by 1").contains("not places"));
    assert!(built("select s, count(*) as c from t group by s order by s").contains("mode `changelog`"));
    assert!(built("select s, count(*) as c from t join u on t.a = u.a group by s").contains("mode `changelog`"));
    assert!(built("select window_start, count(*) as c from t group by tumble(a)").contains("tumble(created_at, '1m')"));
    assert!(built("select s, sum(distinct n) as c from t group by s").contains("count(distinct"));
}
