//! `receipts` and `audit`: what was delivered, epoch by epoch, and the proof that nothing is missing or there twice.

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_engine::receipts::{Receipt, TargetState, audit as check, read};
use aqueduct_engine::runtime::Host;
use aqueduct_model::{Build, Epoch, Error, ErrorKind, Recorded, Result, SinkContext};

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use crate::thousands::thousands;

/// Prints the newest receipts.
pub(super) fn receipts(flow: &FlowArguments, last: usize, json: bool, log: &Log) -> std::result::Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let receipts = read(&planned.plan.state_dir)?;
    let newest = &receipts[receipts.len().saturating_sub(last)..];
    if newest.is_empty() {
        println!("no receipts: the flow has not run, or its `checkpoint.receipts` is none");
    }
    for receipt in newest {
        if json {
            let text = serde_json::to_string(receipt);
            let text = text.map_err(|error| Error::bug("a receipt is not JSON").with_source(error))?;
            println!("{}", log.redact(&text));
        } else {
            print!("{}", log.redact(&text_of(receipt)));
        }
    }
    Ok(Exit::Ok)
}

fn text_of(receipt: &Receipt) -> String {
    let mut text = String::new();
    for (task, content) in &receipt.targets {
        text.push_str(&format!(
            "epoch {:<8} token {:<5} {task:<20} {:>12} inserts {:>12} updates {:>12} deletes  {}\n",
            receipt.epoch.0,
            receipt.token.0,
            thousands(content.inserts),
            thousands(content.updates),
            thousands(content.deletes),
            content.digest.as_deref().unwrap_or(&receipt.hash[..receipt.hash.len().min(16)]),
        ));
    }
    text
}

/// Checks the chain of receipts, and that every target's own ledger agrees with it. Exit code 1 when not.
pub(super) fn audit(flow: &FlowArguments, log: &Log) -> std::result::Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let settled = read(&planned.plan.state_dir)?.last().map_or(Epoch(0), |receipt| receipt.epoch);
    let (targets, unseen) = targets(&planned.plan)?;
    let receipts = read(&planned.plan.state_dir)?;
    if receipts.is_empty() {
        let nothing = Error::new(ErrorKind::State, "there are no receipts to audit");
        return Err(nothing.with_hint("run the flow first; `checkpoint.receipts` must not be none").into());
    }
    let found = check(&receipts, &targets, settled)?;
    if let Some((first, last)) = found.epochs {
        println!("{} receipts, epochs {first} to {last}", thousands(found.receipts as u64));
    }
    for (task, total) in &found.totals {
        println!(
            "{task:<20} {:>14} inserts {:>14} updates {:>14} deletes",
            thousands(total.inserts),
            thousands(total.updates),
            thousands(total.deletes)
        );
    }
    for (task, why) in unseen {
        println!("{task}: its own ledger was not looked at: {}", log.redact(&why));
    }
    for fault in &found.faults {
        println!("✗ {fault}");
    }
    if found.faults.is_empty() {
        println!("✓ no gap, no overlap, nothing changed afterwards; {} targets agree", targets.len());
        return Ok(Exit::Ok);
    }
    Ok(Exit::Failed)
}

/// What the targets' own ledgers say, and the targets that cannot be asked now.
fn targets(plan: &Plan) -> Result<(TargetState, Vec<(String, String)>)> {
    let host = Host::new()?;
    let (mut states, mut unseen) = (TargetState::new(), Vec::new());
    for task in plan.tasks.iter().filter(|task| task.properties.transactional) {
        match host.wait_on(recorded(plan, task)) {
            Ok(Some(recorded)) => drop(states.insert(task.id.clone(), recorded.cut)),
            Ok(None) => unseen.push((task.id.clone(), "it holds none for this flow".to_owned())),
            Err(error) => unseen.push((task.id.clone(), error.chain())),
        }
    }
    Ok((states, unseen))
}

async fn recorded(plan: &Plan, task: &PlannedTask) -> Result<Option<Recorded>> {
    let Build::Sink { build, .. } = task.entry.build else { return Ok(None) };
    let mut sink = build(&task.config)?;
    let context = SinkContext { flow: plan.flow.clone(), task: task.id.clone(), state_dir: None };
    let opened = sink.open(&context).await;
    let closed = sink.close().await;
    opened.and_then(|recorded| closed.map(|()| recorded))
}
