//! `execution: serial`: pipelines that do not read from each other, one after the other.

use super::draft::Draft;
use super::graph::Links;
use super::message;
use crate::definition::{FlowDef, Report};

/// By task, in the order of the file: the place of its pipeline. A pipeline that never ends is refused in front of others.
pub(super) fn turns(flow: &FlowDef, drafts: &[Draft], links: &Links, report: &mut Report) -> Vec<usize> {
    let mut turns = vec![0; drafts.len()];
    if !flow.serial {
        return turns;
    }
    let pipelines = pipelines(links);
    let mut first_tasks: Vec<usize> = Vec::new();
    for (task, turn) in turns.iter_mut().enumerate() {
        let pipeline = pipelines[task];
        *turn = first_tasks.iter().position(|first| *first == pipeline).unwrap_or_else(|| {
            first_tasks.push(pipeline);
            first_tasks.len() - 1
        });
    }
    for (draft, turn) in drafts.iter().zip(&turns) {
        let never_ends = draft.properties.as_ref().is_some_and(|properties| properties.unbounded);
        if let (true, Some(next)) = (never_ends, first_tasks.get(turn + 1)) {
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
