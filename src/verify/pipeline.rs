//! Runs the part of a flow that feeds one sink, from the source's state at a position into the collector.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_engine::plan::{Plan, PlannedEdge, PlannedTask, RestartSettings};
use aqueduct_engine::runtime::{FlowState, Host, PluginFactory};
use aqueduct_model::{
    BadRowPolicy, ChooseReading, Error, ErrorKind, PluginKind, Positions, Properties, Result, Sink, Source,
};

use super::collect::{Collector, Tables};
use super::sources::Sources;

/// Reads the source as of `positions` through the flow's operators into `tables`.
///
/// # Errors
/// `LostPosition` when the source does not know that state any more: begin anew with a newer view of the target.
pub(super) fn run(host: &Host, part: &Part, positions: &Positions, tables: &Tables) -> Result<()> {
    let plugins = Plugins { positions: positions.clone(), sources: part.sources.clone(), tables: tables.clone() };
    let (plan, plugins) = (part.plan.clone(), Arc::new(plugins));
    let end = host.block_on(|starter| async move { starter.start_without_trace(plan, plugins).wait().await });
    match end {
        FlowState::Finished => Ok(()),
        FlowState::Failed { report } => {
            let kind = match report.kind {
                "lost_position" => ErrorKind::LostPosition,
                "config" => ErrorKind::Config,
                "schema" => ErrorKind::Schema,
                "auth" => ErrorKind::Auth,
                "unavailable" => ErrorKind::Unavailable,
                _ => ErrorKind::Data,
            };
            let error = Error::new(kind, format!("cannot compute what the target should hold: {}", report.message));
            let error = report.task.into_iter().fold(error, |error, task| error.with_task(task));
            Err(report.hint.into_iter().fold(error, |error, hint| error.with_hint(hint)))
        }
        other => Err(Error::bug(format!("the scan ended as {}", other.name()))),
    }
}

/// The part of a flow that feeds one sink, and its sources.
pub(super) struct Part {
    pub(super) plan: Plan,
    pub(super) sources: Arc<Sources>,
}

impl Part {
    /// Opens the sources that have to be opened before the target's view.
    pub(super) fn open(host: &Host, plan: &Plan, sink: &str, choose: &ChooseReading) -> Result<Self> {
        let plan = part_of(plan, sink)?;
        let sources = Arc::new(Sources::open(host, &plan, choose)?);
        Ok(Self { plan, sources })
    }
}

/// The sink and everything upstream of it.
fn part_of(plan: &Plan, sink: &str) -> Result<Plan> {
    let last = plan.tasks.iter().position(|task| task.id == sink).ok_or_else(|| Error::bug("no such sink"))?;
    let mut needed = vec![false; plan.tasks.len()];
    needed[last] = true;
    for index in (0..=last).rev().filter(|&index| index == last || !plan.tasks[index].inputs.is_empty()) {
        if needed[index] {
            plan.tasks[index].inputs.iter().for_each(|edge| needed[edge.task] = true);
        }
    }
    let mut new_index = vec![0; plan.tasks.len()];
    let mut tasks: Vec<PlannedTask> = Vec::new();
    for (index, task) in plan.tasks.iter().enumerate().filter(|(index, _)| needed[*index]) {
        new_index[index] = tasks.len();
        let mut task = task.clone();
        task.inputs = task.inputs.iter().map(|edge| PlannedEdge { task: new_index[edge.task], ..*edge }).collect();
        // Bad rows were set aside when they were first read; what is left is what the target should hold.
        task.on_bad_row = BadRowPolicy::Drop;
        task.max_bad_rows = usize::MAX;
        (task.delay, task.timeout, task.retry) = (Duration::ZERO, None, None);
        if task.kind() == PluginKind::Sink {
            task.properties = Properties { blocking: true, ..Properties::sink() };
        }
        tasks.push(task);
    }
    let restart = RestartSettings { max: 0, ..plan.restart };
    Ok(Plan { tasks, restart, ..plan.clone() })
}

struct Plugins {
    positions: Positions,
    sources: Arc<Sources>,
    tables: Tables,
}

impl PluginFactory for Plugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        self.sources.source(task, self.positions.get(&task.id))
    }

    fn sink(&self, _: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Collector { tables: self.tables.clone() }))
    }
}
