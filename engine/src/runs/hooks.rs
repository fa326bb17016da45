//! `before`, `on_success`, `on_error`, `after`: flows that are run when something happens to another one.

use std::collections::BTreeMap;

use aqueduct_model::{Error, Result, RunEnd, RunRequest, Runs};

use super::ended::now_ms;
use super::service::{RunService, TaskRuns};
use crate::plan::{Hook, HookEvent, HookFlow, Plan};
use crate::runtime::FailureReport;

/// Where the runs of hooks are: no task can have this id.
const FOLDER: &str = ".hooks";

/// What a hook's flow is told: its parameters, or the columns of the row that its tasks begin with.
pub(crate) const EVENT_PARAMS: [&str; 5] = ["event", "flow", "task", "error", "kind"];

/// Runs the hooks of an event, one after the other. What is run once in the flow's life is not run again after a crash.
///
/// # Errors
/// That of the first one that fails.
pub(crate) async fn run_hooks(
    runs: &RunService,
    plan: &Plan,
    event: HookEvent,
    failure: Option<&FailureReport>,
) -> Result<()> {
    let at_fault = failure.and_then(|failure| failure.task.as_deref());
    let wanted = |hook: &&Hook| {
        let concerns = event != HookEvent::OnError || hook.task.is_none() || hook.task.as_deref() == at_fault;
        hook.event == event && concerns
    };
    let runs = runs.of_task(plan, FOLDER);
    for hook in plan.hooks.iter().filter(wanted) {
        let of = hook.task.as_deref().unwrap_or(".flow");
        let mut name = format!("{}/{}", event.name(), of.replace(['.', '_'], "-"));
        if failure.is_some() {
            // A flow may fail again after it was mended.
            name = format!("{name}/{}", now_ms());
        }
        let mut params = BTreeMap::from([
            ("event".to_owned(), event.name().to_owned()),
            ("flow".to_owned(), plan.flow.clone()),
            ("task".to_owned(), hook.task.clone().or_else(|| at_fault.map(str::to_owned)).unwrap_or_default()),
        ]);
        if let Some(failure) = failure {
            params.insert("error".to_owned(), failure.message.clone());
            params.insert("kind".to_owned(), failure.kind.to_owned());
        }
        let told = |error: Error| match &hook.task {
            Some(task) => error.with_task(task).with_setting(event.name()),
            None => error.with_setting(event.name()),
        };
        if let Some(failed) = run(&runs, &name, &hook.flow, params).await.map_err(told)?.failure {
            runs.retry(&name)?;
            let text = format!("the flow {} failed: {}", hook.flow.name(), failed.message);
            return Err(told(Error::new(failed.kind, text).with_hint(failed.hint.unwrap_or_default())));
        }
    }
    Ok(())
}

async fn run(runs: &TaskRuns, name: &str, flow: &HookFlow, params: BTreeMap<String, String>) -> Result<RunEnd> {
    match flow {
        HookFlow::File(path) => {
            runs.run(RunRequest { name: name.to_owned(), flow: path.clone(), params, declared_only: true }).await
        }
        HookFlow::Planned(plan) => {
            let told = || {
                let mut plan = Plan::clone(plan);
                plan.params.extend(params.into_iter().map(|(name, value)| (name, value.into())));
                Ok(plan)
            };
            runs.run_plan(name, told).await
        }
    }
}
