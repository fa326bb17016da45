//! What is written in any of the formats is read as it was meant.

use proptest::prelude::*;

use super::*;

/// Values that all three formats can hold.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        "[a-z]{1,8}",
        "[ -~]{1,12}",
        "[ä-ü世界]{1,4}",
        Just("007".to_owned()),
        Just("true".to_owned()),
        Just("~".to_owned())
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1_000_000i64..1_000_000).prop_map(|n| serde_json::Value::from(n as f64 / 64.0)),
        text.prop_filter("no expansions", |text| !text.contains("${")).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(Into::into),
            proptest::collection::btree_map("[a-z][a-z0-9_]{0,6}", inner, 1..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Block-style YAML, as a person would write it.
fn to_yaml(value: &serde_json::Value, indent: usize) -> String {
    let pad = "  ".repeat(indent);
    match value {
        serde_json::Value::Object(map) if !map.is_empty() => {
            map.iter().map(|(key, value)| format!("\n{pad}{key}:{}", nested(value, indent))).collect()
        }
        serde_json::Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{pad}-{}", nested(item, indent))).collect()
        }
        simple => simple.to_string(),
    }
}

fn nested(value: &serde_json::Value, indent: usize) -> String {
    match value {
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => to_yaml(value, indent + 1),
        simple => format!(" {simple}"),
    }
}

fn to_xml(name: &str, value: &serde_json::Value) -> String {
    let inner: String = match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::Array(items) => items.iter().map(|item| to_xml("item", item)).collect(),
        serde_json::Value::Object(map) => map.iter().map(|(key, value)| to_xml(key, value)).collect(),
        serde_json::Value::String(text) => format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>")),
        other => other.to_string(),
    };
    format!("<{name}>{inner}</{name}>")
}

proptest! {
    #[test]
    fn what_is_written_is_read(config in proptest::collection::btree_map("[a-z][a-z0-9_]{0,6}", value(), 1..5)) {
        let config = serde_json::Value::Object(config.into_iter().collect());
        let flow = serde_json::json!({ "flow": "x", "tasks": [{ "id": "a", "plugin": "P", "config": config }] });
        let tasks = "<tasks><task id=\"a\" plugin=\"P\">";
        let xml = format!("<flow name=\"x\">{tasks}{}</task></tasks></flow>", to_xml("config", &config));
        for (path, text) in [("f.yaml", to_yaml(&flow, 0)), ("f.json", format!("{flow:#}")), ("f.xml", xml)] {
            let document = document(path, &text).map_err(|found| TestCaseError::fail(format!("{found}\n{text}")))?;
            let task = &document.root().get("tasks").unwrap().items()[0];
            let read = task.get("config").map(Node::to_json).unwrap_or_else(|| serde_json::json!({}));
            // An element without children is null in XML, whatever it stands for.
            if path != "f.xml" || has_no_item_key(&config) {
                prop_assert_eq!(&read, &config, "{}\n{}", path, text);
            }
        }
    }
}

/// `<item>` alone makes a list, so a map with that only key cannot be written in XML.
fn has_no_item_key(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().all(|(key, value)| key != "item" && key != "tasks" && key != "entry" && has_no_item_key(value))
        }
        serde_json::Value::Array(items) => items.iter().all(has_no_item_key),
        _ => true,
    }
}
