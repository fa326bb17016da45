//! Where flows run: a multi-threaded runtime for data, and an actix system for control on the calling thread.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle};
use aqueduct_checkpoint::CheckpointStore;
use aqueduct_model::{Catalogue, Error, ErrorKind, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;

use super::actors::{FlowActor, Pause, Resume, Stop, StoreOpener};
use super::factory::PluginFactory;
use super::launch::Surroundings;
use super::memory_store::MemoryStore;
use super::progress::Progress;
use super::status::{CheckpointStatus, FlowState, FlowStatus, TaskStatus};
use crate::plan::{Plan, StoreKind};
use crate::receipts::ReceiptKind;
use crate::runs::{Active, RunService, Steer};

/// Runs flows.
#[derive(Debug)]
pub struct Host {
    runtime: Runtime,
}

impl Host {
    /// Starts the data runtime: one worker per core.
    ///
    /// # Errors
    /// `Unavailable` when the system refuses threads.
    pub fn new() -> Result<Self> {
        let runtime =
            Builder::new_multi_thread().enable_all().thread_name("aqueduct-data").build().map_err(|error| {
                Error::new(ErrorKind::Unavailable, "cannot start worker threads").with_source(error)
            })?;
        Ok(Self { runtime })
    }

    /// Runs a future without flows, on this thread; it may block.
    pub fn wait_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }

    /// Runs a future with flows around it, on this thread. Flows that still run when it ends are torn down.
    pub fn block_on<F: Future>(&self, program: impl FnOnce(FlowStarter) -> F) -> F::Output {
        let runtime = self.runtime.handle().clone();
        let system = actix::System::new();
        let control = actix::System::current().arbiter().clone();
        system.block_on(program(FlowStarter { runtime, control, catalogue: None }))
    }
}

/// Starts flows; given to the program by [`Host::block_on`].
#[derive(Debug, Clone)]
pub struct FlowStarter {
    runtime: Handle,
    /// The thread of the control actors.
    control: ArbiterHandle,
    /// The plugins of flows that flows run; without them none can be run.
    catalogue: Option<Arc<Catalogue>>,
}

impl FlowStarter {
    /// With the plugins of flows that flows run.
    #[must_use]
    pub fn with_plugins(self, catalogue: Catalogue) -> Self {
        Self { catalogue: Some(Arc::new(catalogue)), ..self }
    }

    /// Opens the flow's checkpoint store and starts the flow.
    ///
    /// # Errors
    /// `State` when another daemon holds the checkpoint folder, or it cannot be opened. What happens later is shown
    /// by the handle.
    pub async fn start(&self, plan: Plan, factory: Arc<dyn PluginFactory>) -> Result<FlowHandle> {
        let runs = self.catalogue.clone().map(|catalogue| RunService::new(self.clone(), catalogue));
        self.open_and_launch(plan, factory, runs).await
    }

    /// Starts a flow that another one runs; to be called from any thread.
    pub(crate) async fn start_inside(
        &self,
        plan: Plan,
        factory: Arc<dyn PluginFactory>,
        runs: RunService,
    ) -> Result<FlowHandle> {
        let (sender, started) = tokio::sync::oneshot::channel();
        let starter = self.clone();
        let start = async move {
            // Who asked may have gone: then the handle is dropped with the answer.
            if let Err(Ok(flow)) = sender.send(starter.open_and_launch(plan, factory, Some(runs)).await) {
                flow.stop().await;
            }
        };
        if !self.control.spawn(start) {
            return Err(Error::new(ErrorKind::Unavailable, "the program ends"));
        }
        started.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "the program ends")))
    }

    async fn open_and_launch(
        &self,
        plan: Plan,
        factory: Arc<dyn PluginFactory>,
        runs: Option<RunService>,
    ) -> Result<FlowHandle> {
        let (folder, kind) = (plan.state_dir.clone(), plan.checkpoint.store);
        let open: StoreOpener = Arc::new(move || open_store(&folder, kind));
        let opener = open.clone();
        let store = self
            .runtime
            .spawn_blocking(move || opener())
            .await
            .map_err(|error| Error::bug("the checkpoint store panicked").with_source(error))??;
        Ok(self.launch(plan, factory, open, store, runs, true))
    }

    /// Starts a flow that leaves no trace: its checkpoints are kept in memory.
    pub fn start_without_trace(&self, mut plan: Plan, factory: Arc<dyn PluginFactory>) -> FlowHandle {
        plan.checkpoint.receipts = ReceiptKind::None;
        let open: StoreOpener = Arc::new(|| Ok(Box::new(MemoryStore::default()) as Box<dyn CheckpointStore>));
        self.launch(plan, factory, open, Box::new(MemoryStore::default()), None, false)
    }

    fn launch(
        &self,
        plan: Plan,
        factory: Arc<dyn PluginFactory>,
        open: StoreOpener,
        store: Box<dyn CheckpointStore>,
        runs: Option<RunService>,
        leaves_trace: bool,
    ) -> FlowHandle {
        let progress = Arc::new(plan.tasks.iter().map(|_| Arc::new(Progress::default())).collect::<Vec<_>>());
        let (state, state_seen) = watch::channel(FlowState::Starting);
        let (generation, generation_seen) = watch::channel(0);
        let (checkpoint, checkpoint_seen) = watch::channel(CheckpointStatus::default());
        let around = Surroundings {
            plan: Arc::new(plan),
            factory,
            runtime: self.runtime.clone(),
            progress: progress.clone(),
            checkpoint,
            runs,
            leaves_trace,
        };
        let plan = around.plan.clone();
        let active = around.runs.as_ref().map(|runs| runs.active().clone()).unwrap_or_default();
        let actor = FlowActor::new(around, open, store, state, generation).start();
        FlowHandle {
            actor,
            plan,
            active,
            progress,
            state: state_seen,
            generation: generation_seen,
            checkpoint: checkpoint_seen,
        }
    }

    /// The runtime for data: for work beside flows that must not hold up the control thread.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

