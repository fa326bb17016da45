//! From a flow definition to a [`Plan`]: plugins found, settings checked, graph sound, delivery promised. Pure.
//!
//! Everything that can be known before anything starts is decided here, so that a running flow does not stumble over
//! its own file: unknown plugins and settings, missing inputs, cycles, changes on their way into a sink that takes
//! inserts only, a delivery class that cannot be given.

mod changes;
mod delivery;
mod draft;
mod first_inputs;
mod graph;
mod hooks;
mod message;
mod per_row;
mod placed;
mod render;
mod settings;
mod turns;

#[cfg(test)]
pub(crate) mod fake_plugins;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aqueduct_model::Catalogue;

use crate::definition::{Diagnostics, Document, FlowDef, Lookup, Node, Report, Secrets, Severity, Source};
use crate::plan::Plan;

pub use delivery::{Promise, promises};
pub use render::render;

/// What the caller decides about a plan.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// The folder under which every flow has its own for checkpoints and dead letters.
    pub state_root: PathBuf,
    /// Values of parameters.
    pub params: BTreeMap<String, String>,
    /// Leave out the parameters that the flow does not declare, instead of refusing them.
    pub declared_only: bool,
    /// Laid over the flow of a file: see [`Document::lay_over`].
    pub overlay: serde_json::Map<String, serde_json::Value>,
}

/// A flow that can run.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What the runtime builds.
    pub plan: Plan,
    /// What a person should look at all the same.
    pub warnings: Diagnostics,
    /// What is to be kept out of logs, errors and every other text.
    pub secrets: Secrets,
}

/// Plans the flow in a file, with this process's environment.
///
/// # Errors
/// Every mistake found, in the order of the file, free of secrets.
pub fn plan_file(path: &Path, catalogue: &Catalogue, options: &PlanOptions) -> Result<Planned, Diagnostics> {
    let mut document = Document::load(path)?;
    document.lay_over(&options.overlay);
    let mut params = options.params.clone();
    if options.declared_only {
        let declared = document.root().get("params").map(Node::entries).unwrap_or_default();
        params.retain(|name, _| declared.iter().any(|entry| entry.key == *name));
    }
    plan_document(&document, catalogue, options, &Lookup::of_process(&params))
}

/// Plans a flow from its text; `path` is shown in messages, and its ending decides the format.
///
/// # Errors
/// As [`plan_file`].
pub fn plan_text(path: &str, text: &str, catalogue: &Catalogue, options: &PlanOptions) -> Result<Planned, Diagnostics> {
    let document = Document::parse(Source::new(path, text.as_bytes())?)?;
    plan_document(&document, catalogue, options, &Lookup::of_process(&options.params))
}

/// Plans a flow that was parsed. Pure, but for what `lookup` does.
///
/// # Errors
/// As [`plan_file`].
pub fn plan_document(
    document: &Document,
    catalogue: &Catalogue,
    options: &PlanOptions,
    lookup: &Lookup,
) -> Result<Planned, Diagnostics> {
    let reading = document.read(lookup);
    let (mut found, secrets) = (reading.found, reading.secrets);
    let mut report = Report::new(document.source());
    // With a task left out, every complaint about the graph might follow from that.
    let flow = reading.flow.filter(|flow| !flow.incomplete);
    let mut plan = flow.and_then(|flow| plan_flow(&flow, catalogue, &options.state_root, &mut report));
    if let Some(plan) = &mut plan {
        plan.is_from(document.source().path().as_ref());
    }
    found.0.extend(report.finish(&secrets).0);
    let found = found.sorted();
    match plan {
        Some(plan) if !found.has_errors() => Ok(Planned { plan, warnings: found, secrets }),
        _ if found.has_errors() => Err(found),
        _ => Err(unexplained(document)),
    }
}

/// Plans a definition; what is wrong goes into the report.
fn plan_flow(flow: &FlowDef, catalogue: &Catalogue, state_root: &Path, report: &mut Report) -> Option<Plan> {
    let flow = &*placed::in_place(flow, catalogue, report);
    let drafts = draft::drafts(flow, catalogue, report);
    let links = graph::link(&drafts, report);
    graph::check_inputs(&drafts, &links, report);
    graph::check_outputs(flow, &drafts, &links, catalogue, report);
    let order = graph::order(&drafts, &links, report)?;
    let turns = turns::turns(flow, &drafts, &links, report);
    let mut plan = draft::build(flow, &drafts, &links, (&order, &turns), state_root)?;
    plan.hooks = hooks::hooks(flow, catalogue, state_root, report)?;
    changes::check(&plan, &drafts, &order, report);
    delivery::check(flow, &plan, report);
    Some(plan)
}

/// Cannot happen: a plan is only missing where a mistake was reported.
fn unexplained(document: &Document) -> Diagnostics {
    let message = message::unexplained();
    let mut diagnostic = crate::definition::Diagnostic::whole_file(document.source().path(), message);
    diagnostic.severity = Severity::Error;
    diagnostic.into()
}
