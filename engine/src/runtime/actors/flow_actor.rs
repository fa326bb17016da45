//! Supervises one flow: starts generations, restarts them after failures, pauses, resumes and stops them.
//!
//! One for all: whatever fails, the whole generation ends, because batches in flight between tasks are lost with it,
//! and a fresh one goes on from the last checkpoint.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use aqueduct_checkpoint::CheckpointStore;
use aqueduct_model::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::plugin_actor::{Abort, PluginActor, TaskExit};
use crate::plan::HookEvent;
use crate::runs::run_hooks;
use crate::runtime::cancel::CancelSwitch;
use crate::runtime::coordinator::Outcome;
use crate::runtime::launch::{Generation, Surroundings, launch};
use crate::runtime::outbox::is_aborted;
use crate::runtime::progress::Activity;
use crate::runtime::restart_policy::{Decision, Failure, RestartPolicy};
use crate::runtime::status::{FailureReport, FlowState};

/// How long tasks may take to drain to a last epoch, and then how long to let go once they are torn down.
const GRACE: Duration = Duration::from_secs(10);
/// A task inside its plugin for longer is reported as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How often tasks are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Opens the flow's checkpoint store; blocking.
pub(crate) type StoreOpener = Arc<dyn Fn() -> Result<Box<dyn CheckpointStore>> + Send + Sync>;
/// Where the flow's state is shown.
pub(crate) type StateSwitch = watch::Sender<FlowState>;

/// What the user wants of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run,
    Pause,
    Stop,
}

/// See the module.
pub(crate) struct FlowActor {
    around: Surroundings,
    open_store: StoreOpener,
    store: Option<Box<dyn CheckpointStore>>,
    policy: RestartPolicy,
    state: StateSwitch,
    generation: watch::Sender<u64>,
    running: Option<Running>,
    wish: Wish,
}

/// The present generation.
struct Running {
    plugins: Vec<Addr<PluginActor>>,
    stop: watch::Sender<bool>,
    switch: CancelSwitch,
    /// Tasks and the coordinator that have not ended.
    open: usize,
    failure: Option<Failure>,
    outcome: Option<Outcome>,
    epochs_before: u64,
}

/// Starts a generation with an opened store.
struct Begin;

impl Message for Begin {
    type Result = ();
}

/// A task has ended.
pub(crate) struct TaskExited {
    pub(crate) task: usize,
    pub(crate) generation: u64,
    pub(crate) exit: TaskExit,
}

impl Message for TaskExited {
    type Result = ();
}

/// Drains to a last epoch and ends. Asked again: ends at once.
pub(crate) struct Stop;

impl Message for Stop {
    type Result = ();
}

/// Drains to a last epoch, lets go of every connection and waits.
pub(crate) struct Pause;

impl Message for Pause {
    type Result = ();
}

/// Goes on after a pause.
pub(crate) struct Resume;

impl Message for Resume {
    type Result = ();
}

impl FlowActor {
    pub(crate) fn new(
        around: Surroundings,
        open_store: StoreOpener,
        store: Box<dyn CheckpointStore>,
        state: StateSwitch,
        generation: watch::Sender<u64>,
    ) -> Self {
        let policy = RestartPolicy::new(around.plan.restart);
        Self { around, open_store, store: Some(store), policy, state, generation, running: None, wish: Wish::Run }
    }

    /// Makes sure that there is a store, then starts a generation.
    fn begin(&mut self, context: &mut Context<Self>) {
        self.state.send_replace(FlowState::Starting);
        if let Some(store) = self.store.take() {
            return self.launch(store, context);
        }
        let open = self.open_store.clone();
        let opening = self.around.runtime.spawn_blocking(move || open());
        context.spawn(opening.into_actor(self).map(|opened, actor, context| match opened {
            Ok(Ok(store)) => actor.launch(store, context),
            Ok(Err(error)) => actor.failed(Failure::Error(error), false, context),
            Err(error) => actor.failed(
                Failure::Error(Error::bug("the store's opening failed").with_source(error)),
                false,
                context,
            ),
        }));
    }

    fn launch(&mut self, store: Box<dyn CheckpointStore>, context: &mut Context<Self>) {
        let number = *self.generation.borrow() + 1;
        self.generation.send_replace(number);
        let Generation { tasks, coordinator, stop, switch } = match launch(&self.around, store, number) {
            Ok(generation) => generation,
            Err(error) => return self.failed(Failure::Error(error), false, context),
        };
        let open = tasks.len() + 1;
        let address = context.address();
        let plugins = tasks
            .into_iter()
            .enumerate()
            .map(|(task, work)| PluginActor::new(task, number, work, address.clone()).start())
            .collect();
        let epochs_before = self.around.checkpoint.borrow().epochs;
        self.running = Some(Running { plugins, stop, switch, open, failure: None, outcome: None, epochs_before });
        context.spawn(coordinator.into_actor(self).map(|ended, actor, context| {
            let (result, store) = match ended {
                Ok((result, store)) => (result, store),
                Err(error) => (Err(Error::bug("the coordinator panicked").with_source(error)), None),
            };
            actor.store = store;
            actor.coordinator_ended(result, context);
        }));
        self.show_running(context);
    }

