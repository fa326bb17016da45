//! What a flow gives end to end: for each source and each sink it feeds, what the two allow together.

use aqueduct_model::{Delivery, PluginKind, Replay};

use super::message;
use crate::definition::{FlowDef, Report};
use crate::plan::Plan;

/// What rows of one source get in one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The source, as an index into [`Plan::tasks`].
    pub source: usize,
    /// The sink, likewise.
    pub sink: usize,
    /// What the two give together.
    pub delivery: Delivery,
    /// The one of the two that limits it.
    pub limited_by: usize,
    /// Why it is not more.
    pub reason: String,
}

/// The promises of all pairs of a source and a sink that it feeds, by sink and source.
pub fn promises(plan: &Plan) -> Vec<Promise> {
    let is_sink = |index: &usize| plan.tasks[*index].kind() == PluginKind::Sink;
    let sinks = (0..plan.tasks.len()).filter(is_sink);
    sinks.flat_map(|sink| sources_of(plan, sink).into_iter().map(move |source| promise(plan, source, sink))).collect()
}

fn promise(plan: &Plan, source: usize, sink: usize) -> Promise {
    let (replay, properties) = (plan.tasks[source].properties.replay, &plan.tasks[sink].properties);
    let (delivery, limited_by, reason) = match (replay, properties.delivery) {
        (Replay::None, _) => (Delivery::BestEffort, source, "it cannot read the same rows again".to_owned()),
        (Replay::Overlap, Delivery::ExactlyOnce) => {
            let reason = "it may read some rows twice after a restart".to_owned();
            (Delivery::AtLeastOnce, source, reason)
        }
        (Replay::Exact | Replay::Overlap, delivery) => {
            let plain = || format!("it promises {}", name(delivery));
            (delivery, sink, properties.delivery_reason.clone().unwrap_or_else(plain))
        }
    };
    Promise { source, sink, delivery, limited_by, reason }
}

/// Reports what keeps the flow from giving what it asks for.
pub(super) fn check(flow: &FlowDef, plan: &Plan, report: &mut Report) {
    let Some(asked) = &flow.delivery else { return };
    let mut blamed = Vec::new();
    for promise in promises(plan).into_iter().filter(|promise| promise.delivery < asked.value) {
        if blamed.contains(&promise.limited_by) {
            continue;
        }
        blamed.push(promise.limited_by);
        let task = &plan.tasks[promise.limited_by];
        let message = message::delivery_not_given(
            name(asked.value),
            name(promise.delivery),
            &task.id,
            task.entry.name,
            &promise.reason,
        );
        report.error(asked.span, message).in_task(&task.id).of_setting("delivery");
    }
}

/// The sources that feed a task, directly or not, in the order of the plan.
pub(super) fn sources_of(plan: &Plan, task: usize) -> Vec<usize> {
    let is_source = |index: &usize| plan.tasks[*index].kind() == PluginKind::Source;
    upstream(plan, task).into_iter().filter(is_source).collect()
}

/// A task and all whose rows reach it, in the plan's order.
pub(super) fn upstream(plan: &Plan, task: usize) -> Vec<usize> {
    let mut feeds = vec![false; plan.tasks.len()];
    feeds[task] = true;
    // Inputs come before their readers, so one pass from the back marks everything upstream.
    for index in (0..plan.tasks.len()).rev().filter(|index| *index <= task) {
        if feeds[index] {
            plan.tasks[index].inputs.iter().for_each(|edge| feeds[edge.task] = true);
        }
    }
    (0..plan.tasks.len()).filter(|index| feeds[*index]).collect()
}

/// The class as it is written in a flow file.
pub(super) fn name(delivery: Delivery) -> &'static str {
    match delivery {
        Delivery::BestEffort => "best_effort",
        Delivery::AtLeastOnce => "at_least_once",
        Delivery::EffectivelyOnce => "effectively_once",
        Delivery::ExactlyOnce => "exactly_once",
    }
}
