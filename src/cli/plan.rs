//! `validate` and `plan`, and how every command reads its flow.

use std::path::{Path, PathBuf};

use aqueduct_engine::planner::{PlanOptions, Planned, plan_file, render};

use super::arguments::{FlowArguments, FlowOptions, GraphFormat, PlanFormat};
use super::exit::{Exit, Failure};
use super::log::Log;
use crate::graph::{self, Graph};

/// Plans a flow; prints warnings, remembers secrets.
pub(super) fn load(flow: &FlowArguments, log: &Log) -> Result<Planned, Failure> {
    load_file(&flow.flow, &flow.options, log)
}

pub(super) fn load_file(path: &Path, options: &FlowOptions, log: &Log) -> Result<Planned, Failure> {
    let catalogue = crate::catalogue()?;
    let overlay = options.overlay.clone().map(|overlay| overlay.0).unwrap_or_default();
    let params = options.params.iter().cloned().collect();
    let options = PlanOptions { state_root: options.state.clone(), params, overlay, ..PlanOptions::default() };
    let planned = plan_file(path, &catalogue, &options)?;
    log.hide(&planned.secrets);
    if !planned.warnings.0.is_empty() {
        eprintln!("{}", log.redact(&planned.warnings.to_string()));
    }
    Ok(planned)
}

/// Checks flow files.
pub(super) fn validate(flows: &[PathBuf], options: &FlowOptions, log: &Log) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    for path in flows {
        match load_file(path, options, log) {
            Ok(planned) => println!("{}: ok ({} tasks)", path.display(), planned.plan.tasks.len()),
            Err(failure) => {
                eprintln!("{}", log.redact(&failure.to_string()));
                exit = failure.exit();
            }
        }
    }
    Ok(exit)
}

/// Shows what would run.
pub(super) fn plan(flow: &FlowArguments, format: PlanFormat, log: &Log) -> Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let text = match format {
        PlanFormat::Text => render(&planned.plan),
        PlanFormat::Mermaid => graph::mermaid(&Graph::of(&planned.plan)),
    };
    println!("{}", log.redact(&text));
    Ok(Exit::Ok)
}

/// Draws the flow.
pub(super) fn graph(flow: &FlowArguments, format: GraphFormat, log: &Log) -> Result<Exit, Failure> {
    let graph = Graph::of(&load(flow, log)?.plan);
    let text = match format {
        GraphFormat::Mermaid => graph::mermaid(&graph),
        GraphFormat::Svg => graph::svg(&graph),
        GraphFormat::Dot => graph::dot(&graph),
    };
    print!("{}", log.redact(&text));
    Ok(Exit::Ok)
}
