//! Compares a tree of values with the table of keys: unknown keys, missing keys, wrong types, values out of range.

use aqueduct_model::{ByteSize, HumanDuration};

use super::keys::{self, Key, Kind, TASKS_MAX};
use super::message;
use super::node::{Entry, Node, Value};
use super::report::Report;
use super::source::Format;

/// Checks a whole flow file after expansion.
pub(super) fn flow(root: &Node, report: &mut Report) {
    match &root.value {
        Value::Null => {
            report.error(root.span, message::empty_file());
        }
        Value::Map(_) => Checker { report, task: None }.section(root, keys::FLOW, "the flow", ""),
        _ => {
            report.error(root.span, message::not_a_map(&root.describe()));
        }
    }
}

/// Checks a map that stands in no flow's own keys, such as a test: `place` is what messages call it, `path` stands before
/// the names of its settings.
pub fn check_keys(node: &Node, keys: &[Key], place: &str, path: &str, report: &mut Report) {
    Checker { report, task: None }.section(node, keys, place, path);
}

/// Checks one parameter that is written as a map.
pub(super) fn param(node: &Node, name: &str, report: &mut Report) {
    let place = format!("the parameter `{name}`");
    Checker { report, task: None }.section(node, keys::PARAM, &place, &format!("params.{name}."));
}

/// Whether a text may be the id of a task, the name of a parameter (without `-`) or, with dots, of a flow.
pub(super) fn is_name(text: &str, extra: &str) -> bool {
    const NAME_CHARS_MAX: usize = 64;
    (1..=NAME_CHARS_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c))
}

/// A flow's name becomes a folder, so it must not begin with a dot.
pub(super) fn is_flow_name(text: &str) -> bool {
    is_name(text, "-.") && !text.starts_with(['.', '-'])
}

struct Checker<'c, 'a> {
    report: &'c mut Report<'a>,
    /// The id of the task whose keys are looked at.
    task: Option<String>,
}

impl Checker<'_, '_> {
    fn section(&mut self, node: &Node, keys: &[Key], place: &str, path: &str) {
        for entry in node.entries() {
            if self.report.is_full() {
                return;
            }
            match keys.iter().find(|key| key.name == entry.key) {
                Some(key) => self.value(entry, key, &format!("{path}{}", key.name)),
                None => {
                    let known = keys.iter().map(|key| key.name);
                    self.error(
                        entry.key_span,
                        &format!("{path}{}", entry.key),
                        message::unknown_key(&entry.key, place, known),
                    );
                }
            }
        }
        for key in keys.iter().filter(|key| key.required && node.get(key.name).is_none()) {
            // An empty required key is at fault itself; a missing one, the map that should have it.
            let span = node.entry(key.name).map_or(node.span, |entry| entry.key_span);
            self.error(span, &format!("{path}{}", key.name), message::missing_key(key.name, place, key.description));
        }
        self.delays(node, path);
    }

    fn error(&mut self, span: super::Span, setting: &str, message: message::Message) {
        let diagnostic = self.report.error(span, message).of_setting(setting);
        if let Some(task) = &self.task {
            diagnostic.in_task(task);
        }
    }

    fn value(&mut self, entry: &Entry, key: &Key, path: &str) {
        let node = &entry.value;
        match (&key.kind, &node.value) {
            (_, Value::Null | Value::Unknown) | (Kind::Any, _) | (Kind::Params, Value::Map(_)) => {}
            (Kind::Flag, Value::Bool(_)) | (Kind::Config, Value::Map(_)) => {}
            (Kind::Section(keys), Value::Map(_)) => self.section(node, keys, &format!("`{path}`"), &format!("{path}.")),
            (Kind::Tasks(keys), Value::List(tasks)) => self.tasks(node, tasks, keys),
            (Kind::Hook, Value::List(tasks)) => self.tasks(node, tasks, keys::HOOK_TASK),
            (Kind::Texts, Value::List(items)) => items.iter().for_each(|item| self.text(item, key, path)),
            (Kind::Whole(min, max), Value::Int(number)) => {
                if !(i128::from(*min)..=i128::from(*max)).contains(number) {
                    let cause = format!("{number} is out of range");
                    self.error(node.span, path, message::bad_value(key.name, &cause, &format!("use {min} to {max}")));
                }
            }
            (Kind::Size(min, max), Value::Int(number)) => {
                self.size(node, key, path, u64::try_from(*number).ok(), *min, *max)
            }
            (Kind::Size(min, max), Value::String(text)) => match text.parse::<ByteSize>() {
                Ok(size) => self.size(node, key, path, Some(size.0), *min, *max),
                Err(cause) => self.parse_error(node, key, path, &cause),
            },
            (Kind::Duration(min_ms), Value::String(text)) => match text.parse::<HumanDuration>() {
                Ok(duration) if duration.0.as_millis() < u128::from(*min_ms) => {
                    let cause = format!("{text} is too short");
                    self.error(
                        node.span,
                        path,
                        message::bad_value(key.name, &cause, &format!("use at least {min_ms}ms")),
                    );
                }
                Ok(_) => {}
                Err(cause) => self.parse_error(node, key, path, &cause),
            },
            (Kind::Choice(choices), Value::String(text)) => {
                if !choices.contains(&text.as_str()) {
                    self.error(node.span, path, message::not_a_choice(key.name, text, choices));
                }
            }
            (
                Kind::FlowName | Kind::TaskId | Kind::Plugin | Kind::Text | Kind::Texts | Kind::Hook,
                Value::String(_),
            ) => self.text(node, key, path),
            _ => self.wrong_type(node, key, path),
        }
    }

