//! Tasks on their way from the definition to the plan.

use std::path::{Path, PathBuf};

use aqueduct_model::{Catalogue, Delivery, PluginEntry, PluginKind, Properties};
use serde_json::Value;

use super::graph::Links;
use super::{delivery, message, per_row, settings};
use crate::definition::{FlowDef, Report, TaskDef};
use crate::plan::{Plan, PlannedEdge, PlannedTask};

/// A task with what is known of its plugin so far.
pub(super) struct Draft<'a> {
    pub def: &'a TaskDef,
    /// `None` when there is no such plugin.
    pub entry: Option<&'a PluginEntry>,
    /// `None` when the settings are wrong.
    pub properties: Option<Properties>,
    pub config: Value,
}

impl Draft<'_> {
    pub(super) fn id(&self) -> &str {
        &self.def.id.value
    }

    pub(super) fn kind(&self) -> Option<PluginKind> {
        self.entry.map(PluginEntry::kind)
    }
}

/// Finds the plugins, checks the settings and what a kind of plugin forbids.
pub(super) fn drafts<'a>(flow: &'a FlowDef, catalogue: &'a Catalogue, report: &mut Report) -> Vec<Draft<'a>> {
    let draft = |def: &'a TaskDef| {
        let entry = catalogue.get(&def.plugin.value);
        let Some(entry) = entry else {
            let known = catalogue.entries().iter().map(|entry| entry.name);
            let message = message::unknown_plugin(&def.plugin.value, known);
            report.error(def.plugin.span, message).in_task(&def.id.value).of_setting("plugin");
            return Draft { def, entry: None, properties: None, config: Value::Null };
        };
        if let (Some(pattern), true) = (def.tables.first(), entry.kind() != PluginKind::Operator) {
            let message = message::tables_not_operator(entry.name);
            report.error(pattern.span, message).in_task(&def.id.value).of_setting("tables");
        }
        let (config, properties) = match entry.kind() {
            PluginKind::Source if !def.from.is_empty() => per_row::check(def, entry, report),
            _ => {
                per_row::check_no_rows(def, entry, report);
                settings::check(def, entry, report)
            }
        };
        Draft { def, entry: Some(entry), properties, config }
    };
    flow.tasks.iter().map(draft).collect()
}

/// Puts the plan together; `None` while anything about a task is unknown.
pub(super) fn build(
    flow: &FlowDef,
    drafts: &[Draft],
    links: &Links,
    (order, turns): (&[usize], &[usize]),
    state_root: &Path,
) -> Option<Plan> {
    let mut place_of = vec![0; drafts.len()];
    for (place, &task) in order.iter().enumerate() {
        place_of[task] = place;
    }
    let mut tasks = Vec::with_capacity(drafts.len());
    for &index in order {
        let Draft { def, entry, properties, config } = &drafts[index];
        let inputs = links.of[index].iter().map(|edge| PlannedEdge { task: place_of[edge.task], port: edge.port });
        tasks.push(PlannedTask {
            id: def.id.value.clone(),
            entry: *(*entry)?,
            config: config.clone(),
            properties: properties.clone()?,
            inputs: inputs.collect(),
            turn: turns[index],
            tables: def.tables.iter().map(|pattern| pattern.value.clone()).collect(),
            on_bad_row: def.on_bad_row,
            max_bad_rows: def.max_bad_rows,
            retry: def.retry,
            delay: def.delay,
            timeout: def.timeout,
        });
    }
    let mut plan = Plan {
        flow: flow.name.value.clone(),
        file: PathBuf::new(),
        params: flow.params.clone(),
        state_dir: flow.checkpoint.path.as_ref().map_or_else(|| state_root.join(&flow.name.value), Into::into),
        delivery: Delivery::BestEffort,
        tasks,
        hooks: Vec::new(),
        checkpoint: flow.checkpoint.settings,
        restart: flow.restart,
        channel: flow.channel,
        batch_rows: flow.batch_rows,
    };
    plan.delivery = delivery::promises(&plan).iter().map(|promise| promise.delivery).min().unwrap_or_default();
    Some(plan)
}
