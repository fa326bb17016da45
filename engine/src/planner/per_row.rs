//! Values of rows in settings: `${row.day}` in a source with an input, which is read once per row.

use aqueduct_model::{ChangeSupport, PluginEntry, PluginKind, Properties, Replay, names_row};
use serde_json::Value;

use super::{message, settings};
use crate::definition::{Node, Report, TaskDef, Value as Found};

/// The settings of a source with an input, and what the task is. What depends on the row is checked when it comes.
pub(super) fn check(def: &TaskDef, entry: &PluginEntry, report: &mut Report) -> (Value, Option<Properties>) {
    let config = def.config.to_json();
    let properties = if names_row(&config) && !def.config.has_unknown() {
        // As it is written it may be of the wrong kind: nothing is known of it then.
        Some((entry.check)(&config).unwrap_or_else(|_| Properties::source()))
    } else {
        settings::check(def, entry, report).1
    };
    if properties.as_ref().is_some_and(|properties| properties.unbounded) {
        report.error(def.plugin.span, message::endless_per_row(entry.name)).in_task(&def.id.value).of_setting("plugin");
    }
    let task = |source: Properties| Properties {
        inputs: (1, usize::MAX),
        outputs: source.outputs,
        emits_changes: source.emits_changes,
        blocking: source.blocking,
        changes: ChangeSupport::AppendOnly,
        replay: Replay::Exact,
        ..Properties::operator()
    };
    (config, properties.map(task))
}

/// Elsewhere there is no row, unless the operator says so.
pub(super) fn check_no_rows(def: &TaskDef, entry: &PluginEntry, report: &mut Report) {
    let config = def.config.to_json();
    let binds = (entry.check)(&config).is_ok_and(|properties| properties.runs_flows);
    if !names_row(&config) || binds || def.config.has_unknown() {
        return;
    }
    let Some(place) = first_row(&def.config) else { return };
    let is_source = entry.kind() == PluginKind::Source;
    report.error(place.span, message::no_row(entry.name, is_source)).in_task(&def.id.value).of_setting("config");
}

fn first_row(node: &Node) -> Option<&Node> {
    match &node.value {
        Found::String(text) if names_row(&Value::String(text.clone())) => Some(node),
        Found::List(items) => items.iter().find_map(first_row),
        Found::Map(entries) => entries.iter().find_map(|entry| first_row(&entry.value)),
        _ => None,
    }
}
