//! `status`, `pause`, `resume`, `stop`: a word with the running daemon.

use aqueduct_engine::control::{Request, request};
use serde_json::Value;

use super::arguments::FlowArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// Asks the daemon and prints the state it is in afterwards.
pub(super) fn ask(flow: &FlowArguments, what: Request, log: &Log) -> Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let status = request(&planned.plan.state_dir, what)?;
    println!("{}: {}", planned.plan.flow, status["state"].as_str().unwrap_or("unknown"));
    Ok(Exit::Ok)
}

/// Shows what a running flow is doing.
pub(super) fn status(flow: &FlowArguments, json: bool, log: &Log) -> Result<Exit, Failure> {
    let planned = load(flow, log)?;
    let status = request(&planned.plan.state_dir, Request::Status)?;
    if json {
        println!("{status}");
        return Ok(Exit::Ok);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!(
        "{}  {}  epoch {}  generation {}",
        planned.plan.flow,
        text(&status["state"]),
        status["checkpoint"]["epoch"],
        status["generation"]
    );
    println!(
        "{:<24} {:<18} {:<13} {:>14} {:>14} {:>9} {:>8}",
        "task", "plugin", "activity", "rows in", "rows out", "bad rows", "lag ms"
    );
    for task in status["tasks"].as_array().into_iter().flatten() {
        println!(
            "{:<24} {:<18} {:<13} {:>14} {:>14} {:>9} {:>8}",
            text(&task["id"]),
            text(&task["plugin"]),
            text(&task["activity"]),
            task["rows_in"],
            task["rows_out"],
            task["bad_rows"],
            task["lag_ms"]
        );
    }
    Ok(Exit::Ok)
}
