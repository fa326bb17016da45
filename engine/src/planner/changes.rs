//! Updates and deletes must not reach a task that takes inserts only, nor an endless stream one that waits for its end, or
//! for event time of which the stream says nothing.

use aqueduct_model::{ChangeSupport, PluginKind};

use super::delivery::upstream;
use super::draft::Draft;
use super::message;
use crate::definition::Report;
use crate::plan::Plan;

/// The setting by which sinks choose between appending and applying changes.
const MODE: &str = "mode";

/// Reports every pair of a task that emits changes and a task that cannot take them, and every pair of a source that
/// never ends and an operator that waits for its end, or for event time that does not come from there; `order[i]` is the
/// draft of the plan's task i.
pub(super) fn check(plan: &Plan, drafts: &[Draft], order: &[usize], report: &mut Report) {
    for (index, task) in plan.tasks.iter().enumerate() {
        if task.kind() == PluginKind::Operator {
            check_operator(plan, index, drafts, order, report);
        }
    }
    for (index, sink) in plan.tasks.iter().enumerate() {
        let is_append_only = sink.properties.changes == ChangeSupport::AppendOnly;
        if sink.kind() != PluginKind::Sink || !is_append_only {
            continue;
        }
        for source in upstream(plan, index).into_iter().map(|source| &plan.tasks[source]) {
            if !source.properties.emits_changes {
                continue;
            }
            let def = drafts[order[index]].def;
            let schema = (sink.entry.schema)();
            let mode = schema.as_value().get("properties").and_then(|settings| settings.get(MODE)).map(|_| MODE);
            let located = mode.map(|mode| def.config.locate(mode)).filter(|located| located.complete);
            let message = message::changes_into_append_only(&source.id, source.entry.name, sink.entry.name, mode);
            let span = located.map_or(def.plugin.span, |located| located.span);
            let setting = mode.map_or("plugin".to_owned(), |mode| format!("config.{mode}"));
            report.error(span, message).in_task(&sink.id).of_setting(&setting);
        }
    }
}

fn check_operator(plan: &Plan, index: usize, drafts: &[Draft], order: &[usize], report: &mut Report) {
    let task = &plan.tasks[index];
    let def = drafts[order[index]].def;
    // A task's own changes are no matter to itself.
    for source in upstream(plan, index).into_iter().filter(|other| *other != index).map(|other| &plan.tasks[other]) {
        let takes_no_changes = task.properties.changes == ChangeSupport::AppendOnly && source.properties.emits_changes;
        let waits_forever = task.properties.needs_end && source.properties.unbounded;
        let complaints = [
            takes_no_changes.then(|| message::changes_into_operator(&source.id, source.entry.name, task.entry.name)),
            waits_forever.then(|| message::endless_into_operator(&source.id, source.entry.name, task.entry.name)),
        ];
        for complaint in complaints.into_iter().flatten() {
            report.error(def.plugin.span, complaint).in_task(&task.id).of_setting("plugin");
        }
    }
    if task.properties.needs_event_time {
        for source in timeless(plan, index).into_iter().map(|source| &plan.tasks[source]) {
            let complaint = message::timeless_into_operator(&source.id, source.entry.name, task.entry.name);
            report.error(def.plugin.span, complaint).in_task(&task.id).of_setting("plugin");
        }
    }
}

/// The sources that never end and whose rows reach a task on a way on which nothing says how far event time has come.
fn timeless(plan: &Plan, task: usize) -> Vec<usize> {
    let mut feeds = vec![false; plan.tasks.len()];
    feeds[task] = true;
    // Inputs come before their readers, so one pass from the back goes all ways at once.
    for index in (0..=task).rev().filter(|index| *index == task || !plan.tasks[*index].properties.gives_event_time) {
        if feeds[index] {
            plan.tasks[index].inputs.iter().for_each(|edge| feeds[edge.task] = true);
        }
    }
    let is_endless =
        |index: &usize| plan.tasks[*index].kind() == PluginKind::Source && plan.tasks[*index].properties.unbounded;
    (0..task).filter(|index| feeds[*index]).filter(is_endless).collect()
}
