//! Runs the part of a flow that feeds one sink, from the source's state at a position into the collector.

use std::sync::Arc;
use std::time::Duration;

use aqueduct_engine::plan::{Plan, PlannedEdge, PlannedTask, RestartSettings};
use aqueduct_engine::runtime::{FlowState, Host, PluginFactory};
use aqueduct_model::{
    BadRowPolicy, BadRows, Build, Error, ErrorKind, PluginKind, PollBudget, Polled, Position, Positions, Properties,
    Result, Sink, Source, SourceContext,
};
use async_trait::async_trait;

use super::collect::{Collector, Tables};

/// Reads the source as of `positions` through the flow's operators into `tables`.
///
/// # Errors
/// `LostPosition` when the source does not know that state any more: begin anew with a newer view of the target.
pub(super) fn run(host: &Host, plan: &Plan, sink: &str, positions: &Positions, tables: &Tables) -> Result<()> {
    let part = part_of(plan, sink)?;
    let plugins = Arc::new(Plugins { positions: positions.clone(), tables: tables.clone() });
    let end = host.block_on(|starter| async move { starter.start_without_trace(part, plugins).wait().await });
    match end {
        FlowState::Finished => Ok(()),
        FlowState::Failed { report } => {
            let kind = match report.kind {
                "lost_position" => ErrorKind::LostPosition,
                "config" => ErrorKind::Config,
                "schema" => ErrorKind::Schema,
                "auth" => ErrorKind::Auth,
                _ => ErrorKind::Data,
            };
            let error = Error::new(kind, format!("cannot compute what the target should hold: {}", report.message));
            let error = report.task.into_iter().fold(error, |error, task| error.with_task(task));
            Err(report.hint.into_iter().fold(error, |error, hint| error.with_hint(hint)))
        }
        other => Err(Error::bug(format!("the scan ended as {}", other.name()))),
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
        if task.entry.kind() == PluginKind::Sink {
            task.properties = Properties { blocking: true, ..Properties::sink() };
        }
        tasks.push(task);
    }
    let restart = RestartSettings { max: 0, ..plan.restart };
    Ok(Plan { tasks, restart, ..plan.clone() })
}

struct Plugins {
    positions: Positions,
    tables: Tables,
}

impl PluginFactory for Plugins {
    fn source(&self, task: &PlannedTask) -> Result<Box<dyn Source>> {
        let Build::Source { build, scan } = task.entry.build else {
            return Err(Error::bug(format!("{} is not a source", task.entry.name)));
        };
        let inner = scan(&task.config).unwrap_or_else(|| build(&task.config))?;
        Ok(Box::new(AsOf { inner, until: self.positions.get(&task.id).cloned() }))
    }

    fn sink(&self, _: &PlannedTask) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Collector { tables: self.tables.clone() }))
    }
}

/// A source read from its beginning to a position and not further; a source without a position has written nothing.
struct AsOf {
    inner: Box<dyn Source>,
    until: Option<Position>,
}

#[async_trait]
impl Source for AsOf {
    async fn open(&mut self, context: &SourceContext, _: Option<&Position>) -> Result<()> {
        match self.until {
            Some(_) => self.inner.open(context, None).await,
            None => Ok(()),
        }
    }

    async fn poll(&mut self, budget: &PollBudget, bad: &mut BadRows) -> Result<Polled> {
        if self.until.is_none() {
            return Ok(Polled::Finished);
        }
        let budget = PollBudget { until: self.until.clone(), ..budget.clone() };
        match self.inner.poll(&budget, bad).await? {
            Polled::Idle if self.inner.position() == self.until => Ok(Polled::Finished),
            other => Ok(other),
        }
    }

    fn position(&self) -> Option<Position> {
        Some(Position::default())
    }

    async fn close(&mut self) -> Result<()> {
        self.inner.close().await
    }
}
