//! Sources in the settings of another source, whose place they take: the query of a `For`.

use std::borrow::Cow;

use aqueduct_model::{Catalogue, PluginEntry, PluginKind};

use super::message;
use crate::definition::{FlowDef, Node, Report, Spanned, TaskDef, Value};

/// The flow with those sources as tasks.
pub(super) fn in_place<'a>(flow: &'a FlowDef, catalogue: &Catalogue, report: &mut Report) -> Cow<'a, FlowDef> {
    let mut flow = Cow::Borrowed(flow);
    for index in 0..flow.tasks.len() {
        if let Some(task) = placed(&flow.tasks[index], catalogue, report) {
            flow.to_mut().tasks[index] = task;
        }
    }
    flow
}

/// The task with the source in its settings for a plugin. Without one that can take the place it stays, and its own
/// plugin says what is wrong with the settings.
fn placed(task: &TaskDef, catalogue: &Catalogue, report: &mut Report) -> Option<TaskDef> {
    let entry = catalogue.get(&task.plugin.value)?;
    let setting = entry.placed?;
    let source = task.config.get(setting)?;
    let mut error = |span, message, key: &str| {
        report.error(span, message).in_task(&task.id.value).of_setting(&format!("config.{key}"));
    };
    if matches!(source.value, Value::List(_)) {
        // To serde it could be the values of a source, in order.
        error(source.span, message::no_placed_source(entry.name, setting), setting);
    }
    let name = source.get("plugin")?;
    let plugin = catalogue.get(name.text()?);
    match plugin {
        None => {
            let sources = catalogue.entries().iter().filter(|entry| entry.kind() == PluginKind::Source);
            let message = message::unknown_plugin(name.text()?, sources.map(|entry| entry.name));
            error(name.span, message, &format!("{setting}.plugin"));
        }
        Some(plugin) if plugin.kind() != PluginKind::Source || plugin.name == entry.name => {
            error(name.span, message::not_a_placed_source(entry.name, plugin.name), &format!("{setting}.plugin"));
        }
        Some(_) => {}
    }
    for other in task.config.entries().iter().filter(|other| other.key != setting) {
        error(other.key_span, message::beside_placed(entry.name, setting, &other.key), &other.key);
    }
    for other in source.entries().iter().filter(|other| !["plugin", "config"].contains(&other.key.as_str())) {
        let message = message::unknown_in_placed(setting, &other.key);
        error(other.key_span, message, &format!("{setting}.{}", other.key));
    }
    let named = plugin.map_or(name.text()?, |PluginEntry { name, .. }| name);
    Some(TaskDef {
        plugin: Spanned { value: named.to_owned(), span: name.span },
        config: source.get("config").cloned().unwrap_or_else(|| Node::new(source.span, Value::Map(Vec::new()))),
        ..task.clone()
    })
}
