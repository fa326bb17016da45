//! Starts runs and waits for them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aqueduct_model::{Batch, Catalogue, Error, ErrorKind, Result, RunEnd, RunRequest, Runs, Sink};
use async_trait::async_trait;
use tokio::sync::OnceCell;

use super::active::Active;
use super::ended::{self, Ended, Failure, unwritable};
use super::returned::{self, Returned};
use super::{DEPTH_MAX, RETURN};
use crate::plan::{Plan, PlannedTask};
use crate::planner::{PlanOptions, plan_file};
use crate::runtime::{FlowStarter, FlowState, PlannedPlugins, PluginFactory};

/// Runs flows for the flows of a program.
#[derive(Clone)]
pub(crate) struct RunService {
    starter: FlowStarter,
    catalogue: Arc<Catalogue>,
    active: Active,
    depth: u32,
}

impl fmt::Debug for RunService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunService").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl RunService {
    pub(crate) fn new(starter: FlowStarter, catalogue: Arc<Catalogue>) -> Self {
        Self { starter, catalogue, active: Active::default(), depth: 0 }
    }

    /// What one task of a flow runs flows with.
    pub(crate) fn of_task(&self, plan: &Plan, task: &str) -> TaskRuns {
        TaskRuns {
            service: self.clone(),
            flow: format!("{}/{task}", plan.flow),
            instance: OnceCell::new(),
            files: plan.file.parent().unwrap_or(Path::new("")).to_owned(),
            folder: plan.runs_dir(task),
        }
    }

    /// The runs under way of this program.
    pub(crate) fn active(&self) -> &Active {
        &self.active
    }

    fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, ..self.clone() }
    }
}

/// The runs of one task.
#[derive(Debug)]
pub(crate) struct TaskRuns {
    service: RunService,
    /// What the names of runs begin with.
    flow: String,
    instance: OnceCell<String>,
    /// Where the flow's file is.
    files: PathBuf,
    folder: PathBuf,
}

/// The plugins of a run: `Return` hands its rows back.
struct RunPlugins {
    returned: PathBuf,
}

impl PluginFactory for RunPlugins {
    fn sink(&self, task: &PlannedTask) -> Result<Box<dyn Sink>> {
        if task.entry.name == RETURN.name {
            return Ok(Box::new(Returned::into(self.returned.join(&task.id))));
        }
        PlannedPlugins.sink(task)
    }
}

impl TaskRuns {
    fn place(&self, name: &str) -> Result<PathBuf> {
        let is_name =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if name.split('/').all(is_name) {
            return Ok(self.folder.join(name));
        }
        Err(Error::bug(format!("`{name}` cannot be the name of a run")))
    }

    fn plan(&self, request: &RunRequest) -> Result<Plan> {
        let path = self.files.join(&request.flow);
        let options = PlanOptions {
            params: request.params.clone(),
            declared_only: request.declared_only,
            ..PlanOptions::default()
        };
        let planned = plan_file(&path, &self.service.catalogue, &options);
        let found = |found| Error::config(format!("the flow cannot be run: {found}")).with_setting("flow");
        Ok(planned.map_err(found)?.plan)
    }

    /// A plan as that of a run in this folder.
    fn inside(&self, mut plan: Plan, name: &str, instance: &str, place: &Path) -> Result<Plan> {
        if self.service.depth >= DEPTH_MAX {
            return Err(Error::config(format!("flows run flows more than {DEPTH_MAX} deep"))
                .with_setting("flow")
                .with_hint("a flow that runs itself needs a condition in front (If, Filter) that ends it"));
        }
        let called = std::mem::replace(&mut plan.flow, format!("{}/{instance}-{name}", self.flow));
        plan.state_dir = place.join("state");
        if plan.tasks.iter().any(|task| task.properties.unbounded) {
            return Err(Error::config(format!("the flow {called} never ends"))
                .with_setting("flow")
                .with_hint("a flow that another one runs must end by itself; start this one by `aqueduct run`"));
        }
        Ok(plan)
    }

    /// What an ended run says.
    fn told(&self, place: &Path, ended: Ended) -> Result<RunEnd> {
        let returned: Vec<Batch> = match ended.failure {
            None => returned::read(&place.join("returned"))?,
            Some(_) => Vec::new(),
        };
        Ok(RunEnd { failure: ended.failure.map(Into::into), returned, took_ms: ended.took_ms })
    }

    /// Runs a plan to its end, under that name.
    ///
    /// # Errors
    /// As for [`Runs::run`].
    pub(crate) async fn run_plan(&self, name: &str, plan: impl FnOnce() -> Result<Plan>) -> Result<RunEnd> {
        let place = self.place(name)?;
        if let Some(ended) = ended::ended(&place)? {
            return self.told(&place, ended);
        }
        self.service.active.left(&place).await;
        let instance = self.instance.get_or_try_init(|| async { ended::instance(&self.folder) }).await?;
        let plan = self.inside(plan()?, name, instance, &place)?;
        let began = ended::began_ms(&place)?;
        let plugins = RunPlugins { returned: place.join("returned") };
        let starter = &self.service.starter;
        let flow = starter.start_inside(plan, Arc::new(plugins), self.service.deeper()).await?;
        let running = self.service.active.enter(place.clone(), flow, starter.runtime().clone());
        let state = running.flow.wait().await;
        let failure = match state {
            FlowState::Finished => None,
            FlowState::Failed { report } => Some(Failure::of(&report)),
            FlowState::Stopped if running.is_cancelled() => Some(Failure::cancelled()),
            _ => return Err(Error::new(ErrorKind::Unavailable, format!("the run {name} was stopped"))),
        };
        let took_ms = ended::now_ms().saturating_sub(began);
        let ended = Ended { failure, took_ms };
        ended::end(&place, &ended)?;
        if ended.failure.is_none() {
            remove(&place.join("state"))?;
        }
        self.told(&place, ended)
    }
}

#[async_trait]
impl Runs for TaskRuns {
    async fn run(&self, request: RunRequest) -> Result<RunEnd> {
        self.run_plan(&request.name, || self.plan(&request)).await
    }

    fn known(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unwritable(&self.folder, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unwritable(&self.folder, error))?;
            if entry.path().is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn forget(&self, name: &str) -> Result<()> {
        remove(&self.place(name)?)
    }

    fn retry(&self, name: &str) -> Result<()> {
        ended::take_back(&self.place(name)?)
    }
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unwritable(folder, error)),
        _ => Ok(()),
    }
}
