//! A flow that runs on a recording, into memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::{FlowState, Host, PluginFactory};
use aqueduct_model::{PluginKind, Replay, Result, Sink, Source};

use super::recorded_source::RecordedSource;
use crate::testing::recorder::{Place, Recorder};
use crate::testing::table_state::Tables;
use crate::testing::tap::Memory;

/// A recording's sources and targets in memory, around the operators of a flow.
struct Recordings {
    folder: PathBuf,
    recorder: Recorder,
}

impl PluginFactory for Recordings {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        Ok(Box::new(RecordedSource::new(&self.folder, &task.id)))
    }

    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Memory::new(&task.id, self.recorder.clone())))
    }
}

/// By target, the tables that the flow makes of the recording.
///
/// # Errors
/// How the flow failed.
pub(crate) fn offline(
    host: &Host,
    mut plan: Plan,
    folder: &Path,
) -> std::result::Result<BTreeMap<String, Tables>, FlowState> {
    for task in &mut plan.tasks {
        if task.kind() == PluginKind::Operator {
            continue;
        }
        // What the plan says of the real ends is not true of these.
        task.properties.blocking = false;
        task.properties.transactional = false;
        task.properties.replay = Replay::Exact;
        task.delay = std::time::Duration::ZERO;
    }
    let recorder = Recorder::default();
    let plugins = Arc::new(Recordings { folder: folder.to_owned(), recorder: recorder.clone() });
    let sinks: Vec<String> =
        plan.tasks.iter().filter(|task| task.kind() == PluginKind::Sink).map(|task| task.id.clone()).collect();
    let end = host.block_on(|starter| async move { starter.start_without_trace(plan, plugins).wait().await });
    match end {
        FlowState::Finished => {}
        other => return Err(other),
    }
    let tables = |sink: String| {
        let tables = Tables::of(&recorder.at(&sink, Place::Input));
        (sink, tables)
    };
    Ok(sinks.into_iter().map(tables).collect())
}
