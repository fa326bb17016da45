use aqueduct_model::{BadRowPolicy, BadRows, Build, PollBudget, Polled, Source, SourceContext, cell_text};
use serde_json::{Value, json};

use super::ENTRY;
use crate::tests::{block_on, refusal};

fn source(config: &Value) -> Box<dyn Source> {
    (ENTRY.check)(config).unwrap();
    match ENTRY.build {
        Build::Source { build, .. } => build(config).unwrap(),
        _ => panic!("For is a source"),
    }
}

/// The rows from a position on, as texts, `rows` at a time.
fn rows(config: &Value, from: Option<u64>, rows: usize) -> Vec<Vec<String>> {
    block_on(async {
        let mut source = source(config);
        let resume = from.map(|from| aqueduct_model::Position::single("", from.into()));
        source.open(&SourceContext::default(), resume.as_ref()).await.unwrap();
        let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
        let (mut all, budget) = (Vec::new(), PollBudget { max_rows: rows, ..PollBudget::default() });
        while let Polled::Batch(batch) = source.poll(&budget, &mut bad).await.unwrap() {
            for row in 0..batch.num_rows() {
                all.push(batch.rows().columns().iter().map(|cells| cell_text(cells.as_ref(), row).unwrap()).collect());
            }
        }
        all
    })
}

#[test]
fn lists_ranges_and_days() {
    let one = |texts: &[&str]| texts.iter().map(|text| vec![(*text).to_owned()]).collect::<Vec<_>>();
    assert_eq!(rows(&json!({ "items": ["a", "b"] }), None, 10), one(&["a", "b"]));
    assert_eq!(rows(&json!({ "items": "a, b,c" }), None, 1), one(&["a", "b", "c"]));
    assert_eq!(rows(&json!({ "range": { "from": 1, "to": 6, "step": 2 } }), None, 2), one(&["1", "3", "5"]));
    assert_eq!(rows(&json!({ "range": { "from": 2, "to": 0, "step": -1 } }), Some(1), 9), one(&["1", "0"]));
    assert_eq!(rows(&json!({ "range": { "from": 2, "to": 1 } }), None, 9), one(&[]));
    let days = json!({ "dates": { "from": "2024-02-28", "to": "2024-03-01" } });
    assert_eq!(rows(&days, None, 9), one(&["2024-02-28", "2024-02-29", "2024-03-01"]));
    let maps = json!({ "items": [{ "shop": "north", "n": 1 }, { "shop": "south", "open": true }] });
    assert_eq!(rows(&maps, None, 9), [["north", "1", ""], ["south", "", "true"]]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (config, word) in [
        (json!({}), "items"),
        (json!({ "items": [1], "range": { "from": 1, "to": 2 } }), "one of"),
        (json!({ "range": { "from": 1, "to": 2, "step": 0 } }), "range.step"),
        (json!({ "dates": { "from": "2024-13-01", "to": "2024-03-01" } }), "dates.from"),
        (json!({ "dates": { "from": "2024-01-01", "to": "2024-03-01", "step": "90m" } }), "dates.step"),
        (json!({ "range": { "from": 1, "to": 1_000_000_000_000_i64 } }), "table"),
        (json!({ "query": { "plugin": "CSVInput" } }), "in the place of For"),
    ] {
        assert!(refusal((ENTRY.check)(&config)).contains(word), "{config}");
    }
}
