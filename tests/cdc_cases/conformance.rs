//! The table of cases: which run, where, and whether `docs/cdc-conformance.md` says the same.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use aqueduct_test_servers::{Kind, Server, shared};

use super::list::{CASES, FAILURES, NOT_RUN, PROBES, Row};

/// Runs a case on each of its servers, also when one fails; fails with the names of those that did.
#[track_caller]
pub fn on_each(rows: &[Row], number: u16, mut test: impl FnMut(Kind)) {
    let (_, _, kinds) = rows.iter().find(|row| row.0 == number).expect("the case is in the list");
    assert!(!kinds.is_empty(), "a case that runs on no server shows nothing");
    let failed: Vec<&str> = kinds
        .iter()
        .filter(|kind| {
            println!("--- {}", kind.name());
            catch_unwind(AssertUnwindSafe(|| test(**kind))).is_err()
        })
        .map(|kind| kind.name())
        .collect();
    assert!(failed.is_empty(), "failed on {}", failed.join(", "));
}

/// Runs a case on the shared server of each of its kinds.
#[track_caller]
pub fn each(number: u16, mut test: impl FnMut(&'static Server)) {
    on_each(CASES, number, |kind| test(shared(kind)));
}

/// The names of the test functions with a prefix, by number.
fn functions(prefix: &str) -> BTreeMap<u16, Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cdc_cases");
    let mut found: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the cases").flatten() {
        let text = std::fs::read_to_string(entry.path()).expect("a source is text");
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(prefix)) else { continue };
            let number = rest.split('_').next().and_then(|digits| digits.parse().ok());
            let name = rest.split('(').next().unwrap_or_default();
            found.entry(number.expect("a number in the name")).or_default().push(format!("{prefix}{name}"));
        }
    }
    found
}

fn section(title: &str, rows: &[Row], prefix: &str) -> String {
    let functions = functions(prefix);
    let mut text = format!("\n## {title}\n\n| # | what it shows | result | servers |\n|---|---|---|---|\n");
    for (number, what, kinds) in rows {
        let reason = NOT_RUN.iter().find(|(n, _)| n == number && prefix == "case_").map(|(_, why)| *why);
        let names: Vec<&str> = kinds.iter().map(|kind| version(*kind)).collect();
        let names = if names.is_empty() || reason.is_some() { "–".to_owned() } else { names.join(", ") };
        let result = match (reason, functions.get(number)) {
            (Some(why), None) => format!("not run: {why}"),
            (None, Some(tests)) => tests.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
            (Some(_), Some(_)) => panic!("{prefix}{number} is run and said not to be"),
            (None, None) => panic!("{prefix}{number} has no test and no reason"),
        };
        text.push_str(&format!("| {number} | {what} | {result} | {names} |\n"));
    }
    text
}

fn version(kind: Kind) -> &'static str {
    match kind {
        Kind::MariaDb => "MariaDB 10.11",
        Kind::MySql8 => "MySQL 8.0",
        Kind::Postgres15 => "PostgreSQL 15",
        Kind::Postgres18 => "PostgreSQL 18",
    }
}

fn page() -> String {
    let run = CASES.len() - NOT_RUN.len();
    let mut text = format!(
        "# Conformance of change data capture\n\nMade from the tests, which check that it is up to date: \
         `AQUEDUCT_WRITE_DOCS=1 cargo test --workspace --features failpoints conformance`. Each named test runs the \
         program on the real servers beside it, in every `make test`; {run} of {} cases run, all {} failures and all \
         {} probes.\n",
        CASES.len(),
        FAILURES.len(),
        PROBES.len()
    );
    text.push_str(&section("Cases", CASES, "case_"));
    text.push_str(&section("What happened to other engines", FAILURES, "failure_"));
    text.push_str(&section("Probes of the row decoder", PROBES, "probe_"));
    text
}

#[test]
fn the_conformance_page_says_what_the_tests_do() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cdc-conformance.md");
    let page = page();
    if std::env::var_os("AQUEDUCT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("a writable page");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/cdc-conformance.md is out of date: run this test with AQUEDUCT_WRITE_DOCS=1");
}

#[test]
fn every_number_is_there_once_and_every_test_is_in_the_list() {
    for (rows, prefix, count) in [(CASES, "case_", 104), (FAILURES, "failure_", 24), (PROBES, "probe_", 11)] {
        let numbers: Vec<u16> = rows.iter().map(|row| row.0).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<u16>>());
        assert!(functions(prefix).keys().all(|number| numbers.contains(number)));
    }
}
