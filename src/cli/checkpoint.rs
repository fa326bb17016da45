//! `checkpoint show|reset|export`.

use std::time::{SystemTime, UNIX_EPOCH};

use aqueduct_checkpoint::Summary;

use super::arguments::CheckpointAction;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// Looks into a flow's checkpoints, or starts it over.
pub(super) fn checkpoint(action: &CheckpointAction, log: &Log) -> Result<Exit, Failure> {
    match action {
        CheckpointAction::Show { flow } => {
            let planned = load(flow, log)?;
            print!("{}", log.redact(&text(&aqueduct_checkpoint::inspect(&planned.plan.state_dir)?)));
        }
        CheckpointAction::Reset { flow } => {
            let planned = load(flow, log)?;
            let token = aqueduct_checkpoint::reset(&planned.plan.state_dir)?;
            println!("{}: the next run reads from the beginning (token {token})", planned.plan.flow);
        }
        CheckpointAction::Export { flow } => {
            let planned = load(flow, log)?;
            println!("{:#}", aqueduct_checkpoint::export(&planned.plan.state_dir)?);
        }
    }
    Ok(Exit::Ok)
}

/// The newest epoch with its positions, then the others in a line each.
fn text(summary: &Summary) -> String {
    let mut text = format!("token {}\n", summary.token);
    for (i, epoch) in summary.epochs.iter().enumerate() {
        let state: u64 = epoch.state_bytes.values().sum();
        let mark = match (epoch.reset, epoch.finished) {
            (true, _) => "  reset",
            (false, true) => "  finished",
            (false, false) => "",
        };
        let ago = age(epoch.logged_at_ms);
        text.push_str(&format!(
            "epoch {:<8} token {:<6} {ago:>12} ago  state {state} bytes{mark}\n",
            epoch.epoch, epoch.token
        ));
        if i == 0 {
            for (task, position) in &epoch.positions {
                for (split, offset) in &position.0 {
                    let end = if epoch.ended.contains(task) { "  its end" } else { "" };
                    text.push_str(&format!("    {task} {} {}{end}\n", split.0, offset.0));
                }
            }
        }
    }
    for file in &summary.damaged {
        text.push_str(&format!("damaged: {file}\n"));
    }
    text
}

fn age(at_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    format!("{:.1} s", now.saturating_sub(at_ms) as f64 / 1_000.0)
}
