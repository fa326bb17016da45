//! Crashes at any place: every item has its effect once, is emitted once, and an epoch that is made again is the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aqueduct_model::{
    Batch, Epoch, InputPort, Load, Op, Operator, OperatorContext, Result, RunEnd, RunRequest, Runs, State,
};
use async_trait::async_trait;
use futures::FutureExt;
use serde_json::json;

use crate::sub_flow::ENTRY;
use crate::tests::{Memory, batch, block_on, build, ops_and_cells, relation, row};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What is on disk, and what the runs did to the world.
#[derive(Debug, Default)]
struct World {
    folders: BTreeMap<String, bool>,
    /// By the item's key, how often its run came to its end.
    effects: BTreeMap<String, u32>,
    random: u64,
}

#[derive(Debug, Clone, Default)]
struct FakeRuns(Arc<Mutex<World>>);

#[async_trait]
impl Runs for FakeRuns {
    async fn run(&self, request: RunRequest) -> Result<RunEnd> {
        self.0.lock().unwrap().folders.entry(request.name.clone()).or_insert(false);
        let ended = self.0.lock().unwrap().folders[&request.name];
        if !ended {
            let waits = {
                let mut world = self.0.lock().unwrap();
                let mut random = Random(world.random);
                let waits = random.below(6);
                world.random = random.0;
                waits
            };
            for _ in 0..waits {
                tokio::task::yield_now().await;
            }
            let mut world = self.0.lock().unwrap();
            world.folders.insert(request.name.clone(), true);
            *world.effects.entry(request.params["id"].clone()).or_default() += 1;
        }
        let returned =
            batch(&relation(), &[(Op::Insert, row(request.params["id"].parse().unwrap(), 0, "back"), false)]);
        Ok(RunEnd { failure: None, returned: vec![returned], took_ms: 0 })
    }

    fn known(&self) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().folders.keys().cloned().collect())
    }

    fn forget(&self, name: &str) -> Result<()> {
        self.0.lock().unwrap().folders.remove(name);
        Ok(())
    }

    fn retry(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// What outlives a crash.
#[derive(Clone, Default)]
struct Durable {
    state: Option<State>,
    /// The next row to read.
    next: u64,
    /// An epoch that the target holds and the store does not: how far it read, and what came out.
    ahead: Option<(u64, Vec<String>)>,
    /// What the target holds.
    emitted: Vec<String>,
}

const ROWS: u64 = 40;

/// One life: epochs until a crash, or until everything has ended. True then.
async fn live(durable: &mut Durable, runs: &FakeRuns, random: &mut Random) -> bool {
    let mut operator = build(ENTRY, &json!({ "flow": "one.yaml", "parallel": 1 + random.below(4) })).unwrap();
    let context = OperatorContext {
        task: "each".into(),
        inputs: vec!["items".into()],
        runs: Some(Arc::new(runs.clone())),
        ..OperatorContext::default()
    };
    operator.open(&context, durable.state.clone()).await.unwrap();
    loop {
        let until = durable.ahead.as_ref().map_or(ROWS.min(durable.next + random.below(8)), |(until, _)| *until);
        let mut out = Memory::default();
        // Between two barriers rows of several sources may come in another order.
        let mut ids: Vec<u64> = (durable.next..until).collect();
        if random.below(2) == 0 {
            ids.reverse();
        }
        for id in ids {
            // Every third row is the same as the one before.
            let id = (id - u64::from(id % 3 == 2)) as i64;
            let rows = batch(&relation(), &[(Op::Insert, row(id, 1, "x"), false)]);
            operator.process(InputPort(0), rows, &mut out).await.unwrap();
            work(operator.as_mut(), &mut out, random.below(3)).await;
            if random.below(40) == 0 {
                return false;
            }
        }
        work(operator.as_mut(), &mut out, random.below(8)).await;
        operator.background().unwrap().settle(&mut out).await.unwrap();
        let state = operator.snapshot(Epoch(1)).await.unwrap();
        let mut came: Vec<String> = out.port(0).iter().flat_map(ops_and_cells).map(|row| format!("{row:?}")).collect();
        came.sort();
        match durable.ahead.take() {
            Some((_, held)) => assert_eq!(held, came, "an epoch that the target holds came out differently"),
            None if random.below(6) == 0 => {
                durable.emitted.extend(came.clone());
                durable.ahead = Some((until, came));
                return false;
            }
            None if random.below(8) == 0 => return false,
            None => durable.emitted.extend(came),
        }
        (durable.state, durable.next) = (Some(state), until);
        if durable.next == ROWS && operator.background().unwrap().load() == Load::Idle {
            return true;
        }
        if random.below(10) == 0 {
            return false;
        }
    }
}

/// Lets the runs come on by some steps, as far as there are any.
async fn work(operator: &mut dyn Operator, out: &mut Memory, steps: u64) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
        let background = operator.background().unwrap();
        if background.ready().now_or_never().is_some() {
            background.step(out).await.unwrap();
        }
    }
}

#[test]
fn every_item_has_its_effect_once_and_is_emitted_once_through_crashes() {
    for seed in 0..400 {
        let (mut random, runs, mut durable) = (Random(seed), FakeRuns::default(), Durable::default());
        runs.0.lock().unwrap().random = seed;
        let mut lives = 0;
        while !block_on(live(&mut durable, &runs, &mut random)) {
            lives += 1;
            assert!(lives < 10_000, "seed {seed} does not end");
        }
        let mut expected: BTreeMap<String, u32> = BTreeMap::new();
        (0..ROWS).for_each(|id| *expected.entry((id - u64::from(id % 3 == 2)).to_string()).or_default() += 1);
        assert_eq!(runs.0.lock().unwrap().effects, expected, "seed {seed}: effects");
        assert_eq!(durable.emitted.len(), ROWS as usize, "seed {seed}: emitted");
        let left = runs.0.lock().unwrap().folders.len();
        assert!(left <= 8 + ROWS as usize, "seed {seed}: {left} folders are left");
    }
}

#[test]
fn columns_of_the_item_go_in_front() {
    block_on(async {
        let mut operator =
            build(ENTRY, &json!({ "flow": "one.yaml", "keep": ["s"], "params": { "id": "${row.id}" } })).unwrap();
        let runs: Arc<dyn Runs> = Arc::new(FakeRuns::default());
        let context = OperatorContext { task: "each".into(), runs: Some(runs), ..OperatorContext::default() };
        operator.open(&context, None).await.unwrap();
        let mut out = Memory::default();
        let rows: Batch = batch(&relation(), &[(Op::Insert, row(7, 1, "kept"), false)]);
        // The sub-flow hands back a column `s` of its own.
        operator.process(InputPort(0), rows, &mut out).await.unwrap();
        operator.background().unwrap().ready().await;
        operator.background().unwrap().step(&mut out).await.unwrap();
        operator.snapshot(Epoch(1)).await.unwrap();
        let clash = operator.background().unwrap().settle(&mut out).await.unwrap_err();
        assert!(format!("{clash:?}").contains("keep"), "{clash:?}");
    });
}
