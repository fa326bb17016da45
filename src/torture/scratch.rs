//! What is changed in the flow, and the ways to its servers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use aqueduct_engine::definition::{Document, Lookup};
use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::planner::{PlanOptions, plan_document};
use aqueduct_faults::Proxy;
use aqueduct_model::{Error, PluginKind, Result};
use serde_json::{Map, Value, json};

use super::address::Place;
use super::{Failure, Options};
use crate::daemon::{aqueduct, unavailable};

/// The variables of the environment that hold the addresses of the proxies.
const VARIABLE: &str = "AQUEDUCT_TORTURE_";
/// A change log of our own in a SQLite source, so that it can be taken back whole.
const LOG: &str = "torture";

/// A flow that may be broken.
pub(super) struct Scratch {
    /// The flow as the daemons run it.
    pub(super) plan: Plan,
    /// Where its state and its files are.
    pub(super) folder: PathBuf,
    /// Proxies in front of servers, by task.
    pub(super) proxies: Vec<(String, Proxy)>,
    flow: PathBuf,
    state: PathBuf,
    params: Vec<(String, String)>,
    overlay: Map<String, Value>,
    environment: BTreeMap<String, String>,
}

impl Scratch {
    /// Plans the flow with scratch targets; makes an empty folder and the proxies.
    pub(super) fn prepare(options: &Options) -> std::result::Result<Self, Failure> {
        let (name, folder) = {
            let plan = plan(options, &options.state, &Map::new(), &BTreeMap::new())?;
            (format!("{}_torture_{}", plan.flow, options.seed), options.state.join("torture").join(&plan.flow))
        };
        std::fs::create_dir_all(&folder).map_err(|error| unavailable("cannot make the scratch folder", error))?;
        let folder = folder.canonicalize().map_err(|error| unavailable("cannot use the scratch folder", error))?;
        let state = folder.join("state");
        let mut overlay = Map::new();
        overlay.insert("flow".to_owned(), name.into());
        overlay.insert("checkpoint".to_owned(), json!({ "path": null }));
        let mut changes = Map::new();
        // The addresses are known only once the flow is expanded.
        let expanded = plan(options, &state, &overlay, &BTreeMap::new())?;
        for task in &expanded.tasks {
            changes.insert(task.id.clone(), json!({ "config": settings(task, options, &folder)? }));
        }
        overlay.insert("tasks".to_owned(), changes.into());
        let with_targets = plan(options, &state, &overlay, &BTreeMap::new())?;
        let mut environment = BTreeMap::new();
        let proxies = proxies(&with_targets, &mut overlay, &mut environment)?;
        let plan = plan(options, &state, &overlay, &environment)?;
        let (flow, params) = (options.flow.clone(), options.params.clone());
        let scratch = Self { plan, folder, proxies, flow, state, params, overlay, environment };
        scratch.clear()?;
        Ok(scratch)
    }

    /// A command of this program on the flow.
    pub(super) fn command(&self, command: &str, more: &[&str]) -> Result<Command> {
        let here = std::env::current_dir().map_err(|error| unavailable("cannot find the present folder", error))?;
        let mut child = aqueduct(&here)?;
        child.arg(command).arg(&self.flow).arg("--state").arg(&self.state).args(more);
        for (name, value) in &self.params {
            child.arg("-p").arg(format!("{name}={value}"));
        }
        let overlay = Value::Object(self.overlay.clone()).to_string();
        child.env("AQUEDUCT_OVERLAY", overlay).envs(&self.environment);
        Ok(child)
    }

    /// Removes what the flow has written here.
    pub(super) fn clear(&self) -> Result<()> {
        for name in ["state", "targets"] {
            let path = self.folder.join(name);
            if path.exists() {
                std::fs::remove_dir_all(&path)
                    .map_err(|error| unavailable("cannot clear the scratch folder", error))?;
            }
        }
        for task in self.sinks() {
            if let Some(parent) = path_of(task).and_then(Path::parent) {
                std::fs::create_dir_all(parent).map_err(|error| unavailable("cannot make a scratch folder", error))?;
            }
        }
        Ok(())
    }

