//! `replay`: records a run, and runs recordings.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aqueduct_engine::runtime::{FlowState, Host};
use aqueduct_model::Error;

use super::arguments::{ProgressStyle, ReplayArguments, RunArguments};
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::{load, load_file};
use super::run::run_with;
use crate::replay::{RecordingPlugins, differences, flow_of, offline, prepare};
use crate::testing::table_state::Tables;

/// Records, or compares.
pub(super) fn replay(arguments: &ReplayArguments, log: &Log) -> Result<Exit, Failure> {
    match (&arguments.record, &arguments.from) {
        (Some(folder), _) => record(arguments, folder, log),
        (None, Some(folder)) => compare(arguments, folder, log),
        (None, None) => {
            Err(Error::config("there is nothing to do").with_hint("name --record DIR or --from DIR").into())
        }
    }
}

fn record(arguments: &ReplayArguments, folder: &Path, log: &Log) -> Result<Exit, Failure> {
    // A flow with mistakes leaves no folder behind.
    load(&arguments.flow, log)?;
    prepare(folder, &arguments.flow.flow)?;
    let run = RunArguments { flow: arguments.flow.clone(), progress: ProgressStyle::Auto, metrics_listen: None };
    run_with(&run, Arc::new(RecordingPlugins { folder: folder.to_owned() }), log)
}

fn compare(arguments: &ReplayArguments, folder: &Path, log: &Log) -> Result<Exit, Failure> {
    let recorded = flow_of(folder)?.ok_or_else(|| {
        Error::config(format!("{} holds no recording", folder.display()))
            .with_hint("make one with `aqueduct replay FLOW --record DIR`")
    })?;
    let before_file = arguments.against.as_deref().unwrap_or(&recorded);
    let before = load_file(before_file, &arguments.flow.options, log)?.plan;
    let after = load(&arguments.flow, log)?.plan;
    let host = Host::new()?;
    let run = |plan| match offline(&host, plan, folder) {
        Ok(tables) => Ok(tables),
        Err(FlowState::Failed { report }) => Err(Failure::from(report)),
        Err(other) => Err(Error::bug(format!("the flow ended as {}", other.name())).into()),
    };
    let (before, after) = (run(before)?, run(after)?);
    let found = differences(&before, &after);
    for difference in &found {
        println!("{}\n", log.redact(&difference.to_string()));
    }
    let (old, new) = (before_file.display(), arguments.flow.flow.display());
    if found.is_empty() {
        println!("{old} and {new} make the same tables: {}", counts(&after));
        return Ok(Exit::Ok);
    }
    println!("- {old}, + {new}: {} tables differ", found.len());
    Ok(Exit::Failed)
}

/// How many rows each target would hold.
fn counts(tables: &BTreeMap<String, Tables>) -> String {
    let rows = |tables: &Tables| tables.0.values().map(|table| table.rows().len()).sum::<usize>();
    tables.iter().map(|(sink, tables)| format!("{sink} {} rows", rows(tables))).collect::<Vec<_>>().join(", ")
}
