//! Stop, pause, resume, run again.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_engine::runtime::{FlowState, Host};

use crate::world::{SharedDisk, World, disk, held, plan, recorded_rows};

fn world(disk: &SharedDisk, rows: i64) -> Arc<World> {
    Arc::new(World { disk: disk.clone(), rows, batch: 3, lenient: true })
}

fn assert_prefix(disk: &SharedDisk, sink: &str) {
    for (source, rows) in held(disk, sink) {
        let expected: Vec<i64> = (0..rows.len() as i64).collect();
        assert_eq!(rows, expected, "{sink} holds something else than a prefix of {source}");
    }
}

#[test]
fn a_stopped_flow_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(1, 0, 0, false);
    let mut stops = 0;
    loop {
        let host = Host::new().unwrap();
        let (plan, world) = (plan(folder.path(), Duration::from_millis(5)), world(&disk, 30_000));
        let end = host.block_on(|starter| async move {
            let flow = starter.start(plan, world).await.unwrap();
            flow.wait_for(|state| *state == FlowState::Running || state.is_final()).await;
            flow.stop().await;
            flow.wait().await
        });
        for sink in ["table", "other_table", "staged", "loose"] {
            assert_prefix(&disk, sink);
        }
        if end == FlowState::Finished {
            break;
        }
        assert_eq!(end, FlowState::Stopped);
        stops += 1;
        assert!(stops < 2_000, "every start must make progress");
    }
    assert_eq!(held(&disk, "loose")["left"].len(), 30_000, "a graceful stop doubles nothing, even in a loose sink");
}

#[test]
fn a_paused_flow_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(1, 0, 0, false);
    let host = Host::new().unwrap();
    let (plan, world) = (plan(folder.path(), Duration::from_millis(5)), world(&disk, 20_000));
    let end = host.block_on(|starter| async move {
        let flow = starter.start(plan, world).await.unwrap();
        for _ in 0..5 {
            flow.wait_for(|state| *state == FlowState::Running || state.is_final()).await;
            if flow.pause().await.is_final() {
                break;
            }
            flow.resume().await;
        }
        flow.wait().await
    });
    assert_eq!(end, FlowState::Finished);
    assert_eq!(held(&disk, "table")["right"], (0..20_000).collect::<Vec<_>>());
}

#[test]
fn a_finished_flow_run_again_reads_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(1, 0, 0, false);
    for rows in [500, 500, 900] {
        let host = Host::new().unwrap();
        let (plan, world) = (plan(folder.path(), Duration::from_secs(1)), world(&disk, rows));
        let end = host.block_on(|starter| async move { starter.start(plan, world).await.unwrap().wait().await });
        assert_eq!(end, FlowState::Finished);
        // 500 ends inside a round of transactions, which counts as a boundary at the end of the data only.
        assert_eq!(held(&disk, "loose")["left"], (0..rows).collect::<Vec<_>>());
        let ends = recorded_rows(&disk, "table");
        assert_eq!((ends["left"], ends["right"]), (rows, rows), "the ledger says where the ended sources ended");
    }
}

#[test]
fn a_second_daemon_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(1, 0, 0, false);
    let host = Host::new().unwrap();
    let (first, second) = (plan(folder.path(), Duration::from_secs(1)), plan(folder.path(), Duration::from_secs(1)));
    let (world_1, world_2) = (world(&disk, 1_000_000), world(&disk, 1_000_000));
    host.block_on(|starter| async move {
        let flow = starter.start(first, world_1).await.unwrap();
        let error = starter.start(second, world_2).await.unwrap_err();
        assert_eq!(error.kind(), aqueduct_model::ErrorKind::State);
        assert!(error.hint().is_some());
        flow.stop().await;
        flow.stop().await;
        flow.wait().await;
    });
}
