//! Random changes, cut into batches and epochs anyhow, with crashes and replays: the target is what a naive fold says.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{Batch, Op, Relation};
use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::DataType;
use serde_json::{Value, json};

use super::{Bench, Kit, Writer, relation};

/// `(id, part)` is the key of the keyed table.
type Key = (i64, String);

/// The rest of a row: two nullable columns.
type Rest = (Option<i64>, Option<i128>);

/// A change of a row, as a source would send it. `None` in `sent` means the value was not sent.
#[derive(Debug, Clone)]
struct Sent {
    op: Op,
    key: Key,
    amount: Option<Option<i64>>,
    price: Option<Option<i128>>,
}

/// A small, seeded generator (splitmix64): a failure names its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn rest(&mut self) -> Rest {
        let amount = if self.one_in(4) { None } else { Some(self.below(100) as i64 - 50) };
        let price = if self.one_in(4) { None } else { Some(i128::from(self.below(100_000))) };
        (amount, price)
    }

    fn key(&mut self) -> Key {
        (self.below(6) as i64, ["a", "b"][self.below(2) as usize].to_owned())
    }
}

fn full(op: Op, key: &Key, rest: &Rest) -> Sent {
    Sent { op, key: key.clone(), amount: Some(rest.0), price: Some(rest.1) }
}

/// One random change of the keyed table; the model is changed alike.
fn change(random: &mut Random, model: &mut BTreeMap<Key, Rest>) -> Vec<Sent> {
    let key = random.key();
    let Some(old) = model.get(&key).copied() else {
        let rest = random.rest();
        model.insert(key.clone(), rest);
        return vec![full(Op::Insert, &key, &rest)];
    };
    let partial = random.one_in(3);
    let sent_price = !partial || random.one_in(2);
    let new_rest = random.rest();
    let merged = (if partial { old.0 } else { new_rest.0 }, if sent_price { new_rest.1 } else { old.1 });
    let after = |key: &Key| Sent {
        op: Op::UpdateAfter,
        key: key.clone(),
        amount: (!partial).then_some(new_rest.0),
        price: sent_price.then_some(new_rest.1),
    };
    match random.below(10) {
        0..3 => {
            model.remove(&key);
            vec![Sent { op: Op::Delete, key, amount: None, price: None }]
        }
        3..5 => {
            let to = random.key();
            if model.contains_key(&to) {
                return Vec::new();
            }
            model.remove(&key);
            model.insert(to.clone(), merged);
            let before = if random.one_in(2) {
                full(Op::UpdateBefore, &key, &old)
            } else {
                Sent { op: Op::UpdateBefore, key, amount: None, price: None }
            };
            vec![before, after(&to)]
        }
        5..7 => {
            model.insert(key.clone(), merged);
            vec![after(&key)]
        }
        7 => {
            // An insert of a row that is there: a snapshot that overlaps the stream.
            model.insert(key.clone(), new_rest);
            vec![full(Op::Insert, &key, &new_rest)]
        }
        _ => {
            model.insert(key.clone(), merged);
            vec![full(Op::UpdateBefore, &key, &old), after(&key)]
        }
    }
}

/// One random change of the table without a key.
fn keyless_change(random: &mut Random, model: &mut Vec<(Key, Rest)>) -> Vec<Sent> {
    let at = if model.is_empty() { 0 } else { random.below(model.len() as u64) as usize };
    let new = (random.key(), (Some(random.below(3) as i64), None));
    match random.below(4) {
        0 if !model.is_empty() => {
            let (key, rest) = model.swap_remove(at);
            vec![full(Op::Delete, &key, &rest)]
        }
        1 if !model.is_empty() => {
            let (key, rest) = std::mem::replace(&mut model[at], new.clone());
            vec![full(Op::UpdateBefore, &key, &rest), full(Op::UpdateAfter, &new.0, &new.1)]
        }
        _ => {
            model.push(new.clone());
            vec![full(Op::Insert, &new.0, &new.1)]
        }
    }
}

fn table(name: &str, key: &[&str]) -> Arc<Relation> {
    let columns = [
        ("id", DataType::Int64),
        ("amount", DataType::Int64),
        ("part", DataType::Utf8),
        ("price", DataType::Decimal128(12, 2)),
    ];
    relation(name, &columns, key)
}

fn to_batch(relation: &Arc<Relation>, rows: &[Sent]) -> Batch {
    let prices: Decimal128Array = rows.iter().map(|row| row.price.flatten()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.key.0))),
        Arc::new(rows.iter().map(|row| row.amount.flatten()).collect::<Int64Array>()),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.key.1))),
        Arc::new(prices.with_precision_and_scale(12, 2).unwrap()),
    ];
    let rows_of = RecordBatch::try_new(relation.columns().clone(), columns).unwrap();
    let ops = UInt8Array::from_iter_values(rows.iter().map(|row| row.op as u8));
    Batch::changes(relation.clone(), rows_of, ops)
        .unwrap()
        .with_present(1, rows.iter().map(|row| Some(row.amount.is_some())).collect::<BooleanArray>())
        .unwrap()
        .with_present(3, rows.iter().map(|row| Some(row.price.is_some())).collect::<BooleanArray>())
        .unwrap()
}