    /// Turns the state to running once every task has opened.
    fn show_running(&mut self, context: &mut Context<Self>) {
        let mut checkpoint = self.around.checkpoint.subscribe();
        let number = *self.generation.borrow();
        let ready = async move { checkpoint.wait_for(|status| status.ready).await.is_ok() };
        context.spawn(ready.into_actor(self).map(move |ready, actor, _| {
            let current = *actor.generation.borrow() == number && actor.running.is_some();
            if ready && current && *actor.state.borrow() == FlowState::Starting {
                actor.state.send_replace(FlowState::Running);
            }
        }));
    }

    fn coordinator_ended(&mut self, result: Result<Outcome>, context: &mut Context<Self>) {
        match result {
            Ok(outcome) => {
                if let Some(running) = &mut self.running {
                    running.outcome = Some(outcome);
                }
            }
            Err(error) => self.note_failure(Failure::Error(error), context),
        }
        self.one_ended(context);
    }

    /// Keeps the first cause and tears the generation down.
    fn note_failure(&mut self, failure: Failure, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        running.switch.cancel();
        if matches!(&failure, Failure::Error(error) if is_aborted(error)) {
            return;
        }
        match &failure {
            Failure::Error(error) => warn!(task = error.task(), kind = error.kind().name(), "{}", error.chain()),
            Failure::Panic { task, message } => error!(task = task.as_str(), "the plugin panicked: {message}"),
        }
        if running.failure.is_none() {
            running.failure = Some(failure);
            self.abort_after_grace(context);
        }
    }

    fn abort_after_grace(&mut self, context: &mut Context<Self>) {
        let number = *self.generation.borrow();
        context.run_later(GRACE, move |actor, _| {
            let current = *actor.generation.borrow() == number;
            if let Some(running) = actor.running.as_ref().filter(|running| current && running.open > 0) {
                warn!("{} tasks do not let go; ending them", running.open);
                for plugin in &running.plugins {
                    // An actor that is gone, or whose mailbox is full, has reported or will report.
                    let _ = plugin.try_send(Abort);
                }
            }
        });
    }

    fn one_ended(&mut self, context: &mut Context<Self>) {
        let Some(running) = &mut self.running else { return };
        running.open -= 1;
        if running.open > 0 {
            return;
        }
        let Some(running) = self.running.take() else { return };
        let committed = self.around.checkpoint.borrow().epochs > running.epochs_before;
        match (running.failure, running.outcome) {
            (Some(failure), _) => self.failed(failure, committed, context),
            (None, Some(Outcome::Finished)) => self.end_with_hooks(FlowState::Finished, context),
            (None, _) if self.wish == Wish::Pause => {
                info!("flow paused");
                // Whoever waits for the pause may open the store.
                self.store = None;
                self.state.send_replace(FlowState::Paused);
            }
            (None, _) => self.end(FlowState::Stopped),
        }
    }

    /// Restarts, or gives up.
    fn failed(&mut self, failure: Failure, committed: bool, context: &mut Context<Self>) {
        if self.wish != Wish::Run {
            return self.end(FlowState::Stopped);
        }
        let task = failure.task().and_then(|id| self.around.plan.tasks.iter().find(|task| task.id == id));
        let retry = task.and_then(|task| task.retry);
        let decision = self.policy.decide(&failure, retry, committed, Instant::now(), rand::random());
        let report = FailureReport::of(&failure);
        match decision {
            Decision::Restart { after, attempt } => {
                fail::fail_point!("sup.restart");
                info!(attempt, after_ms = after.as_millis() as u64, "restarting from the last checkpoint");
                self.state.send_replace(FlowState::Restarting { cause: report.message, attempt });
                context.notify_later(Begin, after);
            }
            Decision::GiveUp { exhausted } => {
                fail::fail_point!("sup.giveup");
                let report = if exhausted { report.exhausted(self.around.plan.restart) } else { report };
                self.end_with_hooks(FlowState::Failed { report }, context);
            }
        }
    }

    /// Runs what is to be run before the tasks, then begins.
    fn run_before(&mut self, context: &mut Context<Self>) {
        let before = self.hooks(vec![HookEvent::Before], None);
        context.spawn(before.into_actor(self).map(|run, actor, context| match run {
            _ if actor.state.borrow().is_final() => {}
            Ok(()) => actor.begin(context),
            Err(error) => actor.end(FlowState::Failed { report: FailureReport::of_error(&error) }),
        }));
    }

