//! The graph of a flow: which output feeds which task, circles, ends that lead nowhere.

use std::collections::HashMap;

use aqueduct_model::{Catalogue, PluginKind};

use super::draft::Draft;
use super::message;
use crate::definition::{FlowDef, Report, Spanned};
use crate::plan::PlannedEdge;

/// The edges into each task, by the task's place in the file.
pub(super) struct Links {
    pub of: Vec<Vec<PlannedEdge>>,
    /// Whether an input of the task could not be resolved, which was reported.
    broken: Vec<bool>,
}

impl Links {
    /// Whether an input of the task is not known.
    pub(super) fn is_broken(&self, task: usize) -> bool {
        self.broken[task]
    }
}

/// Resolves `from`; duplicate ids and everything that cannot be resolved is reported.
pub(super) fn link(drafts: &[Draft], report: &mut Report) -> Links {
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        match by_id.get(draft.id()) {
            Some(&first) => {
                let message = message::duplicate_id(draft.id(), drafts[first].def.id.span.line);
                report.error(draft.def.id.span, message).in_task(draft.id()).of_setting("id");
            }
            None => {
                by_id.insert(draft.id(), index);
            }
        }
    }
    let mut links = Links { of: Vec::new(), broken: Vec::new() };
    for draft in drafts {
        let mut edges: Vec<PlannedEdge> = Vec::new();
        let mut broken = false;
        // An empty name was refused before.
        for input in draft.def.from.iter().filter(|input| !input.value.trim().is_empty()) {
            if report.is_full() {
                break;
            }
            match resolve(draft, input, drafts, &by_id) {
                Ok(edge) if edges.contains(&edge) => {
                    let message = message::duplicate_input(&input.value);
                    report.error(input.span, message).in_task(draft.id()).of_setting("from");
                }
                Ok(edge) => edges.push(edge),
                Err(message) => {
                    broken = true;
                    report.error(input.span, message).in_task(draft.id()).of_setting("from");
                }
            }
        }
        links.of.push(edges);
        links.broken.push(broken);
    }
    links
}

fn resolve(
    draft: &Draft,
    input: &Spanned<String>,
    drafts: &[Draft],
    by_id: &HashMap<&str, usize>,
) -> Result<PlannedEdge, crate::definition::Message> {
    let (id, port) = input.value.split_once('.').map_or((input.value.as_str(), None), |(id, port)| (id, Some(port)));
    if id == draft.id() {
        return Err(message::own_input(id));
    }
    let Some(&task) = by_id.get(id) else {
        return Err(message::unknown_input(id, feeders(drafts, draft.id())));
    };
    let feeder = &drafts[task];
    if let (Some(PluginKind::Sink), Some(entry)) = (feeder.kind(), feeder.entry) {
        return Err(message::input_is_sink(id, entry.name));
    }
    let Some((port, properties)) = port.zip(feeder.properties.as_ref()) else {
        return Ok(PlannedEdge { task, port: 0 });
    };
    match properties.outputs.iter().position(|output| output == port) {
        Some(port) => Ok(PlannedEdge { task, port }),
        None => Err(message::unknown_port(id, port, &properties.outputs)),
    }
}

/// The tasks that may feed another one.
fn feeders<'d>(drafts: &'d [Draft], but: &str) -> Vec<&'d str> {
    let feeds = |draft: &&Draft| draft.kind() != Some(PluginKind::Sink) && draft.id() != but;
    drafts.iter().filter(feeds).map(Draft::id).collect()
}

/// Compares the number of inputs with what the plugin takes.
pub(super) fn check_inputs(drafts: &[Draft], links: &Links, report: &mut Report) {
    for (index, draft) in drafts.iter().enumerate() {
        let (Some(entry), false) = (draft.entry, links.broken[index]) else { continue };
        let found = links.of[index].len();
        let first = draft.def.from.first().map_or(draft.def.plugin.span, |input| input.span);
        let message = match (entry.kind(), found, draft.properties.as_ref().map(|properties| properties.inputs)) {
            (PluginKind::Operator | PluginKind::Sink, 0, _) => {
                message::no_input(entry.name, feeders(drafts, draft.id()))
            }
            (PluginKind::Operator | PluginKind::Sink, _, Some((least, most))) if !(least..=most).contains(&found) => {
                message::input_count(entry.name, found, (least, most))
            }
            _ => continue,
        };
        report.error(first, message).in_task(draft.id()).of_setting("from");
    }
}