    /// The tasks that write.
    pub(super) fn sinks(&self) -> impl Iterator<Item = &PlannedTask> {
        self.plan.tasks.iter().filter(|task| task.kind() == PluginKind::Sink)
    }

    /// True when everything that was written can be removed.
    pub(super) fn is_only_files(&self) -> bool {
        self.sinks().all(|task| url_of(task).is_none())
    }
}

/// The file that a task works on.
pub(super) fn path_of(task: &PlannedTask) -> Option<&Path> {
    task.config["path"].as_str().map(Path::new)
}

fn url_of(task: &PlannedTask) -> Option<&str> {
    task.config["url"].as_str()
}

/// What is changed in a task's settings.
fn settings(task: &PlannedTask, options: &Options, folder: &Path) -> Result<Value> {
    let target = options.targets.iter().find(|(id, _)| *id == task.id).map(|(_, url)| url);
    match task.kind() {
        PluginKind::Operator => Ok(json!({})),
        // The running flow's own slot, number and log are not to be used by two.
        PluginKind::Source if task.entry.name == "CdcInput" => Ok(match task.config["engine"].as_str() {
            Some("sqlite") => json!({ "log": LOG }),
            _ => json!({ "slot": null, "server_id": null }),
        }),
        PluginKind::Source => Ok(json!({})),
        PluginKind::Sink => match (path_of(task), url_of(task), target) {
            (Some(path), _, _) => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                Ok(json!({ "path": folder.join("targets").join(&task.id).join(name) }))
            }
            (None, Some(_), Some(url)) => Ok(json!({ "url": url })),
            (None, Some(_), None) => {
                Err(Error::config(format!("the target of {} is on a server, and it has no scratch target", task.id))
                    .with_setting("url")
                    .with_hint(format!("name an empty database: --scratch {}='${{env:SCRATCH_URL}}'", task.id)))
            }
            (None, None, _) => Ok(json!({})),
        },
    }
}

/// Puts a proxy in front of every server that the tasks name by a URL.
fn proxies(
    plan: &Plan,
    overlay: &mut Map<String, Value>,
    environment: &mut BTreeMap<String, String>,
) -> Result<Vec<(String, Proxy)>> {
    let mut proxies = Vec::new();
    for task in &plan.tasks {
        let Some((url, place)) = url_of(task).and_then(|url| Some((url, Place::of(url)?))) else { continue };
        let proxy = Proxy::start(place.server.clone()).map_err(|error| unavailable("cannot start a proxy", error))?;
        let variable = format!("{VARIABLE}{}", environment.len());
        environment.insert(variable.clone(), place.replaced(url, proxy.port()));
        overlay["tasks"][&task.id]["config"]["url"] = format!("${{env:{variable}}}").into();
        proxies.push((task.id.clone(), proxy));
    }
    Ok(proxies)
}

fn plan(
    options: &Options,
    state_root: &Path,
    overlay: &Map<String, Value>,
    environment: &BTreeMap<String, String>,
) -> std::result::Result<Plan, Failure> {
    let catalogue = crate::catalogue()?;
    let params = options.params.iter().cloned().collect();
    let plan_options = PlanOptions { state_root: state_root.to_owned(), params, ..PlanOptions::default() };
    let mut document = Document::load(&options.flow).map_err(Failure::Flow)?;
    document.lay_over(overlay);
    let env = |name: &str| environment.get(name).cloned().or_else(|| std::env::var(name).ok());
    let lookup = Lookup { env: &env, ..Lookup::of_process(&plan_options.params) };
    plan_document(&document, &catalogue, &plan_options, &lookup).map(|planned| planned.plan).map_err(Failure::Flow)
}
