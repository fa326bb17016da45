//! Results as JUnit XML, in the form that CI systems read: one suite per file, one case per test.

use std::fmt::Write;

use super::run::{Outcome, Verdict};
use super::suite::Suite;

/// One file's results.
pub(crate) fn junit<'r>(results: impl IntoIterator<Item = (&'r Suite, Vec<(&'r str, &'r Outcome, String)>)>) -> String {
    let mut suites = String::new();
    let (mut total, mut total_failed, mut total_seconds) = (0, 0, 0.0);
    for (suite, outcomes) in results {
        let failed = outcomes.iter().filter(|(_, outcome, _)| !matches!(outcome.verdict, Verdict::Passed)).count();
        let seconds: f64 = outcomes.iter().map(|(_, outcome, _)| outcome.took.as_secs_f64()).sum();
        let name = escaped(&suite.tests_path.display().to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(
            suites,
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{seconds:.3}\">",
            outcomes.len()
        );
        for (case, outcome, text) in &outcomes {
            let time = outcome.took.as_secs_f64();
            let head = format!("    <testcase classname=\"{name}\" name=\"{}\" time=\"{time:.3}\"", escaped(case));
            if matches!(outcome.verdict, Verdict::Passed) {
                let _ = writeln!(suites, "{head}/>");
                continue;
            }
            let first = text.lines().next().unwrap_or_default();
            let _ = writeln!(suites, "{head}>");
            let _ = writeln!(suites, "      <failure message=\"{}\">{}</failure>", escaped(first), escaped(text));
            suites.push_str("    </testcase>\n");
        }
        suites.push_str("  </testsuite>\n");
        total += outcomes.len();
        total_failed += failed;
        total_seconds += seconds;
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"aqueduct\" tests=\"{total}\" failures=\"{total_failed}\" \
         errors=\"0\" time=\"{total_seconds:.3}\">\n{suites}</testsuites>\n"
    )
}

/// Text as XML 1.0 can hold it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
