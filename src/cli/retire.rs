//! `retire`: takes back what a flow made at its sources.

use aqueduct_engine::control::{Request, request};
use aqueduct_model::{Error, ErrorKind, SourceContext};

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// Asks every source to take back what it made; prints what that was.
pub(super) fn retire(flow: &FlowArguments, log: &Log) -> Result<Exit, Failure> {
    let plan = load(flow, log)?.plan;
    if request(&plan.state_dir, Request::Status).is_ok() {
        return Err(Error::new(ErrorKind::State, format!("the flow {} is running", plan.flow))
            .with_hint("end it first: `aqueduct stop FLOW`")
            .into());
    }
    let mut nothing = true;
    for task in &plan.tasks {
        let context = SourceContext {
            flow: plan.flow.clone(),
            task: task.id.clone(),
            state_dir: Some(plan.source_dir(&task.id)),
            ..SourceContext::default()
        };
        for done in (task.entry.retire)(&task.config, &context)? {
            println!("{}: {}", task.id, log.redact(&done));
            nothing = false;
        }
    }
    if nothing {
        println!("nothing was to be taken back");
    }
    Ok(Exit::Ok)
}