    /// Runs what is to be run when the flow has ended, then shows that it has.
    fn end_with_hooks(&mut self, state: FlowState, context: &mut Context<Self>) {
        let (event, failure) = match &state {
            FlowState::Failed { report } => (HookEvent::OnError, Some(report.clone())),
            _ => (HookEvent::OnSuccess, None),
        };
        let after = self.hooks(vec![event, HookEvent::After], failure);
        context.spawn(after.into_actor(self).map(|run, actor, _| match run {
            _ if actor.state.borrow().is_final() => {}
            Ok(()) => actor.end(state),
            Err(error) => {
                warn!(task = error.task(), setting = error.setting(), "a hook failed: {}", error.chain());
                // What the flow failed of says more than what its hook did.
                let failed = matches!(state, FlowState::Failed { .. });
                let report = FailureReport::of_error(&error);
                actor.end(if failed { state } else { FlowState::Failed { report } });
            }
        }));
    }

    fn hooks(
        &self,
        events: Vec<HookEvent>,
        failure: Option<FailureReport>,
    ) -> impl Future<Output = Result<()>> + use<> {
        let (runs, plan, leaves_trace) = (self.around.runs.clone(), self.around.plan.clone(), self.around.leaves_trace);
        async move {
            if plan.hooks.is_empty() || !leaves_trace {
                return Ok(());
            }
            let Some(runs) = runs else {
                return Err(Error::config("flows cannot be run here").with_hint("start the flow with `aqueduct run`"));
            };
            for event in events {
                run_hooks(&runs, &plan, event, failure.as_ref()).await?;
            }
            Ok(())
        }
    }

    fn end(&mut self, state: FlowState) {
        // The store goes first: whoever waits for the final state may open it.
        self.store = None;
        info!(state = state.name(), "flow ended");
        self.state.send_replace(state);
    }

    fn drain(&mut self, wish: Wish, context: &mut Context<Self>) {
        self.wish = wish;
        let Some(running) = &self.running else {
            if !self.state.borrow().is_final() {
                let waiting = if wish == Wish::Pause { FlowState::Paused } else { FlowState::Stopped };
                if wish == Wish::Stop {
                    self.end(waiting)
                } else {
                    self.store = None;
                    self.state.send_replace(waiting);
                }
            }
            return;
        };
        fail::fail_point!("shutdown.drain");
        running.stop.send_replace(true);
        self.state.send_replace(FlowState::Draining);
        let number = *self.generation.borrow();
        context.run_later(GRACE, move |actor, context| {
            let current = *actor.generation.borrow() == number;
            if let Some(running) = actor.running.as_ref().filter(|_| current) {
                warn!("draining takes too long; going back to the last checkpoint");
                running.switch.cancel();
                actor.abort_after_grace(context);
            }
        });
    }

    /// Reports tasks that are inside their plugin for too long.
    fn watch(&mut self) {
        if self.running.is_none() {
            return;
        }
        for (task, progress) in self.around.plan.tasks.iter().zip(self.around.progress.iter()) {
            let (activity, since) = progress.activity();
            if activity == Activity::Working && since > STUCK_AFTER {
                warn!(
                    task = task.id.as_str(),
                    seconds = since.as_secs(),
                    "stuck: no progress though there is input and credit"
                );
            }
        }
    }
}

impl Actor for FlowActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(WATCH_EVERY, |actor, _| actor.watch());
        self.run_before(context);
    }
}

impl Handler<Begin> for FlowActor {
    type Result = ();

    fn handle(&mut self, _: Begin, context: &mut Self::Context) {
        if self.wish == Wish::Run && self.running.is_none() && !self.state.borrow().is_final() {
            self.begin(context);
        }
    }
}

impl Handler<TaskExited> for FlowActor {
    type Result = ();

    fn handle(&mut self, exited: TaskExited, context: &mut Self::Context) {
        if exited.generation != *self.generation.borrow() {
            return;
        }
        self.around.progress[exited.task].doing(Activity::Ended);
        let id = self.around.plan.tasks[exited.task].id.clone();
        match exited.exit {
            TaskExit::Returned(Ok(())) => {}
            TaskExit::Returned(Err(error)) => self.note_failure(Failure::Error(error), context),
            TaskExit::Panicked(message) => self.note_failure(Failure::Panic { task: id, message }, context),
            TaskExit::Aborted => {
                let error = Error::new(ErrorKind::Timeout, "the task did not let go when the flow was torn down");
                self.note_failure(Failure::Error(error.with_task(id)), context);
            }
        }
        self.one_ended(context);
    }
}

impl Handler<Stop> for FlowActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        if self.wish == Wish::Stop {
            if let Some(running) = &self.running {
                running.switch.cancel();
                self.abort_after_grace(context);
            }
            return;
        }
        self.drain(Wish::Stop, context);
    }
}

impl Handler<Pause> for FlowActor {
    type Result = ();

    fn handle(&mut self, _: Pause, context: &mut Self::Context) {
        if self.wish == Wish::Run {
            self.drain(Wish::Pause, context);
        }
    }
}

impl Handler<Resume> for FlowActor {
    type Result = ();

    fn handle(&mut self, _: Resume, context: &mut Self::Context) {
        if self.wish == Wish::Pause && self.running.is_none() {
            self.wish = Wish::Run;
            self.begin(context);
        }
    }
}
