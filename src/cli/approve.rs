//! `approve`: the tables of captures that wait for a person, and letting one go on.

use std::path::PathBuf;

use aqueduct_connectors::cdc;
use aqueduct_engine::plan::Plan;
use aqueduct_model::{Error, PluginKind, Result};

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// Lists the waiting tables, or lets one go on.
pub(super) fn approve(flow: &FlowArguments, table: Option<&str>, log: &Log) -> std::result::Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let text = match table {
        Some(table) => let_go_on(&planned.plan, table)?,
        None => list(&planned.plan)?,
    };
    print!("{}", log.redact(&text));
    Ok(Exit::Ok)
}

/// The folders of the sources, with their tasks.
fn folders(plan: &Plan) -> impl Iterator<Item = (&str, PathBuf)> {
    let sources = plan.tasks.iter().filter(|task| task.kind() == PluginKind::Source);
    sources.map(|task| (task.id.as_str(), plan.source_dir(&task.id)))
}

fn list(plan: &Plan) -> Result<String> {
    let mut text = String::new();
    for (task, folder) in folders(plan) {
        for waiting in cdc::parked(&folder)? {
            text.push_str(&format!("{task}  {}  {}\n    {}\n", waiting.table, waiting.state, waiting.reason));
        }
    }
    if text.is_empty() {
        text.push_str("no table waits\n");
    }
    Ok(text)
}

fn let_go_on(plan: &Plan, table: &str) -> Result<String> {
    for (task, folder) in folders(plan) {
        if cdc::parked(&folder)?.iter().any(|waiting| waiting.table.matches(table)) {
            let waiting = cdc::approve(&folder, table)?;
            return Ok(format!("{task}: {} goes on\n", waiting.table));
        }
    }
    Err(Error::config(format!("no table {table} of this flow waits"))
        .with_hint("`aqueduct approve FLOW` without a table lists those that wait"))
}
