//! The `aqueduct` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Fault-injection builds read their script from FAILPOINTS; it stays in force until the process ends.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    aqueduct::cli::main()
}
