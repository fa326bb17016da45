//! Runs a flow in this process, events from memory if it has any, and counts what its sinks get.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aqueduct_engine::plan::PlannedTask;
use aqueduct_engine::planner::{PlanOptions, plan_text};
use aqueduct_engine::runtime::{FlowState, Host, PlannedPlugins, PluginFactory};
use aqueduct_model::*;
use async_trait::async_trait;

use crate::usage::own_cpu_seconds;

/// What a run cost, and how many rows came out.
pub struct Cost {
    pub cpu_seconds: f64,
    pub rows: u64,
}

/// Runs a flow to its end in a fresh folder.
pub fn flow(text: &str, batches: &[Batch]) -> Cost {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let catalogue = aqueduct::catalogue().expect("the catalogue");
    let options = PlanOptions { state_root: folder.path().to_owned(), ..PlanOptions::default() };
    let planned = match plan_text("flow.yaml", text, &catalogue, &options) {
        Ok(planned) => planned,
        Err(found) => panic!("the flow is wrong: {found:?}"),
    };
    let rows = Arc::new(AtomicU64::new(0));
    let plugins = Arc::new(Plugins { batches: batches.to_vec(), rows: rows.clone() });
    let host = Host::new().expect("a runtime");
    let begun = own_cpu_seconds();
    let end = host.block_on(|starter| async move {
        let flow = starter.start(planned.plan, plugins).await.expect("the flow starts");
        flow.wait().await
    });
    let cpu_seconds = own_cpu_seconds() - begun;
    assert_eq!(end, FlowState::Finished);
    Cost { cpu_seconds, rows: rows.load(Ordering::Relaxed) }
}

/// The flow's own, but for generators, which send what is in memory, and sinks, which count.
struct Plugins {
    batches: Vec<Batch>,
    rows: Arc<AtomicU64>,
}

impl PluginFactory for Plugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        match task.entry.name {
            "FakerInput" => Ok(Box::new(Memory { batches: self.batches.clone(), next: 0 })),
            _ => PlannedPlugins.source(task),
        }
    }

    fn sink(&self, _: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Count(self.rows.clone())))
    }
}

struct Memory {
    batches: Vec<Batch>,
    next: usize,
}

#[async_trait]
impl Source for Memory {
    async fn open(&mut self, _: &SourceContext, _: Option<&Position>) -> Result<()> {
        Ok(())
    }

    async fn poll(&mut self, _: &PollBudget, _: &mut BadRows) -> Result<Polled> {
        let Some(batch) = self.batches.get(self.next) else { return Ok(Polled::Finished) };
        self.next += 1;
        Ok(Polled::Batch(batch.clone()))
    }

    fn position(&self) -> Option<Position> {
        Some(Position::default())
    }
}

struct Count(Arc<AtomicU64>);

#[async_trait]
impl Sink for Count {
    async fn open(&mut self, _: &SinkContext) -> Result<Option<Recorded>> {
        Ok(None)
    }

    async fn claim(&mut self, _: &Claim) -> Result<()> {
        Ok(())
    }

    async fn write(&mut self, input: SinkInput, _: &mut BadRows) -> Result<()> {
        if let SinkInput::Batch(batch) = input {
            self.0.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn flush(&mut self, _: &Cut, _: &mut BadRows) -> Result<Option<PreparedCommit>> {
        Ok(None)
    }
}