    /// A text that is a name must look like one.
    fn text(&mut self, node: &Node, key: &Key, path: &str) {
        let text = match &node.value {
            Value::String(text) => text,
            Value::Unknown => return,
            _ => return self.wrong_type(node, key, path),
        };
        let hint = match key.kind {
            Kind::FlowName if !is_flow_name(text) => {
                "use letters, digits, `_`, `-` and `.`, at most 64, a letter or digit first"
            }
            Kind::TaskId if !is_name(text, "-") => "use letters, digits, `_` and `-`, at most 64",
            Kind::Texts | Kind::Plugin | Kind::Hook if text.trim().is_empty() => "write a name, or remove the key",
            _ => return,
        };
        self.error(node.span, path, message::bad_value(key.name, &format!("{text:?} is not allowed"), hint));
    }

    fn size(&mut self, node: &Node, key: &Key, path: &str, bytes: Option<u64>, min: u64, max: u64) {
        if !bytes.is_some_and(|bytes| (min..=max).contains(&bytes)) {
            let hint = format!("use {} to {}", ByteSize(min), ByteSize(max));
            self.error(
                node.span,
                path,
                message::bad_value(key.name, &format!("{} is out of range", node.describe()), &hint),
            );
        }
    }

    /// The cause of the model's parsers ends in a fix behind a semicolon.
    fn parse_error(&mut self, node: &Node, key: &Key, path: &str, cause: &str) {
        let (cause, hint) = cause.split_once("; ").unwrap_or((cause, key.description));
        self.error(node.span, path, message::bad_value(key.name, cause, hint));
    }

    fn wrong_type(&mut self, node: &Node, key: &Key, path: &str) {
        let (expected, hint) = self.expected(&key.kind, node);
        self.error(node.span, path, message::wrong_type(key.name, &expected, &node.describe(), &hint));
    }

    /// What may stand there, in words, and an example.
    fn expected(&self, kind: &Kind, node: &Node) -> (String, String) {
        let quoted = match (&node.value, self.report.source().format()) {
            (Value::List(_) | Value::Map(_), _) => "write a single text here".to_owned(),
            (_, Format::Xml) => "put the text into an element of its own as <![CDATA[…]]>".to_owned(),
            _ => format!("put it in quotes: \"{}\"", self.report.source().slice(node.span).trim()),
        };
        match kind {
            Kind::FlowName | Kind::TaskId | Kind::Plugin | Kind::Text | Kind::Any => ("text".to_owned(), quoted),
            Kind::Flag => ("true or false".to_owned(), "write `true` or `false`, without quotes".to_owned()),
            Kind::Whole(min, max) => {
                ("a whole number".to_owned(), format!("write a number from {min} to {max}, without quotes"))
            }
            Kind::Duration(_) => {
                ("a duration".to_owned(), "write it with its unit: 500ms, 1s, 5m, 2h or 1d".to_owned())
            }
            Kind::Size(..) => ("a size".to_owned(), "write for example 64MiB, 512KB or 65536".to_owned()),
            Kind::Choice(choices) => {
                (format!("one of {}", choices.join(", ")), format!("write one of: {}", choices.join(", ")))
            }
            Kind::Section(keys) => {
                let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
                ("a map".to_owned(), format!("put these keys under it: {}", names.join(", ")))
            }
            Kind::Params => ("a map".to_owned(), "write `name: default` lines under it".to_owned()),
            Kind::Tasks(_) => {
                ("a list".to_owned(), "write a list of maps: `- { id: …, plugin: …, config: { … } }`".to_owned())
            }
            Kind::Hook => (
                "a flow file or a list of tasks".to_owned(),
                "write a file's name, or a list of maps: `- { id: …, plugin: …, config: { … } }`".to_owned(),
            ),
            Kind::Texts => ("text or a list of texts".to_owned(), "write one name, or a list: [a, b]".to_owned()),
            Kind::Config => ("a map".to_owned(), "write `setting: value` lines under it".to_owned()),
        }
    }

    fn tasks(&mut self, node: &Node, tasks: &[Node], keys: &[Key]) {
        if tasks.is_empty() {
            self.error(node.span, "tasks", message::no_tasks());
        }
        if tasks.len() > TASKS_MAX {
            return self.error(tasks[TASKS_MAX].span, "tasks", message::too_many_tasks(tasks.len()));
        }
        for (i, task) in tasks.iter().enumerate() {
            let id = task.get("id").and_then(Node::text);
            let place = id.map_or_else(|| format!("task {} of the list", i + 1), |id| format!("the task `{id}`"));
            match &task.value {
                Value::Map(_) => {
                    let mut checker = Checker { report: self.report, task: id.map(str::to_owned) };
                    checker.section(task, keys, &place, "");
                }
                Value::Unknown => {}
                _ => {
                    let hint = "write a map: { id: …, plugin: …, config: { … } }";
                    self.error(
                        task.span,
                        "tasks",
                        message::wrong_type("tasks", "a list of maps", &task.describe(), hint),
                    );
                }
            }
        }
    }

    fn delays(&mut self, node: &Node, path: &str) {
        let duration =
            |key: &str| node.get(key).and_then(Node::text).and_then(|text| text.parse::<HumanDuration>().ok());
        if let (Some(delay), Some(longest), Some(entry)) =
            (duration("delay"), duration("delay_max"), node.entry("delay_max"))
            && longest < delay
        {
            self.error(entry.value.span, &format!("{path}delay_max"), message::delays_crossed());
        }
    }
}
