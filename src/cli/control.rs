//! `status`, `pause`, `resume`, `stop`: a word with the running daemon.

use aqueduct_engine::control::{Request, Steer, request};
use serde_json::Value;

use super::arguments::{FlowArguments, SteerArguments};
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;

/// What a flow, or one of its runs, is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Word {
    Pause,
    Resume,
    Stop,
}

impl Word {
    fn to_flow(self) -> Request {
        match self {
            Self::Pause => Request::Pause,
            Self::Resume => Request::Resume,
            Self::Stop => Request::Stop,
        }
    }

    fn to_run(self, name: String) -> Request {
        let what = match self {
            Self::Pause => Steer::Pause,
            Self::Resume => Steer::Resume,
            Self::Stop => Steer::Cancel,
        };
        Request::Run { name, what }
    }
}

/// Asks the daemon and prints the state that the flow, or its run, is in afterwards.
pub(super) fn ask(steered: SteerArguments, word: Word, log: &Log) -> Result<Exit, Failure> {
    let planned = load(&steered.flow, log)?;
    let what = steered.run.clone().map_or_else(|| word.to_flow(), |name| word.to_run(name));
    let status = request(&planned.plan.state_dir, what)?;
    let state = |of: &Value| of["state"].as_str().unwrap_or("unknown").to_owned();
    match steered.run {
        None => println!("{}: {}", planned.plan.flow, state(&status)),
        Some(name) => {
            let mut runs = status["runs"].as_array().into_iter().flatten();
            let run = runs.find(|run| run["name"] == name.as_str());
            println!("{name}: {}", run.map_or_else(|| "ended".to_owned(), state));
        }
    }
    Ok(Exit::Ok)
}

/// What the rules of the tasks found, where tasks have such.
fn show_rules(status: &Value) {
    let tasks = status["tasks"].as_array().into_iter().flatten();
    let rules: Vec<(&Value, &Value)> = tasks
        .flat_map(|task| task["rules"].as_array().into_iter().flatten().map(move |rule| (&task["id"], rule)))
        .collect();
    if rules.is_empty() {
        return;
    }
    println!("{:<24} {:<32} {:>14} {:>14}", "task", "rule", "rows checked", "rows broken");
    for (task, rule) in rules {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        println!("{:<24} {:<32} {:>14} {:>14}", text(task), text(&rule["rule"]), rule["checked"], rule["broken"]);
    }
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
    show_rules(&status);
    let runs: Vec<&Value> = status["runs"].as_array().into_iter().flatten().collect();
    if !runs.is_empty() {
        println!("{:<58} {:<10} {:>14}", "run", "state", "rows");
    }
    for run in runs {
        println!("{:<58} {:<10} {:>14}", text(&run["name"]), text(&run["state"]), run["rows"]);
    }
    Ok(Exit::Ok)
}
