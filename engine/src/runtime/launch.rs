//! One generation of a flow: fresh plugin values, fresh channels, one task each, one coordinator.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;

use aqueduct_checkpoint::CheckpointStore;
use aqueduct_model::{
    BadRows, Error, ErrorKind, HumanDuration, Operator, OperatorContext, PluginKind, PollBudget, Replay, Result, Runs,
    SinkContext, SourceContext,
};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::cancel::{Cancel, CancelSwitch, cancel_switch};
use super::channel::{Receiver, Sender, channel};
use super::coordinator::{Coordinator, Ended};
use super::dead_letters::DeadLetters;
use super::factory::PluginFactory;
use super::inbox::Inbox;
use super::operator_task::{OperatorTask, Silence};
use super::outbox::Outbox;
use super::progress::{Activity, Progress};
use super::protocol::{COMMANDS_MAX, Command, EventSender};
use super::pulse::Pulse;
use super::sink_task::SinkTask;
use super::source_task::SourceTask;
use super::status::CheckpointStatus;
use super::task_line::TaskLine;
use crate::plan::{Plan, PlannedTask};
use crate::receipts::{ContentMeter, Ledger};
use crate::runs::{PerRow, RunService};

/// How many events may wait for the coordinator before tasks wait.
const EVENTS_MAX: usize = 1_024;

/// A running generation.
pub(crate) struct Generation {
    /// By task, in the plan's order.
    pub(crate) tasks: Vec<JoinHandle<Result<()>>>,
    pub(crate) coordinator: JoinHandle<Ended>,
    /// Set to true to drain to a last epoch.
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) switch: CancelSwitch,
}

/// What outlives generations.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) plan: Arc<Plan>,
    pub(crate) factory: Arc<dyn PluginFactory>,
    /// The multi-threaded runtime that data tasks run on.
    pub(crate) runtime: Handle,
    /// By task.
    pub(crate) progress: Arc<Vec<Arc<Progress>>>,
    pub(crate) checkpoint: watch::Sender<CheckpointStatus>,
    /// What the flow's tasks run flows with, where they can.
    pub(crate) runs: Option<RunService>,
    /// False for a run beside the flow, which must not touch what belongs to its checkpoint.
    pub(crate) leaves_trace: bool,
}

/// One task's ends of the channels that the coordinator and its neighbours hold.
struct Wiring {
    commands: mpsc::Receiver<Command>,
    events: EventSender,
    receivers: Vec<Receiver>,
    ports: Vec<Vec<Sender>>,
}

/// A generation that is put together and does not run yet.
pub(crate) struct Assembly {
    /// By task, in the plan's order.
    pub(crate) tasks: Vec<TaskFuture>,
    pub(crate) coordinator: Coordinator,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) switch: CancelSwitch,
}

/// Builds and starts every task of the plan.
///
/// # Errors
/// What a plugin's `build` returns; nothing is started then.
pub(crate) fn launch(around: &Surroundings, store: Box<dyn CheckpointStore>, generation: u64) -> Result<Generation> {
    let plan = &around.plan;
    let pulse = {
        let _inside = around.runtime.enter();
        Pulse::every(plan.checkpoint.interval)
    };
    let Assembly { tasks, coordinator, stop, switch } = assemble(around, store, pulse)?;
    let tasks = tasks
        .into_iter()
        .zip(&plan.tasks)
        .map(|(future, task)| {
            let span = tracing::info_span!("task", flow = %plan.flow, task = %task.id, generation);
            spawn(&around.runtime, task.properties.blocking, future.instrument(span))
        })
        .collect();
    let span = tracing::info_span!("coordinator", flow = %plan.flow, generation);
    // The store's writes wait for the disk, so the coordinator has a thread of its own.
    let coordinator = spawn(&around.runtime, true, coordinator.run().instrument(span));
    Ok(Generation { tasks, coordinator, stop, switch })
}

/// Builds every task of the plan and joins them.
pub(crate) fn assemble(around: &Surroundings, store: Box<dyn CheckpointStore>, pulse: Pulse) -> Result<Assembly> {
    let plan = &around.plan;
    let (switch, cancel) = cancel_switch();
    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let (mut lines, mut wirings) = (Vec::new(), wire(plan));
    let mut tasks = Vec::new();
    for (index, task) in plan.tasks.iter().enumerate() {
        let (commands, inbound) = mpsc::channel(COMMANDS_MAX);
        let progress = around.progress[index].clone();
        progress.doing(Activity::Starting);
        lines.push(TaskLine {
            id: task.id.clone(),
            kind: task.kind(),
            transactional: task.properties.transactional,
            replays_exactly: task.properties.replay == Replay::Exact,
            stateful: task.kind() == PluginKind::Operator && task.properties.stateful,
            turn: task.turn,
            progress: progress.clone(),
            commands,
        });
        let (receivers, ports) = std::mem::take(&mut wirings[index]);
        let wiring =
            Wiring { commands: inbound, events: EventSender::new(index, event_sender.clone()), receivers, ports };
        let work = build(around, task, wiring, progress, cancel.clone())?;
        tasks.push(Box::pin(supervised(task, work)) as TaskFuture);
    }
    let (stop, stop_seen) = watch::channel(false);
    let coordinator = Coordinator {
        tasks: lines,
        store,
        settings: plan.checkpoint,
        pulse,
        events,
        stop: stop_seen,
        cancel,
        dead_letters: if around.leaves_trace { DeadLetters::new(&plan.state_dir) } else { DeadLetters::none() },
        receipts: Ledger::new(&plan.state_dir, plan.checkpoint.receipts),
        status: around.checkpoint.clone(),
        store_unknown: false,
        early: VecDeque::new(),
    };
    Ok(Assembly { tasks, coordinator, stop, switch })
}

