use std::collections::{BTreeMap, HashSet};

use super::*;
use aqueduct_model::conformance::{SourceCase, check_source, record_texts};
use aqueduct_model::{BadRowPolicy, BadRows, Batch, PollBudget, Polled, Position, SourceContext};
use arrow::array::cast::AsArray;
use arrow::array::types::{Int64Type, TimestampMicrosecondType};

fn config(yaml_as_json: serde_json::Value) -> FakerConfig {
    serde_json::from_value(yaml_as_json).unwrap()
}

/// Each row as `table|op|cells`.
type Rows = Vec<String>;

/// Each position with the number of rows before it.
type Marks = Vec<(usize, Position)>;

fn note(rows: &mut Rows, batch: &Batch) {
    let table = batch.relation().name();
    for (row, cells) in record_texts(batch.rows()).unwrap().into_iter().enumerate() {
        rows.push(format!("{table}|{:?}|{cells}", batch.op(row)));
    }
}

fn run_blocking<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

async fn read(
    config: &FakerConfig,
    resume: Option<Position>,
    until: Option<Position>,
    max_rows: usize,
) -> (Rows, Marks) {
    let mut source = FakerSource::new(config).unwrap();
    source.open(&SourceContext::default(), resume.as_ref()).await.unwrap();
    let budget = PollBudget { max_rows, until, ..PollBudget::default() };
    let (mut rows, mut bad) = (Rows::new(), BadRows::new(BadRowPolicy::Fail, 0));
    let mut marks = vec![(0, source.position().unwrap())];
    while let Polled::Batch(batch) = source.poll(&budget, &mut bad).await.unwrap() {
        assert!(batch.num_rows() <= max_rows + 1);
        note(&mut rows, &batch);
        marks.push((rows.len(), source.position().unwrap()));
    }
    (rows, marks)
}

const ALL: [(&str, bool); 10] = [
    ("orders", false),
    ("orders", true),
    ("customers", false),
    ("customers", true),
    ("shop", false),
    ("shop", true),
    ("people", false),
    ("people", true),
    ("nexmark", false),
    ("numbers", false),
];

#[test]
fn resuming_anywhere_continues_with_the_same_rows() {
    for (dataset, changes) in ALL {
        for locale in ["en", "zh_cn"] {
            // Two whole groups of events and a part of one, where there are groups.
            let rows = if ["shop", "nexmark"].contains(&dataset) { 17_000 } else { 3_000 };
            let config = config(serde_json::json!(
                {"dataset": dataset, "rows": rows, "seed": 11, "changes": changes, "locale": locale}
            ));
            run_blocking(async {
                let (whole, marks) = read(&config, None, None, 97).await;
                let (_, end) = marks.last().unwrap();
                for (before, cut) in marks.iter().step_by(marks.len() / 7).chain(marks.last()) {
                    let (head, stopped) = read(&config, None, Some(cut.clone()), 333).await;
                    assert_eq!((head.len(), &stopped.last().unwrap().1), (*before, cut), "{dataset}");
                    let (tail, ended) = read(&config, Some(cut.clone()), None, 1_000).await;
                    assert_eq!(ended.last().unwrap().1, *end);
                    assert_eq!([head, tail].concat(), whole, "{dataset} cut at {cut:?}");
                }
            });
        }
    }
}

#[test]
fn rows_may_be_raised_but_not_lowered() {
    for dataset in ["shop", "nexmark", "orders"] {
        let with = |rows: u64| config(serde_json::json!({"dataset": dataset, "rows": rows, "seed": 2}));
        run_blocking(async {
            let (mut all, _) = read(&with(20_000), None, None, 500).await;
            all.sort();
            let (mut first, marks) = read(&with(9_777), None, None, 500).await;
            let end = marks.last().unwrap().1.clone();
            first.extend(read(&with(20_000), Some(end.clone()), None, 500).await.0);
            first.sort();
            assert_eq!(first, all, "{dataset}");

            let (_, marks) = read(&with(20_000), None, None, 500).await;
            let inside = marks.iter().find(|(rows, _)| *rows > 9_000).unwrap().1.clone();
            let mut lower = FakerSource::new(&with(9_000)).unwrap();
            assert!(lower.open(&SourceContext::default(), Some(&inside)).await.is_err());
        });
    }
}

#[test]
fn every_dataset_keeps_the_promises_of_a_source() {
    for (dataset, changes) in ALL {
        let settings = serde_json::json!({"dataset": dataset, "rows": 700, "seed": 4, "changes": changes});
        let far = Position::single("", serde_json::json!({"row": 701}));
        let build = move || FakerInput::build(config(settings.clone()));
        let case = SourceCase { lost_positions: vec![far], ..SourceCase::new(dataset, build) };
        assert_eq!(run_blocking(check_source(&case)).into_result().err().unwrap_or_default(), [""; 0]);
    }
}

#[test]
fn another_seed_makes_other_rows() {
    let rows = |seed: u64| {
        let config = config(serde_json::json!({"dataset": "orders", "rows": 10, "seed": seed}));
        run_blocking(read(&config, None, None, 100)).0
    };
    assert_eq!(rows(1), rows(1));
    assert_ne!(rows(1), rows(2));
}

/// Plays changes into tables; every old image must be what the table holds.
fn play(rows: &[String]) -> BTreeMap<&str, BTreeMap<String, String>> {
    let mut tables: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for row in rows {
        let (name, change) = row.split_once('|').unwrap();
        let table = tables.entry(name).or_default();
        let (op, cells) = change.split_once('|').unwrap();
        let id = cells.split('|').next().unwrap().to_owned();
        match op {
            "Insert" => assert!(table.insert(id, cells.to_owned()).is_none()),
            "UpdateBefore" => assert_eq!(table[&id], cells),
            "UpdateAfter" => assert!(table.insert(id, cells.to_owned()).is_some_and(|before| before != cells)),
            _ => assert_eq!(table.remove(&id).as_deref(), Some(cells)),
        }
    }
    tables
}