fn show(key: &Key, rest: &Rest) -> String {
    let number = |value: Option<i64>| value.map_or("NULL".to_owned(), |value| value.to_string());
    let price = rest.1.map_or("NULL".to_owned(), |price| format!("{}.{:02}", price / 100, price % 100));
    format!("{}|{}|{}|{price}", key.0, number(rest.0), key.1)
}

/// What an epoch writes, and what the tables hold after it.
struct EpochPlan {
    batches: Vec<Batch>,
    keyed: Vec<String>,
    keyless: Vec<String>,
}

fn plan(random: &mut Random, epochs: usize, with_keyless: bool) -> Vec<EpochPlan> {
    let (keyed, keyless) = (table("keyed", &["part", "id"]), table("keyless", &[]));
    let mut model = BTreeMap::new();
    let mut bag: Vec<(Key, Rest)> = Vec::new();
    (0..epochs)
        .map(|_| {
            let mut batches = Vec::new();
            let mut waiting: [Vec<Sent>; 2] = [Vec::new(), Vec::new()];
            for _ in 0..random.below(30) {
                waiting[0].extend(change(random, &mut model));
                if with_keyless {
                    waiting[1].extend(keyless_change(random, &mut bag));
                }
                for (rows, relation) in waiting.iter_mut().zip([&keyed, &keyless]) {
                    if !rows.is_empty() && random.one_in(5) {
                        batches.push(to_batch(relation, &std::mem::take(rows)));
                    }
                }
            }
            for (rows, relation) in waiting.iter().zip([&keyed, &keyless]) {
                if !rows.is_empty() {
                    batches.push(to_batch(relation, rows));
                }
            }
            let mut shown: Vec<String> = model.iter().map(|(key, rest)| show(key, rest)).collect();
            shown.sort();
            let mut bag_shown: Vec<String> = bag.iter().map(|(key, rest)| show(key, rest)).collect();
            bag_shown.sort();
            EpochPlan { batches, keyed: shown, keyless: bag_shown }
        })
        .collect()
}

/// Writes epochs with crashes in between, as the engine does; checks the target after every commit that it looks at.
fn run(bench: &Bench<'_>, random: &mut Random, epochs: &[EpochPlan], with_keyless: bool) {
    let mut writer: Option<Writer> = None;
    let mut done = 0;
    let mut crashes = 0;
    while done < epochs.len() {
        let current = writer.get_or_insert_with(|| {
            let (writer, recorded) = bench.start();
            let committed = recorded.map_or(0, |recorded| recorded.cut.epoch.0 as usize);
            assert_eq!(committed, done, "the ledger says what is committed");
            writer
        });
        let crash_after = if crashes < 4 && random.one_in(4) { Some(random.below(3) as usize) } else { None };
        let mut crashed = false;
        for (i, batch) in epochs[done].batches.iter().enumerate() {
            current.write(batch.clone());
            if crash_after == Some(i) {
                crashed = true;
                break;
            }
        }
        if crashed {
            crashes += 1;
            writer = None;
            continue;
        }
        current.flush();
        assert_eq!(current.bad.take(), []);
        done += 1;
        if random.one_in(3) || done == epochs.len() {
            writer = None;
            assert_eq!(bench.read("keyed").1, epochs[done - 1].keyed, "epoch {done}");
            if with_keyless {
                assert_eq!(bench.read("keyless").1, epochs[done - 1].keyless, "epoch {done}");
            }
        }
    }
}

/// Runs `cases` seeds under one config.
fn the_target_is_the_fold(kit: &Kit, config: &Value, with_keyless: bool) {
    for seed in 0..kit.cases {
        let mut config = config.clone();
        // From "every row goes into the transaction at once" to "all of the epoch is compacted at once".
        config["staging_bytes"] = json!([1, 200, 1_000, 1 << 20][seed as usize % 4]);
        let bench = Bench::new(kit, config.clone());
        let mut random = Random(seed);
        let epochs = plan(&mut random, 6, with_keyless);
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&bench, &mut random, &epochs, with_keyless)));
        assert!(result.is_ok(), "seed {seed} with {config}");
    }
}

pub(crate) fn in_mode_upsert_the_target_is_the_fold(kit: &Kit) {
    the_target_is_the_fold(kit, &json!({ "mode": "upsert" }), true);
}

pub(crate) fn in_mode_mirror_the_target_is_the_fold(kit: &Kit) {
    the_target_is_the_fold(kit, &json!({ "mode": "mirror" }), true);
}

pub(crate) fn in_mode_soft_delete_the_target_is_the_fold(kit: &Kit) {
    the_target_is_the_fold(kit, &json!({ "mode": "soft_delete" }), false);
}

pub(crate) fn in_mode_replace_the_target_is_the_fold(kit: &Kit) {
    the_target_is_the_fold(kit, &json!({ "mode": "replace" }), true);
}

pub(crate) fn in_mode_scd2_the_current_versions_are_the_fold(kit: &Kit) {
    the_target_is_the_fold(kit, &json!({ "mode": "scd2" }), false);
}