/// Makes the channels of every edge: for each task, its inputs in port order and its outputs by port.
fn wire(plan: &Plan) -> Vec<(Vec<Receiver>, Vec<Vec<Sender>>)> {
    let mut ends: Vec<(Vec<Receiver>, Vec<Vec<Sender>>)> = plan
        .tasks
        .iter()
        .map(|task| (Vec::new(), task.properties.outputs.iter().map(|_| Vec::new()).collect()))
        .collect();
    for (index, task) in plan.tasks.iter().enumerate() {
        for edge in &task.inputs {
            let (sender, receiver) = channel(plan.channel);
            ends[edge.task].1[edge.port].push(sender);
            ends[index].0.push(receiver);
        }
    }
    ends
}

/// A task's work, to its end.
pub(crate) type TaskFuture = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Builds the plugin and its loop.
fn build(
    around: &Surroundings,
    task: &PlannedTask,
    wiring: Wiring,
    progress: Arc<Progress>,
    cancel: Cancel,
) -> Result<TaskFuture> {
    let plan = &around.plan;
    let (flow, id) = (plan.flow.clone(), task.id.clone());
    let bad_rows = BadRows::new(task.on_bad_row, task.max_bad_rows);
    let Wiring { commands, events, receivers, ports } = wiring;
    let named = |error: Error| error.with_task(&task.id);
    Ok(match task.kind() {
        PluginKind::Source => {
            let source = around.factory.source(task).map_err(named)?;
            let outbox = Outbox::new(ports, bad_rows, progress.clone(), cancel);
            let max_wait = plan.checkpoint.poll_wait();
            let budget = PollBudget { max_rows: plan.batch_rows, max_wait, ..PollBudget::default() };
            let state_dir = Some(plan.source_dir(&task.id));
            let context = SourceContext { flow, task: id, state_dir, params: plan.params.clone() };
            Box::pin(SourceTask::new(context, source, (commands, events), outbox, progress, budget).run())
        }
        PluginKind::Operator => {
            let operator = operator(around, task).map_err(named)?;
            let runs = around.runs.as_ref().map(|runs| Arc::new(runs.of_task(plan, &id)) as Arc<dyn Runs>);
            let outbox = Outbox::new(ports, bad_rows, progress.clone(), cancel.clone());
            let state_dir = around.leaves_trace.then(|| plan.operator_dir(&task.id));
            let task = OperatorTask {
                context: OperatorContext {
                    flow,
                    task: id,
                    state_dir,
                    inputs: plan.input_names(task),
                    runs,
                    rules: progress.rules().clone(),
                },
                operator,
                commands,
                events,
                inbox: Inbox::new(receivers, cancel),
                outbox,
                progress,
                tables: task.tables.clone(),
                cardinality: task.properties.cardinality,
                needs_end: task.properties.needs_end,
                silence: Silence::new(task.properties.idle_after.map(|limit| limit.0)),
                rows_in_epoch: 0,
            };
            Box::pin(task.run())
        }
        PluginKind::Sink => {
            let sink = around.factory.sink(task).map_err(named)?;
            let inbox = Inbox::new(receivers, cancel);
            let context =
                SinkContext { flow, task: id, state_dir: around.leaves_trace.then(|| plan.sink_dir(&task.id)) };
            let meter = ContentMeter::new(plan.checkpoint.receipts);
            let discard = None;
            let task = SinkTask { context, sink, commands, events, inbox, bad_rows, progress, discard, meter };
            Box::pin(task.run())
        }
    })
}

/// An operator, or what makes one of a source with an input.
fn operator(around: &Surroundings, task: &PlannedTask) -> Result<Box<dyn Operator>> {
    if task.entry.kind() == PluginKind::Operator {
        return around.factory.operator(task);
    }
    let plan = &around.plan;
    let budget = PollBudget { max_rows: plan.batch_rows, ..PollBudget::default() };
    let (flow, id, params) = (plan.flow.clone(), task.id.clone(), plan.params.clone());
    let context = SourceContext { flow, task: id, state_dir: None, params };
    Ok(Box::new(PerRow::new(task, budget, context)))
}

/// Adds the task's delay, its time limit and its name in errors.
fn supervised(task: &PlannedTask, work: TaskFuture) -> impl Future<Output = Result<()>> + Send + use<> {
    let (id, delay, timeout) = (task.id.clone(), task.delay, task.timeout);
    async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let result = match timeout {
            None => work.await,
            Some(limit) => match tokio::time::timeout(limit, work).await {
                Ok(result) => result,
                Err(_) => {
                    Err(Error::new(ErrorKind::Timeout, format!("the task did not end within {}", HumanDuration(limit)))
                        .with_setting("timeout")
                        .with_hint("raise the task's `timeout`, or remove it for a task that is meant to run on"))
                }
            },
        };
        result.map_err(|error| error.with_task(&id))
    }
}

/// Puts a task on the runtime: on a thread of its own when its plugin may block.
fn spawn<T: Send + 'static>(
    runtime: &Handle,
    blocking: bool,
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    if !blocking {
        return runtime.spawn(future);
    }
    let inside = runtime.clone();
    runtime.spawn_blocking(move || inside.block_on(future))
}
