//! The parameters of a flow: declared values, values given by the caller, their types.

use std::collections::BTreeMap;

use super::check;
use super::expand::Expander;
use super::keys::TYPES;
use super::literal_secrets::looks_secret;
use super::message;
use super::node::{Entry, Node, Value};
use super::report::Report;
use super::scalar;

/// Parameters by name; those that could not be read are [`Value::Unknown`].
pub(super) type Params = BTreeMap<String, Value>;

/// Works out the value of every parameter.
pub(super) fn resolve(
    root: &Node,
    given: &BTreeMap<String, String>,
    expander: &mut Expander,
    report: &mut Report,
) -> Params {
    let declared = root.get("params").map(Node::entries).unwrap_or_default();
    let mut params = Params::new();
    for entry in declared {
        if !check::is_name(&entry.key, "") {
            report.error(entry.key_span, message::bad_param_name(&entry.key)).of_setting("params");
        }
        let value = one(entry, given.get(&entry.key), expander, report);
        params.insert(entry.key.clone(), value);
    }
    for name in given.keys().filter(|name| !params.contains_key(*name)) {
        let span = root.entry("params").map_or(root.span, |entry| entry.key_span);
        report.error(span, message::unknown_override(name, params.keys().map(String::as_str))).of_setting("params");
    }
    params
}

fn one(entry: &Entry, given: Option<&String>, expander: &mut Expander, report: &mut Report) -> Value {
    let (name, setting) = (&entry.key, format!("params.{}", entry.key));
    let is_spec = matches!(entry.value.value, Value::Map(_));
    if is_spec {
        check::param(&entry.value, name, report);
    }
    let declared_type = entry.value.get("type").filter(|_| is_spec).and_then(Node::text);
    // Another word was refused by the check above.
    let declared_type = declared_type.filter(|declared| TYPES.contains(declared)).map(str::to_owned);
    let default =
        if is_spec { entry.value.get("default") } else { Some(&entry.value).filter(|node| node.value != Value::Null) };
    let required = matches!(entry.value.get("required").map(|node| &node.value), Some(Value::Bool(true)));
    if let (true, Some(default)) = (required, default) {
        report.error(default.span, message::param_required_with_default(name)).of_setting(&setting);
    }
    let Some(text) = given else {
        let Some(default) = default else {
            report.error(entry.key_span, message::missing_param(name)).of_setting(&setting);
            return Value::Unknown;
        };
        return default_value(name, default, declared_type.as_deref(), expander, report);
    };
    if looks_secret(name) {
        expander.secrets.add(text);
    }
    let wanted = declared_type.or_else(|| default.map(|node| type_of(&node.value).to_owned()));
    let wanted = wanted.as_deref().unwrap_or("string");
    typed(Value::String(text.clone()), wanted).unwrap_or_else(|found| {
        report.error(entry.key_span, message::param_type(name, wanted, &found)).of_setting(&setting);
        Value::Unknown
    })
}

fn default_value(
    name: &str,
    default: &Node,
    wanted: Option<&str>,
    expander: &mut Expander,
    report: &mut Report,
) -> Value {
    let setting = format!("params.{name}");
    let mut node = default.clone();
    expander.expand(&mut node, None, report);
    if node.has_unknown() {
        return Value::Unknown;
    }
    let is_simple = |node: &Node| !matches!(node.value, Value::Map(_) | Value::List(_));
    let is_simple_list = matches!(node.value, Value::List(_)) && node.items().iter().all(is_simple);
    if !is_simple(&node) && !is_simple_list {
        report.error(node.span, message::param_value(name, &node.describe())).of_setting(&setting);
        return Value::Unknown;
    }
    // A text that came out of an expansion may stand for a number; a literal must have the type itself.
    let expanded = node.value != default.value;
    match wanted {
        Some(wanted) if expanded || type_of(&node.value) != wanted => {
            let widened = wanted == "number" && type_of(&node.value) == "integer";
            let result = if expanded || widened { typed(node.value, wanted) } else { Err(node.describe()) };
            result.unwrap_or_else(|found| {
                report.error(node.span, message::param_type(name, wanted, &found)).of_setting(&setting);
                Value::Unknown
            })
        }
        _ => node.value,
    }
}

/// The name of a value's type.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Int(_) => "integer",
        Value::Float(_) => "number",
        Value::List(_) => "list",
        _ => "string",
    }
}

/// A value as a type; texts are read the way a plain scalar is. The error says what was found.
fn typed(value: Value, wanted: &str) -> Result<Value, String> {
    let Value::String(text) = value else {
        return match (value, wanted) {
            (Value::Int(number), "number") => Ok(Value::Int(number)),
            (value, wanted) if type_of(&value) == wanted => Ok(value),
            (value, _) => Err(Node::new(super::Span::default(), value).describe()),
        };
    };
    match (wanted, scalar::plain(text.trim())) {
        ("string", _) => Ok(Value::String(text)),
        ("list", _) => {
            let items = text.split(',').map(|item| scalar::plain(item.trim()));
            Ok(Value::List(items.map(|item| Node::new(super::Span::default(), item)).collect()))
        }
        ("integer", value @ Value::Int(_)) | ("number", value @ (Value::Int(_) | Value::Float(_))) => Ok(value),
        ("boolean", value @ Value::Bool(_)) => Ok(value),
        _ => Err(format!("{text:?}")),
    }
}
