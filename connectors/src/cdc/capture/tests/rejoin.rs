//! A table whose name another one takes, under each policy.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_model::{BadRowPolicy, BadRows, PollBudget, Polled, Source, SourceContext};

use super::system::FakeSystem;
use super::world::{Ddl, Shared, Table, Transaction};
use crate::cdc::capture::disk::Disk;
use crate::cdc::capture::{Capture, CaptureSettings};
use crate::cdc::{LostPosition, OnTableError, SchemaChanges, SnapshotMode, Truncates};

/// Polls after which everything that was written has come.
const POLLS: usize = 300;

fn settings(schema_change: SchemaChanges) -> CaptureSettings {
    CaptureSettings {
        tables: vec!["*".into()],
        snapshot: SnapshotMode::Initial,
        chunk_rows: 10,
        parallel_chunks: 1,
        max_source_load: 1.0,
        heartbeat: Duration::ZERO,
        schema_change,
        on_lost_position: LostPosition::Fail,
        on_table_error: OnTableError::Fail,
        truncate: Truncates::Apply,
        retry_delay: Duration::ZERO,
    }
}

/// A world with one table, whose rows only the test changes.
fn world() -> Shared {
    let shared = Shared::new(1);
    {
        let mut world = shared.lock();
        (world.writes_left, world.vague) = (0, false);
        world.log.clear();
        world.tables.clear();
        let rows = vec![(1, 10), (2, 20)];
        world.tables.insert("t".into(), Table { keyed: true, native: true, version: 1, rows });
    }
    shared
}

/// What comes until nothing more does: a table's change, or the ops of its rows.
async fn comes(capture: &mut Capture<FakeSystem>) -> Vec<String> {
    let mut bad = BadRows::new(BadRowPolicy::Fail, 0);
    let budget = PollBudget { max_wait: Duration::ZERO, ..PollBudget::default() };
    let mut texts = Vec::new();
    for _ in 0..POLLS {
        match capture.poll(&budget, &mut bad).await.expect("it reads on") {
            Polled::Batch(batch) => {
                texts.extend((0..batch.num_rows()).map(|i| format!("{} {:?}", batch.relation().name(), batch.op(i))));
            }
            Polled::Schema(change) => texts.push(format!("{} {:?}", change.relation.name(), change.change)),
            Polled::Idle => {}
            Polled::Finished => break,
        }
        tokio::task::yield_now().await;
    }
    texts
}

/// Another table takes the name of the one that is captured; what comes of it.
async fn made_anew(policy: SchemaChanges) -> Vec<String> {
    let shared = world();
    let system = FakeSystem::new(shared.clone(), vec!["*".into()]);
    let mut capture = Capture::on_disk(system, settings(policy), Arc::new(shared.clone()) as Arc<dyn Disk>);
    capture.open(&SourceContext::default(), None).await.expect("it opens");
    assert_eq!(comes(&mut capture).await, ["t CreateTable", "t Insert", "t Insert"]);
    {
        let mut world = shared.lock();
        let ddl = |ddl| Transaction { changes: Vec::new(), ddl: Some(("t".into(), ddl)) };
        world.log.push(ddl(Ddl::Drop));
        world.log.push(ddl(Ddl::Create(true)));
        world.log.push(Transaction { changes: vec![("t".into(), (None, Some((2, 21))))], ddl: None });
        world.tables.insert("t".into(), Table { keyed: true, native: true, version: 1, rows: vec![(2, 21)] });
    }
    comes(&mut capture).await
}

#[tokio::test]
async fn a_table_made_anew_begins_from_nothing_unless_the_policy_takes_nothing_away() {
    let emptied = ["t DropTable", "t Truncate", "t CreateTable", "t Insert"];
    assert_eq!(made_anew(SchemaChanges::Evolve).await, emptied);
    for policy in [SchemaChanges::TryEvolve, SchemaChanges::Lenient, SchemaChanges::Ignore] {
        // A change that comes while the rows are read is passed on as it is.
        assert_eq!(made_anew(policy).await, ["t CreateTable", "t Insert", "t UpdateAfter"], "{policy:?}");
    }
}
