//! What a run of the suite found.

use std::fmt::Debug;

/// The broken promises that a run of the suite found, in the order of the checks.
#[derive(Debug, Clone, Default)]
#[must_use = "a report that nobody reads checks nothing"]
pub struct Report {
    subject: String,
    check: &'static str,
    checks: usize,
    violations: Vec<String>,
}

/// Rows and other long values are cut to this many characters in a report.
const SHOWN_CHARS_MAX: usize = 600;

impl Report {
    pub(super) fn new(subject: &str) -> Self {
        Self { subject: subject.to_owned(), ..Self::default() }
    }

    /// Starts a check: later violations carry its name.
    pub(super) fn begin(&mut self, check: &'static str) {
        self.check = check;
        self.checks += 1;
    }

    pub(super) fn violated(&mut self, promise: impl AsRef<str>) {
        self.violations.push(format!("{}: {}: {}", self.subject, self.check, promise.as_ref()));
    }

    pub(super) fn holds(&mut self, holds: bool, promise: impl AsRef<str>) {
        if !holds {
            self.violated(promise);
        }
    }

    pub(super) fn same<T: PartialEq + Debug>(&mut self, got: &T, expected: &T, promise: impl AsRef<str>) {
        if got != expected {
            let (expected, got) = (shown(expected), shown(got));
            self.violated(format!("{}\n    expected {expected}\n    got      {got}", promise.as_ref()));
        }
    }

    /// Every broken promise, as `subject: check: promise`; empty when all held.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How many checks ran.
    pub fn checks(&self) -> usize {
        self.checks
    }

    /// `Ok` with the number of checks, or every broken promise.
    ///
    /// # Errors
    /// The violations; never empty.
    pub fn into_result(self) -> Result<usize, Vec<String>> {
        if self.violations.is_empty() { Ok(self.checks) } else { Err(self.violations) }
    }
}

fn shown(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((cut, _)) => format!("{} … ({} characters)", &text[..cut], text.chars().count()),
        None => text,
    }
}