fn open_store(folder: &Path, kind: StoreKind) -> Result<Box<dyn CheckpointStore>> {
    let kind = match kind {
        StoreKind::Sled => aqueduct_checkpoint::StoreKind::Sled,
        StoreKind::Redb => aqueduct_checkpoint::StoreKind::Redb,
    };
    let opened = aqueduct_checkpoint::open(folder, kind)?;
    match &opened.recovery {
        aqueduct_checkpoint::Recovery::Clean | aqueduct_checkpoint::Recovery::Fresh => {}
        repaired => tracing::warn!("the checkpoint store was repaired: {repaired:?}"),
    }
    Ok(opened.store)
}

/// A flow under supervision.
#[derive(Debug, Clone)]
pub struct FlowHandle {
    actor: Addr<FlowActor>,
    plan: Arc<Plan>,
    /// The runs of the whole program.
    active: Active,
    progress: Arc<Vec<Arc<Progress>>>,
    state: watch::Receiver<FlowState>,
    generation: watch::Receiver<u64>,
    checkpoint: watch::Receiver<CheckpointStatus>,
}

impl FlowHandle {
    /// Drains to a last epoch and ends the flow; asked again, ends it at once. Returns before it has ended.
    pub async fn stop(&self) {
        // A mailbox that is closed belongs to a flow that has ended.
        let _ = self.actor.send(Stop).await;
    }

    /// Drains to a last epoch, lets go of every connection, and returns once the flow is paused or has ended.
    pub async fn pause(&self) -> FlowState {
        let _ = self.actor.send(Pause).await;
        self.wait_for(|state| *state == FlowState::Paused || state.is_final()).await
    }

    /// Goes on after a pause.
    pub async fn resume(&self) {
        let _ = self.actor.send(Resume).await;
    }

    /// Waits for the flow's end.
    pub async fn wait(&self) -> FlowState {
        self.wait_for(FlowState::is_final).await
    }

    /// Waits for a state.
    pub async fn wait_for(&self, wanted: impl FnMut(&FlowState) -> bool) -> FlowState {
        let mut state = self.state.clone();
        let seen = state.wait_for(wanted).await.map(|state| state.clone());
        seen.unwrap_or_else(|_| self.state.borrow().clone())
    }

    /// Pauses, resumes or cancels one of the runs that this flow has under way.
    ///
    /// # Errors
    /// `Config` when there is none of that name.
    pub async fn steer_run(&self, name: &str, steer: Steer) -> Result<()> {
        self.active.steer(&self.plan.runs_root(), name, steer).await
    }

    /// What state the flow is in.
    pub fn state(&self) -> FlowState {
        self.state.borrow().clone()
    }

    /// Rows that its sources have read since it was started.
    pub(crate) fn rows_read(&self) -> u64 {
        let tasks = self.plan.tasks.iter().zip(self.progress.iter());
        let sources = tasks.filter(|(task, _)| task.inputs.is_empty());
        sources.map(|(_, progress)| progress.counters().rows_out).sum()
    }

    /// The flow's plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the flow is doing.
    pub fn status(&self) -> FlowStatus {
        let tasks = self
            .plan
            .tasks
            .iter()
            .zip(self.progress.iter())
            .map(|(task, progress)| {
                let (activity, since) = progress.activity();
                TaskStatus {
                    id: task.id.clone(),
                    plugin: task.entry.name,
                    kind: task.kind(),
                    activity,
                    activity_ms: since.as_millis() as u64,
                    counters: progress.counters(),
                }
            })
            .collect();
        FlowStatus {
            flow: self.plan.flow.clone(),
            state: self.state(),
            runs: self.active.runs(&self.plan.runs_root()),
            generation: *self.generation.borrow(),
            checkpoint: self.checkpoint.borrow().clone(),
            tasks,
        }
    }
}
