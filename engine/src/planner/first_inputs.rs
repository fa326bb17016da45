//! Inputs that are read to their end before the others are opened: what they must be, and who waits for whom.

use std::collections::BTreeSet;

use aqueduct_model::FirstInput;

use super::draft::Draft;
use super::graph::Links;
use super::message;
use crate::definition::{Message, Report};
use crate::plan::PlannedEdge;

/// Sources that are read to their end, and those that wait for that.
struct Wait {
    /// The task that has the inputs, by its place in the file.
    task: usize,
    first: BTreeSet<usize>,
    others: BTreeSet<usize>,
}

/// By task, in the order of the file: how many stages of reading come behind the one in which its rows come; 0 where nobody
/// waits for them. Whatever cannot be read first is reported. The graph has no circle.
pub(super) fn stages_behind(drafts: &[Draft], links: &Links, report: &mut Report) -> Vec<usize> {
    let waits: Vec<Wait> = (0..drafts.len()).filter_map(|task| wait(task, drafts, links, report)).collect();
    let mut behind = vec![0; drafts.len()];
    let mut is_settled = waits.is_empty();
    // A round settles at least one wait more, unless some of them wait for each other.
    for _ in 0..=waits.len() {
        is_settled = true;
        for wait in &waits {
            let least = 1 + wait.others.iter().map(|source| behind[*source]).max().unwrap_or_default();
            for source in &wait.first {
                is_settled &= behind[*source] >= least;
                behind[*source] = behind[*source].max(least);
            }
        }
    }
    if let (false, Some(wait)) = (is_settled, waits.first()) {
        let draft = &drafts[wait.task];
        let span = draft.def.from.first().map_or(draft.def.plugin.span, |input| input.span);
        report.error(span, message::first_inputs_in_a_circle()).in_task(draft.id()).of_setting("from");
        return vec![0; drafts.len()];
    }
    let of_task = |task| sources(links, task).into_iter().map(|source| behind[source]).min().unwrap_or_default();
    (0..drafts.len()).map(of_task).collect()
}

/// What waits for what at one task; `None` where nothing does, or a mistake was reported.
fn wait(task: usize, drafts: &[Draft], links: &Links, report: &mut Report) -> Option<Wait> {
    let draft = &drafts[task];
    let properties = draft.properties.as_ref().filter(|properties| !properties.first_inputs.is_empty())?;
    if links.is_broken(task) {
        return None;
    }
    let names: Vec<String> = links.of[task].iter().map(|edge| name(drafts, edge)).collect();
    let is_first = |name: &String| properties.first_inputs.iter().any(|first| first.input == *name);
    let (mut first, mut others) = (BTreeSet::new(), BTreeSet::new());
    for (edge, name) in links.of[task].iter().zip(&names) {
        let sources = sources(links, edge.task);
        if is_first(name) { first.extend(sources) } else { others.extend(sources) }
    }
    let mut complain = |of: &FirstInput, message: Message| {
        let span = draft.def.config.locate(&of.setting).span;
        report.error(span, message).in_task(draft.id()).of_setting(&format!("config.{}", of.setting));
    };
    let mut is_sound = true;
    for of in &properties.first_inputs {
        let input = of.input.as_str();
        let complaint = match names.iter().position(|name| name == input) {
            None => Some(message::unknown_first_input(input, names.iter().map(String::as_str))),
            Some(_) if names.iter().all(is_first) => Some(message::only_first_inputs(draft.def.plugin.value.as_str())),
            Some(place) => unfit(input, links.of[task][place].task, drafts, links, &others),
        };
        if let Some(message) = complaint {
            complain(of, message);
            is_sound = false;
        }
    }
    is_sound.then_some(Wait { task, first, others })
}

/// Why the rows of a task cannot be read first.
fn unfit(input: &str, from: usize, drafts: &[Draft], links: &Links, others: &BTreeSet<usize>) -> Option<Message> {
    for task in upstream(links, from) {
        let (Some(entry), Some(properties)) = (drafts[task].entry, &drafts[task].properties) else { continue };
        let id = drafts[task].id();
        if properties.unbounded {
            return Some(message::endless_first_input(input, id, entry.name));
        }
        if properties.emits_changes {
            return Some(message::changes_into_first_input(input, id, entry.name));
        }
        if others.contains(&task) {
            return Some(message::first_input_on_both_sides(input, id));
        }
    }
    None
}

/// An input as an operator knows it: without a port's name where it is the main one.
fn name(drafts: &[Draft], edge: &PlannedEdge) -> String {
    let from = &drafts[edge.task];
    let port = from.properties.as_ref().and_then(|properties| properties.outputs.get(edge.port));
    match port.filter(|_| edge.port > 0) {
        Some(port) => format!("{}.{port}", from.id()),
        None => from.id().to_owned(),
    }
}

/// A task and all whose rows reach it.
fn upstream(links: &Links, task: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut ahead = vec![task];
    while let Some(task) = ahead.pop() {
        if found.insert(task) {
            ahead.extend(links.of[task].iter().map(|edge| edge.task));
        }
    }
    found
}

/// The sources that feed a task, or the task itself where it is one.
fn sources(links: &Links, task: usize) -> BTreeSet<usize> {
    upstream(links, task).into_iter().filter(|task| links.of[*task].is_empty()).collect()
}
