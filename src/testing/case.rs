//! One test as its file has it.

use std::collections::BTreeMap;

use aqueduct_engine::definition::{Node, Report, Value, check_keys};

use super::cell::written;
use super::keys;
use super::rows::message;

/// A test: its name, what plans its flow, and the rest as it is written, which is read against that plan.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(super) node: Node,
    pub(super) params: BTreeMap<String, String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) error: Option<String>,
}

/// Reads a list of tests; mistakes go into the report.
pub(super) fn cases(node: &Node, report: &mut Report) -> Vec<Case> {
    if !matches!(node.value, Value::List(_)) {
        let hint = "write a list of maps: `- { name: …, given: [ … ], expect: { … } }`";
        report.error(node.span, message(&format!("`tests` must be a list, found {}", node.describe()), hint));
    }
    let mut cases: Vec<Case> = Vec::new();
    for item in node.items() {
        let Some(case) = case(item, report) else { continue };
        if cases.iter().any(|other| other.name == case.name) {
            let span = item.get("name").map_or(item.span, |name| name.span);
            report.error(span, message(&format!("two tests are named {:?}", case.name), "give each a name of its own"));
        }
        cases.push(case);
    }
    cases
}

fn case(item: &Node, report: &mut Report) -> Option<Case> {
    if !matches!(item.value, Value::Map(_)) {
        let hint = "write a map: { name: …, given: [ … ], expect: { … } }";
        report.error(item.span, message(&format!("a test is a map, found {}", item.describe()), hint));
        return None;
    }
    check_keys(item, keys::TEST, "the test", "tests.", report);
    let is_expectation = |key: &str| ["expect", "expect_changes", "bad_rows", "error"].contains(&key);
    if !item.entries().iter().any(|entry| is_expectation(&entry.key)) {
        let hint =
            "add `expect:`, `expect_changes:`, `bad_rows:` or `error:`; `aqueduct test --update` writes what comes";
        report.warn(item.span, message("the test expects nothing", hint));
    }
    Some(Case {
        name: item.get("name")?.text()?.to_owned(),
        params: scalars(item.get("params"), report),
        env: scalars(item.get("env"), report),
        error: item.get("error").and_then(Node::text).map(str::to_owned),
        node: item.clone(),
    })
}

/// A map of names and single values.
fn scalars(node: Option<&Node>, report: &mut Report) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for entry in node.into_iter().flat_map(Node::entries) {
        let list = |items: &[Node]| {
            let texts: Result<Vec<Option<String>>, String> =
                items.iter().map(|item| written(item, report.source())).collect();
            texts.map(|texts| Some(texts.into_iter().flatten().collect::<Vec<_>>().join(",")))
        };
        let text = match &entry.value.value {
            Value::List(items) => list(items),
            _ => written(&entry.value, report.source()),
        };
        match text {
            Ok(text) => {
                values.insert(entry.key.clone(), text.unwrap_or_default());
            }
            Err(found) => {
                let cause = format!("`{}` must be one value or a list, found {found}", entry.key);
                report.error(entry.value.span, message(&cause, "write a text, a number, true or false"));
            }
        }
    }
    values
}
