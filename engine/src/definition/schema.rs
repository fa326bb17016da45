//! The JSON Schema of a flow file, for editors: made from the table of keys and the plugins' own schemas.

use aqueduct_model::{Catalogue, PluginEntry};
use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind};

/// A text with an expansion may stand for any scalar.
const EXPANSION: &str = r"\$\{";

/// The schema: JSON Schema 2020-12, one definition per plugin that applies when `plugin` names it.
pub fn json_schema(catalogue: &Catalogue) -> Value {
    let mut definitions = Map::new();
    let mut by_plugin = Vec::new();
    for entry in catalogue.entries() {
        let config = plugin_schema(entry, &mut definitions);
        definitions.insert(entry.name.to_owned(), config);
        let names: Vec<&str> = std::iter::once(entry.name).chain(entry.aliases.iter().copied()).collect();
        by_plugin.push(json!({
            "if": { "properties": { "plugin": { "enum": names } }, "required": ["plugin"] },
            "then": { "properties": { "config": { "$ref": format!("#/$defs/{}", entry.name) } } },
        }));
    }
    let mut schema = section(keys::FLOW);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "Aqueduct flow".into();
    let names: Vec<&str> = catalogue.entries().iter().map(|entry| entry.name).collect();
    let items = &mut schema["properties"]["tasks"]["items"];
    items["properties"]["plugin"]["examples"] = json!(names);
    items["allOf"] = by_plugin.into();
    schema["$defs"] = definitions.into();
    schema
}

fn section(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn property(key: &Key) -> Value {
    let expandable = |schema: Value| json!({ "anyOf": [schema, { "type": "string", "pattern": EXPANSION }] });
    let mut schema = match key.kind {
        Kind::FlowName => expandable(json!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$" })),
        Kind::TaskId => expandable(json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" })),
        Kind::Plugin | Kind::Text => json!({ "type": "string" }),
        Kind::Any => json!({}),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Whole(min, max) => expandable(json!({ "type": "integer", "minimum": min, "maximum": max })),
        Kind::Duration(_) => json!({ "type": "string", "examples": ["500ms", "1s", "5m", "2h", "1d"] }),
        Kind::Size(..) => json!({ "type": ["string", "integer"], "examples": ["64MiB", "512KB"] }),
        Kind::Choice(choices) => expandable(json!({ "enum": choices })),
        Kind::Section(keys) => section(keys),
        Kind::Params => json!({
            "type": "object",
            "additionalProperties": { "anyOf": [
                { "type": ["string", "number", "boolean", "array", "null"] },
                section(keys::PARAM),
            ] },
        }),
        Kind::Tasks(keys) => tasks(keys),
        Kind::Hook => json!({ "anyOf": [{ "type": "string" }, tasks(keys::HOOK_TASK)] }),
        Kind::Texts => json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] }),
        Kind::Config => json!({ "type": "object" }),
    };
    schema["description"] = key.description.into();
    if let Some(default) = key.default {
        schema["default"] = default.parse::<u64>().map_or_else(|_| default.into(), Value::from);
    }
    schema
}

fn tasks(keys: &[Key]) -> Value {
    json!({ "type": "array", "items": section(keys), "minItems": 1, "maxItems": keys::TASKS_MAX })
}

/// A plugin's schema with its own definitions moved beside those of the other plugins.
fn plugin_schema(entry: &PluginEntry, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = (entry.schema)().to_value();
    let own = schema.as_object_mut().and_then(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    adapt(&mut schema, entry.name);
    if let Some(Value::Object(own)) = own {
        for (name, mut definition) in own {
            adapt(&mut definition, entry.name);
            definitions.insert(format!("{}.{name}", entry.name), definition);
        }
    }
    schema
}

/// Moves references to the plugin's definitions, and lets an expansion stand for numbers and flags.
fn adapt(schema: &mut Value, plugin: &str) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{plugin}.{name}");
            }
            if let Some(Value::String(name)) = map.get("type")
                && ["integer", "number", "boolean"].contains(&name.as_str())
            {
                let types = json!([name, "string"]);
                map.insert("type".to_owned(), types);
                map.insert("pattern".to_owned(), EXPANSION.into());
            }
            map.values_mut().for_each(|value| adapt(value, plugin));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, plugin)),
        _ => {}
    }
}
