//! A database that is brought back from a backup: its log ends before the position.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRowPolicy, BadRows, Epoch, PollBudget, Polled, Position, Source, SourceContext};

use super::system::FakeSystem;
use super::world::{Shared, Table, Transaction};
use crate::cdc::capture::disk::Disk;
use crate::cdc::capture::{Capture, CaptureSettings};
use crate::cdc::{LostPosition, OnTableError, SchemaChanges, SnapshotMode, Truncates};

/// Polls after which everything that was written has come.
const POLLS: usize = 300;
/// Of the fake: whether it finds the position lost at once or when it reads, and whether it forgets what is durable.
const SEEDS: u64 = 16;

fn settings() -> CaptureSettings {
    CaptureSettings {
        tables: vec!["*".into()],
        snapshot: SnapshotMode::Initial,
        chunk_rows: 10,
        parallel_chunks: 1,
        max_source_load: 1.0,
        heartbeat: Duration::ZERO,
        schema_change: SchemaChanges::Evolve,
        on_lost_position: LostPosition::Resnapshot,
        on_table_error: OnTableError::Fail,
        truncate: Truncates::Apply,
        retry_delay: Duration::ZERO,
    }
}

fn insert(shared: &Shared, row: (i64, i64)) {
    let mut world = shared.lock();
    world.log.push(Transaction { changes: vec![("t".into(), (None, Some(row)))], ddl: None });
    world.tables.entry("t".into()).or_default().rows.push(row);
}

async fn opened(shared: &Shared, resume: Option<&Position>) -> Capture<FakeSystem> {
    let system = FakeSystem::new(shared.clone(), vec!["*".into()]);
    let mut capture = Capture::on_disk(system, settings(), Arc::new(shared.clone()) as Arc<dyn Disk>);
    capture.open(&SourceContext::default(), resume).await.expect("it opens");
    capture
}

/// How many rows come until nothing more does.
async fn rows(capture: &mut Capture<FakeSystem>) -> usize {
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let budget = PollBudget { max_wait: Duration::ZERO, ..PollBudget::default() };
    let mut count = 0;
    for _ in 0..POLLS {
        if let Polled::Batch(batch) = capture.poll(&budget, &mut bad).await.expect("it reads on") {
            count += batch.num_rows();
        }
        tokio::task::yield_now().await;
    }
    count
}

#[tokio::test]
async fn the_server_never_hears_of_a_position_that_it_lost() {
    for seed in 1..=SEEDS {
        let shared = Shared::new(seed);
        {
            let mut world = shared.lock();
            (world.writes_left, world.vague) = (0, false);
            world.log.clear();
            world.tables.clear();
            world.tables.insert("t".into(), Table { keyed: true, native: true, version: 1, rows: Vec::new() });
        }
        let mut capture = opened(&shared, None).await;
        assert_eq!(rows(&mut capture).await, 0);
        (0..5).for_each(|key| insert(&shared, (key, 0)));
        assert_eq!(rows(&mut capture).await, 5);
        let lost = capture.position().expect("a boundary");
        drop(capture);
        {
            let mut world = shared.lock();
            world.log.truncate(2);
            world.purged = world.purged.min(2);
            world.tables.entry("t".into()).or_default().rows.truncate(2);
        }
        let mut capture = opened(&shared, Some(&lost)).await;
        assert_eq!(rows(&mut capture).await, 2, "everything is read anew");
        // An epoch that began before may end only now.
        capture.on_checkpoint_durable(Epoch(1), &lost).await.expect("the server is told nothing");
        insert(&shared, (9, 0));
        assert_eq!(rows(&mut capture).await, 1);
        let position = capture.position().expect("a boundary");
        capture.on_checkpoint_durable(Epoch(2), &position).await.expect("the server may forget what was read");
    }
}
