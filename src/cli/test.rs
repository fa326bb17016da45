//! `test`: the tests of flows, in memory.

use std::path::Path;

use aqueduct_engine::runtime::Host;
use aqueduct_model::Error;

use super::arguments::TestArguments;
use super::exit::{Exit, Failure};
use super::log::Log;
use crate::testing::{Coverage, Outcome, Suite, Verdict, find, junit, rewrite, run_case};

/// One file's tests that were run: by their place in the suite.
type Results = Vec<(usize, Outcome, String)>;

/// Runs tests; fails when one of them does.
pub(super) fn test(arguments: &TestArguments, log: &Log) -> Result<Exit, Failure> {
    let (suites, mistakes) = find(&arguments.paths);
    if mistakes.has_errors() {
        return Err(mistakes.into());
    }
    let (catalogue, host) = (crate::catalogue()?, Host::new()?);
    let wanted = arguments.filter.as_ref().map(|filter| filter.to_lowercase());
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| name.to_lowercase().contains(wanted));
    let mut coverage = Coverage::default();
    let mut all: Vec<(&Suite, Results)> = Vec::new();
    for suite in &suites {
        if !suite.warnings.0.is_empty() {
            eprintln!("{}", log.redact(&suite.warnings.to_string()));
        }
        let mut results = Results::new();
        for (index, case) in suite.cases.iter().enumerate().filter(|(_, case)| is_wanted(&case.name)) {
            let outcome = run_case(suite, case, &host, &catalogue, &mut coverage);
            log.hide(&outcome.secrets);
            let text = log.redact(&explain(&outcome.verdict));
            let word = if matches!(outcome.verdict, Verdict::Passed) { "ok" } else { "FAILED" };
            let place = suite.tests_path.display();
            println!("{word:<6} {place}: {} ({} ms)", log.redact(&case.name), outcome.took.as_millis());
            if !text.is_empty() {
                println!("{}", indented(&text));
            }
            results.push((index, outcome, text));
        }
        all.push((suite, results));
    }
    finish(arguments, &all, &coverage, log)
}

fn finish(
    arguments: &TestArguments,
    all: &[(&Suite, Results)],
    coverage: &Coverage,
    log: &Log,
) -> Result<Exit, Failure> {
    let outcomes = || all.iter().flat_map(|(_, results)| results);
    let (count, failed) = (outcomes().count(), outcomes().filter(|(_, outcome, _)| !passed(outcome)).count());
    if count == 0 {
        return Err(Error::config("there are no tests to run")
            .with_hint("write `tests:` into a flow, or NAME.test.yaml beside it; see docs/testing.md")
            .into());
    }
    print!("{}", log.redact(&coverage.show()));
    let differ = outcomes().any(|(_, outcome, _)| matches!(outcome.verdict, Verdict::Differs(_)));
    println!("{count} tests, {failed} failed{}", if differ && !arguments.update { "; - expected, + got" } else { "" });
    if let Some(file) = &arguments.junit {
        let results = all.iter().map(|(suite, results)| {
            let cases =
                results.iter().map(|(index, outcome, text)| (suite.cases[*index].name.as_str(), outcome, text.clone()));
            (*suite, cases.collect::<Vec<_>>())
        });
        write(file, &log.redact(&junit(results)))?;
    }
    let mut updated = true;
    if arguments.update {
        for (suite, results) in all {
            updated &= update(suite, results)?;
        }
    }
    let mendable = outcomes().all(|(_, outcome, _)| matches!(outcome.verdict, Verdict::Passed | Verdict::Differs(_)));
    let refused = outcomes().any(|(_, outcome, _)| matches!(outcome.verdict, Verdict::Refused(_)));
    Ok(match () {
        () if failed == 0 || (arguments.update && updated && mendable) => Exit::Ok,
        () if refused => Exit::BadFlow,
        () => Exit::Failed,
    })
}

fn passed(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Passed)
}

/// Writes what came; false where that cannot be done.
fn update(suite: &Suite, results: &Results) -> Result<bool, Failure> {
    let differs = |outcome: &&(usize, Outcome, String)| matches!(outcome.1.verdict, Verdict::Differs(_));
    let differing: Vec<_> =
        results.iter().filter(differs).map(|(index, outcome, _)| (&suite.cases[*index], outcome)).collect();
    if differing.is_empty() {
        return Ok(true);
    }
    match rewrite(suite, &differing) {
        Ok(text) => {
            write(&suite.tests_path, &text)?;
            println!("wrote {}: {} tests", suite.tests_path.display(), differing.len());
            Ok(true)
        }
        Err(cause) => {
            eprintln!("{}: not updated: {cause}", suite.tests_path.display());
            Ok(false)
        }
    }
}

/// Beside the file and then into its place, so that it is never half there.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text)?;
    std::fs::rename(&partial, file)?;
    Ok(())
}

/// Why a test failed.
fn explain(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed => String::new(),
        Verdict::Differs(differences) => differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Verdict::Failed(report) => Failure::from(report.clone()).to_string(),
        Verdict::Refused(diagnostics) => diagnostics.to_string(),
        Verdict::TookTooLong => "the flow did not end within a minute".to_owned(),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("       {line}")).collect::<Vec<_>>().join("\n")
}
