//! `before`, `on_success`, `on_error`, `after`: flows that are run when something happens to another one.

use std::collections::BTreeMap;

use aqueduct_model::{Error, Result, RunRequest};

use super::ended::now_ms;
use super::service::RunService;
use crate::plan::{Hook, HookEvent, Plan};
use crate::runtime::FailureReport;

/// Where the runs of hooks are: no task can have this id.
const FOLDER: &str = ".hooks";

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
        let request = RunRequest { name: name.clone(), flow: hook.flow.clone(), params, declared_only: true };
        let told = |error: Error| match &hook.task {
            Some(task) => error.with_task(task).with_setting(event.name()),
            None => error.with_setting(event.name()),
        };
        if let Some(failed) = runs.run(request).await.map_err(told)?.failure {
            runs.retry(&name)?;
            let text = format!("the flow {} failed: {}", hook.flow.display(), failed.message);
            return Err(told(Error::new(failed.kind, text).with_hint(failed.hint.unwrap_or_default())));
        }
    }
    Ok(())
}
