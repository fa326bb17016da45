//! Updates and deletes must not reach a sink that takes inserts only.

use aqueduct_model::{ChangeSupport, PluginKind};

use super::delivery::sources_of;
use super::draft::Draft;
use super::message;
use crate::definition::Report;
use crate::plan::Plan;

/// The setting by which sinks choose between appending and applying changes.
const MODE: &str = "mode";

/// Reports every pair of a source that emits changes and a sink that cannot take them; `order[i]` is the draft of the
/// plan's task i.
pub(super) fn check(plan: &Plan, drafts: &[Draft], order: &[usize], report: &mut Report) {
    for (index, sink) in plan.tasks.iter().enumerate() {
        let is_append_only = sink.properties.changes == ChangeSupport::AppendOnly;
        if sink.entry.kind() != PluginKind::Sink || !is_append_only {
            continue;
        }
        for source in sources_of(plan, index).into_iter().map(|source| &plan.tasks[source]) {
            if !source.properties.emits_changes {
                continue;
            }
            let def = drafts[order[index]].def;
            let schema = (sink.entry.schema)();
            let mode = schema.as_value().get("properties").and_then(|settings| settings.get(MODE)).map(|_| MODE);
            let located = mode.map(|mode| def.config.locate(mode)).filter(|located| located.complete);
            let message = message::changes_into_append_only(&source.id, source.entry.name, sink.entry.name, mode);
            let span = located.map_or(def.plugin.span, |located| located.span);
            let setting = mode.map_or("plugin".to_owned(), |mode| format!("config.{mode}"));
            report.error(span, message).in_task(&sink.id).of_setting(&setting);
        }
    }
}
