//! `torture`: prints a line per fault, then the table. Exit code 0 when everything was survived, else 1.

use std::time::{SystemTime, UNIX_EPOCH};

use super::arguments::TortureArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use super::plan::load;
use crate::torture::{self, Options};

/// Seeds are short enough to be typed.
const SEEDS: u64 = 1_000_000;

/// Breaks things.
pub(super) fn torture(arguments: TortureArguments, log: &Log) -> Result<Exit, Failure> {
    // Warnings are printed, and secrets are known from here on.
    load(&arguments.flow, log)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64 % SEEDS);
    let options = Options {
        flow: arguments.flow.flow,
        state: arguments.flow.options.state,
        params: arguments.flow.options.params,
        faults: arguments.faults,
        only: arguments.only,
        targets: arguments.targets,
        ddl: arguments.ddl,
        seed: arguments.seed.unwrap_or(now),
    };
    let report = torture::torture(&options, &mut |line| println!("{}", log.redact(line)))?;
    print!("\n{}", log.redact(&report.text()));
    Ok(if report.is_good() { Exit::Ok } else { Exit::Failed })
}

impl From<torture::Failure> for Failure {
    fn from(failure: torture::Failure) -> Self {
        match failure {
            torture::Failure::Flow(diagnostics) => diagnostics.into(),
            torture::Failure::Error(error) => error.into(),
        }
    }
}
