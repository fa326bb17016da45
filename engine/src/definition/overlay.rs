//! What is changed in a flow for one run, without touching its file.

use serde_json::{Map, Value as Json};

use super::node::{Entry, Node, Span, Value};

/// Lays `patch` over a flow: maps are merged, `null` takes a key out, anything else replaces what is there. `tasks` is a
/// map by task id here; ids that the flow does not have change nothing.
pub(super) fn lay_over(root: &mut Node, patch: &Map<String, Json>) {
    for (key, change) in patch {
        match (key.as_str(), change) {
            ("tasks", Json::Object(tasks)) => change_tasks(root, tasks),
            _ => change_key(root, key, change),
        }
    }
}

fn change_tasks(root: &mut Node, changes: &Map<String, Json>) {
    let Some(Value::List(tasks)) = entry_mut(root, "tasks").map(|entry| &mut entry.value.value) else { return };
    for task in tasks {
        let change = task.get("id").and_then(Node::text).and_then(|id| changes.get(id)).cloned();
        if let Some(change) = change {
            merge(task, &change);
        }
    }
}

fn merge(node: &mut Node, change: &Json) {
    let Json::Object(changes) = change else {
        node.value = of_json(change, node.span);
        return;
    };
    if !matches!(node.value, Value::Map(_)) {
        node.value = Value::Map(Vec::new());
    }
    for (key, change) in changes {
        change_key(node, key, change);
    }
}

fn change_key(node: &mut Node, key: &str, change: &Json) {
    let span = node.span;
    if let (Json::Null, Value::Map(entries)) = (change, &mut node.value) {
        entries.retain(|entry| entry.key != key);
        return;
    }
    if entry_mut(node, key).is_none() {
        let Value::Map(entries) = &mut node.value else { return };
        entries.push(Entry { key: key.to_owned(), key_span: span, value: Node::new(span, Value::Null) });
    }
    if let Some(entry) = entry_mut(node, key) {
        merge(&mut entry.value, change);
    }
}

fn entry_mut<'a>(node: &'a mut Node, key: &str) -> Option<&'a mut Entry> {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key),
        _ => None,
    }
}

fn of_json(json: &Json, span: Span) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Value::Int(signed.into()),
            (_, Some(unsigned)) => Value::Int(unsigned.into()),
            _ => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|item| Node::new(span, of_json(item, span))).collect()),
        Json::Object(entries) => {
            let entry = |(key, value): (&String, &Json)| Entry {
                key: key.clone(),
                key_span: span,
                value: Node::new(span, of_json(value, span)),
            };
            Value::Map(entries.iter().map(entry).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Document, Source};

    #[test]
    fn keys_are_replaced_added_and_taken_out() {
        let text = "flow: a\ndelivery: auto\ntasks:\n  - { id: one, plugin: X, config: { path: p, keep: 1 } }\n  - { id: two, plugin: Y }\n";
        let mut document = Document::parse(Source::new("flow.yaml", text.as_bytes()).unwrap()).unwrap();
        let patch = json!({
            "flow": "b", "delivery": null,
            "tasks": { "one": { "config": { "path": "q", "n": [1, 2.5, true] } }, "two": { "config": { "url": "u" } }, "no": 1 },
        });
        document.lay_over(patch.as_object().unwrap());
        let wanted = json!({
            "flow": "b",
            "tasks": [
                { "id": "one", "plugin": "X", "config": { "path": "q", "keep": 1, "n": [1, 2.5, true] } },
                { "id": "two", "plugin": "Y", "config": { "url": "u" } },
            ],
        });
        assert_eq!(document.root().to_json(), wanted);
    }
}
