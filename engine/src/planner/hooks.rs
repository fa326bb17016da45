//! Flows that are run beside another one: files, or tasks that stand in its own file and become a flow of their own.

use std::path::Path;

use aqueduct_model::Catalogue;
use serde_json::Value;

use super::plan_flow;
use crate::definition::{FlowDef, HookDef, HookRun, Report, Spanned, TaskDef};
use crate::plan::{Hook, HookFlow, Plan};
use crate::runs::EVENT_PARAMS;

/// The task that gives the event as a row, for those in a list that read from it.
const EVENT: &str = "event";
const STARTER: &str = "Starter";

/// The hooks of the flow, then those of its tasks; `None` when one cannot be planned.
pub(super) fn hooks(
    flow: &FlowDef,
    catalogue: &Catalogue,
    state_root: &Path,
    report: &mut Report,
) -> Option<Vec<Hook>> {
    let of_flow = flow.hooks.iter().map(|hook| (None, hook));
    let of_tasks = flow.tasks.iter().flat_map(|task| task.hooks.iter().map(|hook| (Some(&task.id.value), hook)));
    let mut planned = Vec::new();
    let mut all = true;
    for (task, hook) in of_flow.chain(of_tasks) {
        let run = match &hook.run {
            HookRun::File(path) => Some(HookFlow::File(path.into())),
            HookRun::Tasks(tasks) => {
                let plan = plan_tasks(flow, task, hook, tasks, (catalogue, state_root), report);
                plan.map(|plan| HookFlow::Planned(Box::new(plan)))
            }
        };
        match run {
            Some(run) => planned.push(Hook { task: task.cloned(), event: hook.event, flow: run }),
            None => all = false,
        }
    }
    all.then_some(planned)
}

/// A flow of the tasks of a list.
fn plan_tasks(
    flow: &FlowDef,
    task: Option<&String>,
    hook: &HookDef,
    tasks: &[TaskDef],
    (catalogue, state_root): (&Catalogue, &Path),
    report: &mut Report,
) -> Option<Plan> {
    let of = task.map(|task| format!(".{task}")).unwrap_or_default();
    let mut tasks = tasks.to_vec();
    if tasks.iter().flat_map(|task| &task.from).any(|from| from.value == EVENT) {
        tasks.insert(0, TaskDef::new(EVENT, STARTER, hook.span));
    }
    let inner = FlowDef {
        name: Spanned { value: format!("{}{of}.{}", flow.name.value, hook.event.name()), span: hook.span },
        description: None,
        params: EVENT_PARAMS.iter().map(|name| ((*name).to_owned(), Value::from(""))).collect(),
        delivery: None,
        hooks: Vec::new(),
        tasks,
        tasks_span: hook.span,
        ..flow.clone()
    };
    plan_flow(&inner, catalogue, state_root, report)
}
