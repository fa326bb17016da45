//! Where tests are: in a flow's file under `tests:`, or beside it in `NAME.test.yaml`.

use std::path::{Path, PathBuf};

use aqueduct_engine::definition::keys::TESTS;
use aqueduct_engine::definition::{Diagnostics, Document, Node, Report, Secrets, Severity, Value, check_keys};

use super::case::{Case, cases};
use super::keys;
use super::rows::message;

/// Endings of files that are looked at.
const ENDINGS: [&str; 4] = ["yaml", "yml", "json", "xml"];
/// What stands before the ending of a test file.
const TEST_MARK: &str = ".test";
/// How deep folders are looked into.
const DEPTH_MAX: usize = 16;

/// The tests of one file.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The flow's file.
    pub(crate) flow_path: PathBuf,
    pub(crate) flow: Document,
    /// The file with the tests, which may be the flow's own.
    pub(crate) tests_path: PathBuf,
    pub(crate) tests: Document,
    pub(crate) cases: Vec<Case>,
    /// What a person should look at.
    pub(crate) warnings: Diagnostics,
}

/// Finds the tests of files and folders, and every mistake in the files that were read.
pub(crate) fn find(paths: &[PathBuf]) -> (Vec<Suite>, Diagnostics) {
    let mut files = Vec::new();
    let mut found = Diagnostics::default();
    for path in paths {
        match path.is_dir() {
            true => walk(path, 0, &mut files),
            false => files.extend(named(path)),
        }
    }
    files.sort();
    files.dedup();
    let mut suites = Vec::new();
    for file in files {
        match load(&file) {
            Ok(suite) => suites.extend(suite),
            Err(mistakes) => found.0.extend(mistakes.0),
        }
    }
    (suites, found)
}

/// A file that was named, and the test files beside it.
fn named(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    if !is_test_file(path)
        && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
    {
        let beside = ENDINGS.iter().map(|ending| path.with_file_name(format!("{stem}{TEST_MARK}.{ending}")));
        files.extend(beside.filter(|file| file.is_file()));
    }
    files
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        let is_hidden = name.starts_with('.') || name == "target" || is_link;
        if path.is_dir() && !is_hidden && depth < DEPTH_MAX {
            walk(&path, depth + 1, files);
        } else if path.is_file() && ENDINGS.contains(&ending(&path).as_str()) && may_hold_tests(&path) {
            files.push(path);
        }
    }
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem.ends_with(TEST_MARK))
}

/// Other files of a folder are none of our business, and may be anything; one that cannot be parsed and looks like a flow
/// with tests is looked at, so that its mistake is not passed over.
fn may_hold_tests(path: &Path) -> bool {
    if is_test_file(path) {
        return true;
    }
    match Document::load(path) {
        Ok(document) => document.root().get(TESTS).is_some() && document.root().get("tasks").is_some(),
        Err(_) => std::fs::read_to_string(path).is_ok_and(|text| {
            let has = |key: &str| text.lines().any(|line| line.starts_with(key));
            has("tests:") && has("tasks:")
        }),
    }
}

/// Reads one file; `None` for a flow without tests.
fn load(path: &Path) -> Result<Option<Suite>, Diagnostics> {
    let tests = Document::load(path)?;
    if !is_test_file(path) {
        if tests.root().get(TESTS).is_none() {
            return Ok(None);
        }
        return suite(path.to_owned(), tests.clone(), path, tests).map(Some);
    }
    let mut report = Report::new(tests.source());
    check_keys(tests.root(), keys::FILE, "the test file", "", &mut report);
    if !matches!(tests.root().value, Value::Map(_)) {
        let hint = "write `tests:` and the list of tests under it";
        report.error(tests.root().span, message("a test file is a map", hint));
    }
    if report.has_errors() {
        return Err(report.finish(&Secrets::default()));
    }
    let flow_path = match tests.root().get("flow").and_then(Node::text) {
        Some(flow) => path.with_file_name(flow),
        None => beside(path),
    };
    let flow = Document::load(&flow_path)?;
    suite(flow_path, flow, path, tests).map(Some)
}

/// The flow of a test file: the same name without `.test`, with the same ending or another one.
fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let stem = stem.strip_suffix(TEST_MARK).unwrap_or(stem);
    let own = ending(path);
    let endings = std::iter::once(own.as_str()).chain(ENDINGS);
    let mut files = endings.map(|ending| path.with_file_name(format!("{stem}.{ending}")));
    files.find(|file| file.is_file()).unwrap_or_else(|| path.with_file_name(format!("{stem}.{own}")))
}

fn suite(flow_path: PathBuf, flow: Document, tests_path: &Path, tests: Document) -> Result<Suite, Diagnostics> {
    let mut report = Report::new(tests.source());
    let cases = tests.root().get(TESTS).map(|node| cases(node, &mut report)).unwrap_or_default();
    let found = report.finish(&Secrets::default());
    if found.0.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(found);
    }
    Ok(Suite { flow_path, flow, tests_path: tests_path.to_owned(), tests, cases, warnings: found })
}
