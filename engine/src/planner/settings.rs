//! A plugin's settings: checked by the plugin itself, its complaints brought back to their place in the file.

use aqueduct_model::{Error, PluginEntry, Properties};
use serde_json::Value;

use super::message;
use crate::definition::{Node, Report, Span, TaskDef, lower_first, suggest};

/// Settings that do not exist are removed and reported one by one, up to this many in a task.
const UNKNOWN_MAX: usize = 20;

/// The settings as the plugin gets them, and what it says of them unless they are wrong.
pub(super) fn check(def: &TaskDef, entry: &PluginEntry, report: &mut Report) -> (Value, Option<Properties>) {
    let config = def.config.to_json();
    if def.config.has_unknown() {
        return (config, None);
    }
    let mut left = config.clone();
    for _ in 0..UNKNOWN_MAX {
        let error = match (entry.check)(&left) {
            Ok(properties) => return (config.clone(), (left == config).then_some(properties)),
            Err(error) => error,
        };
        let complaint = Complaint::of(&error, entry, &def.config);
        let setting = complaint.path.as_deref().map_or("config".to_owned(), |path| format!("config.{path}"));
        let message = message::setting(complaint.cause, complaint.hint);
        report.error(complaint.span, message).in_task(&def.id.value).of_setting(&setting);
        let Some(key) = complaint.unknown_key else { break };
        if left.as_object_mut().is_none_or(|map| map.remove(&key).is_none()) {
            break;
        }
    }
    (config, None)
}

/// A plugin's error in terms of the flow file.
struct Complaint {
    span: Span,
    cause: String,
    hint: String,
    path: Option<String>,
    /// A key at the top of the settings that does not exist.
    unknown_key: Option<String>,
}

impl Complaint {
    fn of(error: &Error, entry: &PluginEntry, config: &Node) -> Self {
        let path = error.setting().map(|path| path.trim_start_matches("config.").to_owned());
        let located = config.locate(path.as_deref().unwrap_or_default());
        let text = error.chain();
        let bare = text.strip_prefix(entry.name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(&text).to_owned();
        let mut complaint = Self {
            span: located.span,
            hint: error.hint().map_or_else(|| general_hint(entry, path.as_deref(), &bare), str::to_owned),
            cause: format!("{}: {}", entry.name, in_words(&lower_first(&bare))),
            path: path.filter(|path| !path.is_empty()),
            unknown_key: None,
        };
        if error.hint().is_some() {
            // The plugin's own words; the rest below translates those of serde.
        } else if let Some(key) = quoted_after(&bare, "unknown field `") {
            complaint.unknown_field(key, &bare, config);
        } else if let Some(value) = quoted_after(&bare, "unknown variant `") {
            // The variant may be the key of a map: `phone: { keep_lst: 4 }`.
            let key = config.locate(complaint.path.as_deref().unwrap_or_default()).key_span.is_some();
            if let Some(entry) = config.find_key(value).filter(|_| key) {
                complaint.span = entry.key_span;
            }
            complaint.cause = format!("{}: `{value}` is not allowed here", entry.name);
            complaint.hint = suggest(value, candidates(&bare), "the values are");
        } else if bare.contains("did not match any variant of untagged enum") {
            complaint.cause = format!("{}: the value does not fit", entry.name);
        } else if let Some(key) = quoted_after(&bare, "missing field `") {
            let description = describe(entry, key).unwrap_or_else(|| message::see_plugin(entry));
            complaint.cause = format!("{}: the setting `{key}` is missing", entry.name);
            complaint.hint = format!("add `{key}` under `config`: {description}");
            let parent = complaint.path.take().map(|path| format!("{path}.")).unwrap_or_default();
            complaint.path = Some(format!("{parent}{key}"));
        }
        complaint
    }

    /// The mistake is the key, not its value; where the path was lost (tagged enums), the key is looked for.
    fn unknown_field(&mut self, key: &str, text: &str, config: &Node) {
        let by_path = self.path.as_deref().map(|path| config.locate(path)).filter(|located| located.complete);
        let at_path = by_path.and_then(|located| located.key_span);
        if let Some(span) = at_path.or_else(|| config.find_key(key).map(|entry| entry.key_span)) {
            self.span = span;
        }
        let (plugin, _) = self.cause.split_once(':').unwrap_or_default();
        self.cause = format!("{plugin}: unknown setting `{key}`");
        self.hint = suggest(key, candidates(text), "the settings are");
        if self.path.is_none() {
            self.path = Some(key.to_owned());
        }
        self.unknown_key = (self.path.as_deref() == Some(key)).then(|| key.to_owned());
    }
}

/// Names of Rust's types at the end of serde's messages, in words.
fn in_words(text: &str) -> String {
    let Some((before, expected)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "u128" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "text",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "a map",
        other => other,
    };
    format!("{before}expected {words}")
}

/// What stands between a beginning and the next backtick.
fn quoted_after<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
    let start = text.find(beginning)? + beginning.len();
    text[start..].split('`').next()
}

/// The words in backticks behind "expected".
fn candidates(text: &str) -> Vec<&str> {
    let Some((_, expected)) = text.split_once("expected") else { return Vec::new() };
    expected.split('`').skip(1).step_by(2).collect()
}

fn general_hint(entry: &PluginEntry, path: Option<&str>, cause: &str) -> String {
    let setting = path.and_then(|path| path.split(['.', '[']).next()).unwrap_or_default();
    match (describe(entry, setting), cause.split_once("; ")) {
        (Some(description), _) => format!("`{setting}`: {description}"),
        (None, Some((_, fix))) if fix.starts_with("write ") => fix.to_owned(),
        _ => message::see_plugin(entry),
    }
}

/// The first paragraph of a setting's description.
fn describe(entry: &PluginEntry, setting: &str) -> Option<String> {
    let schema = (entry.schema)();
    let description = schema.as_value().get("properties")?.get(setting)?.get("description")?.as_str()?;
    let paragraph = description.split("\n\n").next()?;
    Some(lower_first(&paragraph.split_whitespace().collect::<Vec<_>>().join(" ")).trim_end_matches('.').to_owned())
}
