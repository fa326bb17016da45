//! Passwords written into the file itself: a warning, and remembered as secrets all the same.

use super::message;
use super::node::{Entry, Node, Value};
use super::report::Report;
use super::secrets::Secrets;
use crate::plan::HookEvent;

/// What names of secret settings contain.
const WORDS: [&str; 6] = ["password", "passwd", "secret", "token", "api_key", "apikey"];
/// Maps whose keys are names from the data and not settings.
const DATA_KEYS: [&str; 8] = ["columns", "fields", "mapping", "rename", "set", "types", "schema", "outputs"];

/// Whether a key or a line looks as if it had to do with a secret.
pub(super) fn looks_secret(text: &str) -> bool {
    let lower = text.to_lowercase().replace('-', "_");
    WORDS.iter().any(|word| lower.contains(word))
}

/// Looks through parameters and settings, before anything is expanded.
pub(super) fn find(root: &Node, secrets: &mut Secrets, report: &mut Report) {
    if let Some(params) = root.get("params") {
        walk(params, "params", secrets, report);
    }
    in_hooks(root, secrets, report);
    for task in root.get("tasks").map(Node::items).unwrap_or_default() {
        in_task(task, secrets, report);
        in_hooks(task, secrets, report);
    }
}

fn in_hooks(node: &Node, secrets: &mut Secrets, report: &mut Report) {
    let hooks = HookEvent::ALL.iter().filter_map(|event| node.get(event.name()));
    hooks.flat_map(Node::items).for_each(|task| in_task(task, secrets, report));
}

fn in_task(task: &Node, secrets: &mut Secrets, report: &mut Report) {
    if let Some(config) = task.get("config") {
        walk(config, "config", secrets, report);
    }
}

fn walk(node: &Node, path: &str, secrets: &mut Secrets, report: &mut Report) {
    for entry in node.entries().iter().filter(|entry| !DATA_KEYS.contains(&entry.key.as_str())) {
        let path = format!("{path}.{}", entry.key);
        if looks_secret(&entry.key) {
            literals(entry, secrets, &path, report);
        }
        walk(&entry.value, &path, secrets, report);
    }
    for item in node.items() {
        walk(item, path, secrets, report);
    }
}

/// The value of such a key, or the default of such a parameter.
fn literals(entry: &Entry, secrets: &mut Secrets, path: &str, report: &mut Report) {
    let node = entry.value.get("default").unwrap_or(&entry.value);
    let text = match &node.value {
        Value::String(text) if !text.contains("${") && !text.is_empty() => text.clone(),
        // A password of digits; other numbers are harmless (`token_ttl: 3600`).
        Value::Int(number) if WORDS.iter().any(|word| entry.key.to_lowercase().ends_with(word)) => number.to_string(),
        _ => return,
    };
    secrets.add(&text);
    report.warn(entry.key_span, message::literal_secret(&entry.key)).of_setting(path);
}
