//! The command line. Exit codes: 0 ok, 1 failed, 2 bad flow or usage, 3 environment.

mod approve;
mod arguments;
mod checkpoint;
mod control;
mod doctor;
mod exit;
mod init;
mod log;
mod plan;
mod plugin_pages;
mod plugins;
mod preview;
mod preview_taps;
mod progress;
mod receipts;
mod replay;
mod retire;
mod run;
mod test;
mod torture;
mod trace;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use arguments::{Arguments, Command};
use exit::Exit;

/// Reads the arguments, does what they say, prints what went wrong, and returns the exit code.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let usual = match &arguments.command {
        Command::Run(_) => "info",
        Command::Replay(arguments) if arguments.record.is_some() => "info",
        // A test's kills are not news.
        Command::Test(_) => "error",
        _ => "warn",
    };
    let log = log::Log::start(arguments.log.as_deref().unwrap_or(usual), arguments.log_format);
    match execute(arguments.command, &log) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("{}", log.redact(&failure.to_string()));
            failure.exit().into()
        }
    }
}

fn execute(command: Command, log: &log::Log) -> Result<Exit, exit::Failure> {
    match command {
        Command::Run(arguments) => run::run(&arguments, log),
        Command::Validate { flows, options } => plan::validate(&flows, &options, log),
        Command::Plan { flow, format } => plan::plan(&flow, format, log),
        Command::Graph { flow, format } => plan::graph(&flow, format, log),
        Command::Test(arguments) => test::test(&arguments, log),
        Command::Preview { flow, rows } => preview::preview(&flow, rows, log),
        Command::Trace(arguments) => trace::trace(&arguments, log),
        Command::Replay(arguments) => replay::replay(&arguments, log),
        Command::Verify(arguments) => verify::verify(&arguments, log),
        Command::Doctor { flow } => doctor::doctor(&flow, log),
        Command::Status { flow, json } => control::status(&flow, json, log),
        Command::Pause(steered) => control::ask(steered, control::Word::Pause, log),
        Command::Resume(steered) => control::ask(steered, control::Word::Resume, log),
        Command::Stop(steered) => control::ask(steered, control::Word::Stop, log),
        Command::Approve { flow, table } => approve::approve(&flow, table.as_deref(), log),
        Command::Retire { flow } => retire::retire(&flow, log),
        Command::Checkpoint { action } => checkpoint::checkpoint(&action, log),
        Command::Receipts { flow, last, json } => receipts::receipts(&flow, last, json, log),
        Command::Audit { flow } => receipts::audit(&flow, log),
        Command::Plugins { action } => plugins::plugins(action),
        Command::Init { folder } => init::init(&folder),
        Command::Torture(arguments) => torture::torture(arguments, log),
        Command::Demo(options) => Ok(match crate::demo::run(&options)? {
            crate::demo::Outcome::InStep => Exit::Ok,
            crate::demo::Outcome::Differs => Exit::Failed,
        }),
        Command::DemoWriter(options) => {
            crate::demo::write(&options)?;
            Ok(Exit::Ok)
        }
        Command::Version => {
            println!("aqueduct {}", env!("CARGO_PKG_VERSION"));
            Ok(Exit::Ok)
        }
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "aqueduct", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
    }
}