/// Finds outputs that nobody reads, and a flow without a sink.
pub(super) fn check_outputs(
    flow: &FlowDef,
    drafts: &[Draft],
    links: &Links,
    catalogue: &Catalogue,
    report: &mut Report,
) {
    let known = drafts.iter().all(|draft| draft.entry.is_some());
    let acts = |draft: &Draft| {
        let runs_flows = draft.properties.as_ref().is_some_and(|properties| properties.runs_flows);
        runs_flows || draft.kind() == Some(PluginKind::Sink)
    };
    let has_sink = drafts.iter().any(acts);
    if known && !has_sink {
        let sinks = catalogue.entries().iter().filter(|entry| entry.kind() == PluginKind::Sink);
        report.error(flow.tasks_span, message::no_sink(sinks.map(|entry| entry.name))).of_setting("tasks");
        return;
    }
    // What is not read now may be read once the mistakes are mended.
    if report.has_errors() {
        return;
    }
    let is_read = |task: usize, port: Option<usize>| {
        let reads = |edge: &PlannedEdge| edge.task == task && port.is_none_or(|port| edge.port == port);
        links.of.iter().flatten().any(reads)
    };
    for (index, draft) in drafts.iter().enumerate() {
        let Some(entry) = draft.entry.filter(|entry| entry.kind() != PluginKind::Sink) else { continue };
        if draft.properties.as_ref().is_some_and(|properties| properties.runs_flows) {
            continue;
        }
        if !is_read(index, None) {
            report.warn(draft.def.id.span, message::unread_task(entry.name)).in_task(draft.id());
            continue;
        }
        let outputs = draft.properties.as_ref().map(|properties| properties.outputs.as_slice()).unwrap_or_default();
        for (_, name) in outputs.iter().enumerate().filter(|(port, _)| !is_read(index, Some(*port))) {
            report.warn(draft.def.id.span, message::unread_port(draft.id(), name)).in_task(draft.id());
        }
    }
}

/// The tasks so that every input comes before its reader, else in the order of the file; `None` when there is a circle.
pub(super) fn order(drafts: &[Draft], links: &Links, report: &mut Report) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = Vec::with_capacity(drafts.len());
    let mut done = vec![false; drafts.len()];
    let mut sound = true;
    while order.len() < drafts.len() {
        let ready = |task: &usize| !done[*task] && links.of[*task].iter().all(|edge| done[edge.task]);
        let next = (0..drafts.len()).find(ready).unwrap_or_else(|| {
            sound = false;
            report_cycle(drafts, links, &done, report)
        });
        done[next] = true;
        order.push(next);
    }
    sound.then_some(order)
}

/// Names one circle among the tasks that are not done; the task returned is on it, so that others can be found.
fn report_cycle(drafts: &[Draft], links: &Links, done: &[bool], report: &mut Report) -> usize {
    let mut path: Vec<usize> = Vec::new();
    let mut here = done.iter().position(|done| !done).unwrap_or_default();
    while !path.contains(&here) {
        path.push(here);
        // Every task that is not done waits for another one that is not done either.
        here = links.of[here].iter().map(|edge| edge.task).find(|task| !done[*task]).unwrap_or(here);
    }
    let start = path.iter().position(|task| *task == here).unwrap_or_default();
    // The path leads from reader to feeder: rows go the other way.
    let mut circle: Vec<usize> = path[start..].iter().rev().copied().collect();
    let first_in_file = (0..circle.len()).min_by_key(|i| circle[*i]).unwrap_or_default();
    circle.rotate_left(first_in_file);
    let first = &drafts[circle[0]];
    let last = circle[circle.len() - 1];
    let mut ids: Vec<&str> = circle.iter().map(|task| drafts[*task].id()).collect();
    ids.push(first.id());
    let closing = links.of[circle[0]].iter().position(|edge| edge.task == last).unwrap_or_default();
    let span = first.def.from.get(closing).map_or(first.def.id.span, |input| input.span);
    report.error(span, message::cycle(&ids)).in_task(first.id()).of_setting("from");
    circle[0]
}
