//! Which sources are opened when: what is read first before what waits for it; with `execution: serial`, pipelines that do
//! not read from each other one after the other.

use super::draft::Draft;
use super::first_inputs::stages_behind;
use super::graph::Links;
use super::message;
use crate::definition::{FlowDef, Report};

/// By task, in the order of the file: its turn. A pipeline that never ends is refused in front of others. The graph has no
/// circle.
pub(super) fn turns(flow: &FlowDef, drafts: &[Draft], links: &Links, report: &mut Report) -> Vec<usize> {
    let behind = stages_behind(drafts, links, report);
    let pipelines = if flow.serial { pipelines(links) } else { vec![0; drafts.len()] };
    // The pipelines in the order of the file: the first task, and how many stages of reading each has.
    let mut in_order: Vec<(usize, usize)> = Vec::new();
    for (pipeline, behind) in pipelines.iter().zip(&behind) {
        match in_order.iter_mut().find(|(first, _)| first == pipeline) {
            Some((_, stages)) => *stages = (*stages).max(behind + 1),
            None => in_order.push((*pipeline, behind + 1)),
        }
    }
    let mut turns = Vec::with_capacity(drafts.len());
    for (task, draft) in drafts.iter().enumerate() {
        let place = in_order.iter().position(|(first, _)| *first == pipelines[task]).unwrap_or_default();
        let through: usize = in_order[..=place].iter().map(|(_, stages)| stages).sum();
        turns.push(through - 1 - behind[task]);
        let never_ends = draft.properties.as_ref().is_some_and(|properties| properties.unbounded);
        if let (true, Some((next, _))) = (never_ends, in_order.get(place + 1)) {
            let message = message::never_ends_before(draft.id(), drafts[*next].id());
            report.error(draft.def.span, message).in_task(draft.id()).of_setting("execution");
        }
    }
    turns
}

/// By task: the first task of its pipeline.
fn pipelines(links: &Links) -> Vec<usize> {
    let mut of: Vec<usize> = (0..links.of.len()).collect();
    fn first(of: &[usize], mut task: usize) -> usize {
        while of[task] != task {
            task = of[task];
        }
        task
    }
    for (task, edges) in links.of.iter().enumerate() {
        for edge in edges {
            let (one, other) = (first(&of, task), first(&of, edge.task));
            of[one.max(other)] = one.min(other);
        }
    }
    (0..of.len()).map(|task| first(&of, task)).collect()
}
