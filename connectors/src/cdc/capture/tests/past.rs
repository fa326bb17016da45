//! A scan of tables that are written to meanwhile shows them as they were at the cut, by rows and by sums: every seed is
//! one history.

use std::collections::BTreeMap;
use std::sync::Arc;

use aqueduct_model::{BadRowPolicy, BadRows, Checksum, ChooseReading, ErrorKind, Op, Polled, Reading};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::system::FakeSystem;
use super::world::{Row, Shared, relation};
use crate::cdc::capture::disk::Disk;
use crate::cdc::capture::journal::Journal;
use crate::cdc::capture::past::Past;
use crate::cdc::capture::position::{Phase, ShapeId, State, TableState};
use crate::row_checksum::{cell_texts, digests};

const SEEDS: u64 = 1_000;
/// Rows asked for at a time.
const ROWS: usize = 3;

type Tables = BTreeMap<String, Vec<Row>>;

/// The rows of every table before a place in the log.
fn rows_at(world: &Shared, cut: usize) -> Tables {
    let world = world.lock();
    let mut tables: Tables = world.tables.keys().map(|name| (name.clone(), Vec::new())).collect();
    for (name, (old, new)) in world.log[..cut].iter().flat_map(|transaction| &transaction.changes) {
        let rows = tables.get_mut(name).expect("no table is made or dropped");
        if let Some(place) = old.and_then(|old| rows.iter().position(|row| *row == old)) {
            rows.swap_remove(place);
        }
        rows.extend(new);
    }
    tables.values_mut().for_each(|rows| rows.sort());
    tables
}

fn sum(name: &str, rows: &[Row]) -> Checksum {
    let table = relation(name, true, 1, 1);
    let texts = cell_texts(&table).unwrap();
    let mut checksum = Checksum::default();
    digests(&texts, &super::system::rows(&table, rows)).unwrap().into_iter().for_each(|digest| checksum.add(digest));
    checksum
}

/// A cut at which every table streams.
fn state(world: &Shared, log: usize) -> State<usize> {
    let shape = ShapeId { version: 1, digest: String::new() };
    let of = |name: &String| {
        let table = TableState { shape: shape.clone(), shown_as: None, native_order: true, phase: Phase::Streaming };
        (relation(name, true, 1, 1).name().clone(), table)
    };
    State { log, entry: 0, done: 0, left: 0, tables: world.lock().tables.keys().map(of).collect() }
}

/// What a scan of one history shows of its tables, and what they were; `None` when it could not be told.
async fn scan(world: &Shared) -> Option<(Tables, BTreeMap<String, Checksum>, Tables)> {
    let (chunk_rows, summed) = {
        let mut world = world.lock();
        let summed: Vec<String> = world.tables.keys().cloned().collect();
        let summed: Vec<String> = summed.into_iter().filter(|_| world.random.coin()).collect();
        (1 + world.random.below(5), summed)
    };
    let choose: ChooseReading = Arc::new(move |table| match summed.contains(&table.name().table) {
        true => Reading::Checksum,
        false => Reading::Rows,
    });
    let journal = Journal::new(Arc::new(world.clone()) as Arc<dyn Disk>);
    let system = FakeSystem::new(world.clone(), vec!["*".into()]);
    let mut past = Past::open(system, journal, chunk_rows, &choose).await.unwrap();
    let more = world.lock().random.below(9);
    (0..more).for_each(|_| world.lock().write());
    let end = world.lock().log.len();
    let cut = world.lock().random.between(past.high, end + 1);
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    match past.fold(&state(world, cut), &mut bad).await {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::Unavailable => return None,
        Err(error) => panic!("{error:?}"),
    }
    past.rewind();
    let mut rows = Tables::new();
    loop {
        match past.next(ROWS).await.unwrap() {
            Polled::Finished => break,
            Polled::Schema(change) => drop(rows.insert(change.relation.name().table.clone(), Vec::new())),
            Polled::Batch(batch) => {
                let column = |i: usize| batch.rows().column(i).as_primitive::<Int64Type>().values().to_vec();
                let table = rows.get_mut(&batch.relation().name().table).expect("it was announced");
                for (i, row) in column(0).into_iter().zip(column(1)).enumerate() {
                    match batch.op(i) {
                        Op::Insert | Op::UpdateAfter => table.push(row),
                        Op::UpdateBefore | Op::Delete => {
                            let place = table.iter().position(|known| *known == row).expect("it came before");
                            table.swap_remove(place);
                        }
                    }
                }
            }
            Polled::Idle => panic!("a scan is not idle"),
        }
    }
    rows.values_mut().for_each(|rows| rows.sort());
    let sums = past.tables.iter().filter_map(|table| {
        let known = table.sums.as_ref()?.result(&table.info.relation);
        Some((known.relation.name().table.clone(), known.checksum.expect("the log tells rows whole")))
    });
    Some((rows, sums.collect(), rows_at(world, cut)))
}

#[test]
fn tables_are_shown_as_of_the_cut() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut by_rows, mut by_sums, mut moved) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let world = Shared::new(seed);
        world.lock().has_ddl = false;
        // From before the log was written to.
        if world.lock().log.iter().any(|transaction| transaction.ddl.is_some()) {
            continue;
        }
        let Some((rows, sums, expected)) = runtime.block_on(scan(&world)) else { continue };
        for (name, expected) in expected {
            match (rows.get(&name), sums.get(&name)) {
                (Some(rows), None) => {
                    assert_eq!(*rows, expected, "seed {seed}: {name}");
                    by_rows += 1;
                }
                (None, Some(found)) => {
                    assert_eq!(*found, sum(&name, &expected), "seed {seed}: {name}");
                    by_sums += 1;
                    moved += usize::from(!expected.is_empty());
                }
                other => panic!("seed {seed}: {name} is {other:?}"),
            }
        }
    }
    println!("{by_rows} tables by rows, {by_sums} by sums, {moved} of them not empty");
    assert!(by_rows > 200 && moved > 200, "{by_rows} and {moved}");
}
