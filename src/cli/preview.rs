//! `preview`: the first rows at every edge; nothing is written anywhere.

use std::sync::{Arc, Mutex};

use aqueduct_engine::runtime::{FlowState, Host};
use aqueduct_model::{Batch, Error};
use arrow::util::pretty::pretty_format_batches;

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use super::preview_taps::{PreviewPlugins, Seen};

/// Shows the first rows at every edge.
pub(super) fn preview(flow: &FlowArguments, rows: usize, log: &Log) -> Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let read_first = planned.plan.read_first();
    let plugins = Arc::new(PreviewPlugins { rows: rows.max(1), read_first, seen: seen.clone() });
    let (plan, tasks) = (planned.plan.clone(), planned.plan.tasks);
    let end = Host::new()?.block_on(|starter| async move { starter.start_without_trace(plan, plugins).wait().await });
    let seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for task in &tasks {
        let inputs: Vec<&str> = task.inputs.iter().map(|edge| tasks[edge.task].id.as_str()).collect();
        if !inputs.is_empty() {
            println!("{} → {} ({})", inputs.join(", "), task.id, task.entry.name);
            println!("{}\n", log.redact(&show(&seen, &task.id, rows)?));
        }
    }
    match end {
        FlowState::Failed { report } => Err(report.into()),
        _ => Ok(Exit::Ok),
    }
}

/// One table per relation, at most `rows` rows of each.
fn show(seen: &[Seen], task: &str, rows: usize) -> Result<String, Failure> {
    let mut relations: Vec<(String, Vec<Batch>, usize)> = Vec::new();
    for Seen { batch, .. } in seen.iter().filter(|seen| seen.task == task) {
        let name = format!("{} (version {})", batch.relation().name(), batch.relation().version());
        let at = match relations.iter().position(|(known, ..)| *known == name) {
            Some(at) => at,
            None => {
                relations.push((name, Vec::new(), 0));
                relations.len() - 1
            }
        };
        let (_, batches, shown) = &mut relations[at];
        let take = batch.num_rows().min(rows - *shown);
        if take > 0 {
            batches.push(batch.slice(0, take));
            *shown += take;
        }
    }
    let mut text = String::new();
    for (name, batches, _) in relations {
        let rows: Vec<_> = batches.iter().map(|batch| batch.rows().clone()).collect();
        let table = pretty_format_batches(&rows).map_err(|error| Error::bug("cannot show rows").with_source(error))?;
        text.push_str(&format!("{name}\n{table}\n"));
    }
    Ok(if text.is_empty() { "no rows".to_owned() } else { text })
}
