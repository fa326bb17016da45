//! `doctor`: looks at every system a flow uses and says what to do about what is missing. Changes nothing.

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Build, Finding, Result, SinkContext, SourceContext};

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// Prints one line per finding. Exit code 3 when something is missing.
pub(super) fn doctor(flow: &FlowArguments, log: &Log) -> std::result::Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let host = Host::new()?;
    let mut exit = Exit::Ok;
    for task in &planned.plan.tasks {
        for finding in examine(&host, &planned.plan, task) {
            println!("{} {}: {}", if finding.ok { "✓" } else { "✗" }, task.id, log.redact(&finding.what));
            if let Some(fix) = &finding.fix {
                println!("    {}", log.redact(fix));
            }
            if !finding.ok {
                exit = Exit::Environment;
            }
        }
    }
    Ok(exit)
}

/// What the plugin itself looks at; for one that has nothing to say, whether it opens.
fn examine(host: &Host, plan: &Plan, task: &PlannedTask) -> Vec<Finding> {
    let findings = (task.entry.doctor)(&task.config);
    if !findings.is_empty() {
        return findings;
    }
    let opened = match task.entry.build {
        Build::Operator { .. } => return Vec::new(),
        Build::Source { build, .. } => host.wait_on(async { open_source(plan, task, build(&task.config)?).await }),
        Build::Sink { build, .. } => host.wait_on(async {
            let mut sink = build(&task.config)?;
            let context = SinkContext { flow: plan.flow.clone(), task: task.id.clone(), state_dir: None };
            let opened = sink.open(&context).await.map(drop);
            opened.and(sink.close().await)
        }),
    };
    vec![match opened {
        Ok(()) => Finding { ok: true, what: format!("{} opens", task.entry.name), fix: None },
        Err(error) => Finding { ok: false, what: error.chain(), fix: error.hint().map(str::to_owned) },
    }]
}

async fn open_source(plan: &Plan, task: &PlannedTask, mut source: Box<dyn aqueduct_model::Source>) -> Result<()> {
    let context = SourceContext { flow: plan.flow.clone(), task: task.id.clone(), ..SourceContext::default() };
    let opened = source.open(&context, None).await;
    opened.and(source.close().await)
}