#[test]
fn changes_are_consistent_and_orders_keep_their_customers() {
    for dataset in ["orders", "customers", "people", "shop"] {
        let config = config(serde_json::json!({"dataset": dataset, "rows": 20_000, "seed": 5, "changes": true}));
        let (rows, _) = run_blocking(read(&config, None, None, 5_000));
        let tables = play(&rows);
        assert!(tables.values().all(|table| !table.is_empty()));
        if dataset == "shop" {
            for order in tables["orders"].values() {
                let customer = order.split('|').nth(1).unwrap();
                assert!(tables["customers"].contains_key(customer), "order {order} lost its customer");
            }
        }
    }
}

#[test]
fn nexmark_keeps_its_proportions_and_references() {
    let config = config(serde_json::json!({"dataset": "nexmark", "events": 50_000, "seed": 3}));
    run_blocking(async {
        let mut source = FakerSource::new(&config).unwrap();
        source.open(&SourceContext::default(), None).await.unwrap();
        let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
        let mut counts = BTreeMap::new();
        let (mut persons, mut auctions) = (HashSet::new(), HashSet::new());
        while let Polled::Batch(batch) = source.poll(&PollBudget::default(), &mut bad).await.unwrap() {
            let table = batch.relation().name().to_string();
            let column = |name: &str| batch.rows()[name].as_primitive::<Int64Type>().values().to_vec();
            *counts.entry(table.clone()).or_insert(0) += batch.num_rows();
            match table.as_str() {
                "person" => assert!(column("id").into_iter().all(|id| persons.insert(id))),
                "auction" => {
                    assert!(column("id").into_iter().all(|id| auctions.insert(id)));
                    assert!(column("seller").iter().all(|id| persons.contains(id)));
                }
                _ => {
                    assert!(column("bidder").iter().all(|id| persons.contains(id)));
                    assert!(column("auction").iter().all(|id| auctions.contains(id)));
                    let times = batch.rows()["date_time"].as_primitive::<TimestampMicrosecondType>();
                    assert!(times.values().is_sorted());
                }
            }
        }
        assert_eq!(
            counts,
            BTreeMap::from([("person".into(), 1_000), ("auction".into(), 3_000), ("bid".into(), 46_000)])
        );
    });
}

#[test]
fn check_digits_are_right() {
    let config = config(serde_json::json!({"dataset": "people", "rows": 500, "locale": "zh_cn"}));
    let (rows, _) = run_blocking(read(&config, None, None, 500));
    for row in &rows {
        let cells: Vec<&str> = row.split('|').skip(2).collect();
        let (card, bank) = (cells[7], cells[9]);
        assert_eq!(card.len(), 18);
        assert_eq!(card[6..14], cells[3].replace('-', ""));
        let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2, 1];
        let sum: u32 = card.chars().zip(weights).map(|(digit, weight)| digit.to_digit(10).unwrap_or(10) * weight).sum();
        assert_eq!(sum % 11, 1, "{card}");
        let luhn: u32 = bank
            .bytes()
            .rev()
            .enumerate()
            .map(|(i, digit)| u32::from(digit - b'0') * (1 + i as u32 % 2))
            .map(|digit| digit / 10 + digit % 10)
            .sum();
        assert_eq!(luhn % 10, 0, "{bank}");
    }
}

#[test]
fn a_rate_limits_the_rows_of_a_poll() {
    let config = config(serde_json::json!({"dataset": "numbers", "rows": 5_000, "rate": 0.001}));
    run_blocking(async {
        let mut source = FakerSource::new(&config).unwrap();
        source.open(&SourceContext::default(), None).await.unwrap();
        let budget = PollBudget { max_wait: std::time::Duration::ZERO, ..PollBudget::default() };
        let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
        assert!(matches!(source.poll(&budget, &mut bad).await.unwrap(), Polled::Batch(batch) if batch.num_rows() == 1));
        assert!(matches!(source.poll(&budget, &mut bad).await.unwrap(), Polled::Idle));
    });
}

#[test]
fn wrong_settings_are_named() {
    for (settings, at) in [
        (serde_json::json!({"dataset": "nexmark", "rows": 1, "events": 1}), "events"),
        (serde_json::json!({"dataset": "orders", "events": 1}), "events"),
        (serde_json::json!({"dataset": "orders", "rate": 0.0}), "rate"),
        (serde_json::json!({"dataset": "nexmark", "changes": true}), "changes"),
        (serde_json::json!({"dataset": "orders", "rows": 1u64 << 60}), "rows"),
        (serde_json::json!({"dataset": "orders", "row": 1}), "row"),
        (serde_json::json!({"dataset": "ordres"}), "dataset"),
    ] {
        let error = (ENTRY.check)(&settings).unwrap_err();
        assert_eq!(error.setting(), Some(at), "{error:?}");
    }
    let endless = (ENTRY.check)(&serde_json::json!({"dataset": "orders"})).unwrap();
    assert!(endless.unbounded && !endless.emits_changes);
}

#[test]
fn a_foreign_position_is_refused() {
    let config = config(serde_json::json!({"dataset": "orders", "rows": 10}));
    let mut source = FakerSource::new(&config).unwrap();
    for position in [
        Position::single("a.csv", serde_json::json!({"offset": 3})),
        Position::single("", serde_json::json!({"row": 11})),
    ] {
        assert!(run_blocking(source.open(&SourceContext::default(), Some(&position))).is_err());
    }
}
