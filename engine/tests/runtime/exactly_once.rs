//! Faults at every call of every plugin, at random: nothing lost, nothing doubled, order kept.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_engine::runtime::{FlowState, Host};

use crate::world::{SharedDisk, World, disk, disk_failing_at, held, opens, plan, told_too_early};

const SEEDS: u64 = 40;
const ROWS: i64 = 1_400;
/// A run takes a fraction of a second; one that hangs has failed.
const LIMIT: Duration = Duration::from_secs(15);

/// The arrows of the protocol where one side knows more than the other.
const ARROWS: &[&str] =
    &["flush after the commit", "flush after staging", "commit before", "commit after", "claim", "snapshot"];

fn run(seed: u64, disk: SharedDisk) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World { disk: disk.clone(), rows: ROWS, batch: 1 + (seed % 9) as i64, lenient: false });
    let plan = plan(folder.path(), Duration::from_millis(1));
    let host = Host::new().unwrap();
    let end = host.block_on(|starter| async move {
        let flow = starter.start(plan, world).await.unwrap();
        tokio::time::timeout(LIMIT, flow.wait()).await.expect("the flow ends")
    });
    assert_eq!(end, FlowState::Finished, "seed {seed}");
    assert_eq!(told_too_early(&disk), Vec::<String>::new(), "seed {seed}");
    let expected: Vec<i64> = (0..ROWS).collect();
    for sink in ["table", "other_table", "staged"] {
        let held = held(&disk, sink);
        assert_eq!(held.keys().collect::<Vec<_>>(), ["left", "right"], "seed {seed}: {sink}");
        for (source, rows) in held {
            assert!(rows == expected, "seed {seed}: {sink} holds {} rows of {source}, not {ROWS} in order", rows.len());
        }
    }
    for (source, mut rows) in held(&disk, "loose") {
        rows.sort_unstable();
        rows.dedup();
        assert!(rows == expected, "seed {seed}: the loose sink lost rows of {source}");
    }
    opens(&disk)
}

#[test]
fn errors_at_random_calls_lose_and_double_nothing() {
    let mut opens = 0;
    for place in ARROWS {
        run(3, disk_failing_at(place));
    }
    for seed in 0..SEEDS {
        opens += run(seed, disk(seed, 60, 25, false));
    }
    assert!(opens > SEEDS * 6 * 5, "the script must bring flows down often: {opens} opens");
}

#[test]
fn panics_at_random_calls_lose_and_double_nothing() {
    for seed in 1_000..1_000 + SEEDS / 4 {
        run(seed, disk(seed, 60, 25, true));
    }
}
