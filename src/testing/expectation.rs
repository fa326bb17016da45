//! What a test expects, at which places of the flow.

use aqueduct_engine::definition::keys::{Key, Kind};
use aqueduct_engine::definition::{Node, Report, Value, check_keys};
use aqueduct_engine::plan::Plan;
use aqueduct_model::PluginKind;

use super::case::Case;
use super::recorder::Place;
use super::rows::{Row, message, row, rows};

/// A task, and what of it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At {
    /// As it is written: `task` or `task.port`.
    pub(super) label: String,
    /// Index into the plan's tasks.
    pub(super) task: usize,
    pub(super) place: Place,
}

/// The rows of a place's tables.
pub(super) struct ExpectedState {
    pub(super) at: At,
    /// By table; a table without a name is the only one that there may be.
    pub(super) tables: Vec<(Option<String>, Vec<Row>)>,
}

/// One change that is expected.
pub(super) enum ExpectedChange {
    Insert(Row),
    /// The row before, where it is named, and the row after.
    Update(Option<Row>, Row),
    Upsert(Row),
    Delete(Row),
    /// The kind of a change of the table.
    Ddl(String),
}

/// The changes of a place.
pub(super) struct ExpectedChanges {
    pub(super) at: At,
    pub(super) changes: Vec<ExpectedChange>,
}

/// The kinds of changes that can be expected.
const CHANGE: &[Key] = &[
    optional("insert", "A new row."),
    optional("update", "The row after the update; or `{ before: …, after: … }`."),
    optional("upsert", "The row after an update that comes without its old row."),
    optional("delete", "The row that goes."),
    optional("ddl", "The kind of a change of the table, such as add_columns."),
];

const fn optional(name: &'static str, description: &'static str) -> Key {
    Key { name, kind: Kind::Any, required: false, default: None, description }
}

/// Reads `expect`.
pub(super) fn states(case: &Case, plan: &Plan, report: &mut Report) -> Vec<ExpectedState> {
    let mut states = Vec::new();
    for (at, node) in places(case, "expect", plan, report) {
        let tables = match &node.value {
            Value::Map(entries) => {
                entries.iter().map(|entry| (Some(entry.key.clone()), rows(&entry.value, report))).collect()
            }
            _ => vec![(None, rows(node, report))],
        };
        states.push(ExpectedState { at, tables });
    }
    states
}

/// Reads `expect_changes`.
pub(super) fn changes(case: &Case, plan: &Plan, report: &mut Report) -> Vec<ExpectedChanges> {
    let mut all = Vec::new();
    for (at, node) in places(case, "expect_changes", plan, report) {
        if !matches!(node.value, Value::List(_) | Value::Null) {
            let hint = "write `- insert: { … }`, `- update: { … }` or `- delete: { … }` lines";
            report.error(node.span, message(&format!("changes are a list, found {}", node.describe()), hint));
        }
        let changes = node.items().iter().filter_map(|item| change(item, report)).collect();
        all.push(ExpectedChanges { at, changes });
    }
    all
}

fn change(item: &Node, report: &mut Report) -> Option<ExpectedChange> {
    check_keys(item, CHANGE, "the change", "expect_changes.", report);
    let [entry] = item.entries() else {
        report.error(item.span, message("a change has one key", "write one of: insert, update, upsert, delete, ddl"));
        return None;
    };
    let value = &entry.value;
    match (entry.key.as_str(), value.get("before"), value.get("after")) {
        ("update", Some(before), Some(after)) => {
            Some(ExpectedChange::Update(Some(row(before, report)?), row(after, report)?))
        }
        ("update", ..) => Some(ExpectedChange::Update(None, row(value, report)?)),
        ("insert", ..) => Some(ExpectedChange::Insert(row(value, report)?)),
        ("upsert", ..) => Some(ExpectedChange::Upsert(row(value, report)?)),
        ("delete", ..) => Some(ExpectedChange::Delete(row(value, report)?)),
        ("ddl", ..) => value.text().map(|kind| ExpectedChange::Ddl(kind.to_owned())),
        _ => None,
    }
}

/// The places under a key of the test, with what stands there.
fn places<'c>(case: &'c Case, key: &str, plan: &Plan, report: &mut Report) -> Vec<(At, &'c Node)> {
    let Some(node) = case.node.get(key) else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        let hint = "write `task: [ … ]` or `task.port: [ … ]` lines under it";
        report.error(node.span, message(&format!("`{key}` must be a map of places, found {}", node.describe()), hint));
    }
    let mut found = Vec::new();
    for entry in node.entries() {
        match place(&entry.key, plan) {
            Ok(at) => found.push((at, &entry.value)),
            Err((cause, hint)) => {
                report.error(entry.key_span, message(&cause, &hint));
            }
        }
    }
    found
}

/// Finds `task` or `task.port`; the error is cause and fix.
pub(super) fn place(label: &str, plan: &Plan) -> Result<At, (String, String)> {
    let (id, port) = label.split_once('.').map_or((label, None), |(id, port)| (id, Some(port)));
    let ids = || plan.tasks.iter().map(|task| task.id.as_str()).collect::<Vec<_>>().join(", ");
    let Some(index) = plan.tasks.iter().position(|task| task.id == id) else {
        return Err((format!("the flow has no task `{id}`"), format!("the tasks are: {}", ids())));
    };
    let task = &plan.tasks[index];
    let at = |place| Ok(At { label: label.to_owned(), task: index, place });
    match (task.kind(), port) {
        (PluginKind::Sink, None) => at(Place::Input),
        (PluginKind::Sink, Some(_)) => Err((format!("`{id}` is a target and has no ports"), format!("write `{id}`"))),
        (_, None) => at(Place::Output(0)),
        (_, Some(port)) => match task.properties.outputs.iter().position(|output| output == port) {
            Some(port) => at(Place::Output(port)),
            None => Err((
                format!("the task `{id}` has no port `{port}`"),
                format!("its ports are: {}", task.properties.outputs.join(", ")),
            )),
        },
    }
}

/// The places of all targets, for a test that names none.
pub(super) fn targets(plan: &Plan) -> Vec<At> {
    let is_sink = |(_, task): &(usize, &aqueduct_engine::plan::PlannedTask)| task.kind() == PluginKind::Sink;
    let sinks = plan.tasks.iter().enumerate().filter(is_sink);
    sinks.map(|(task, sink)| At { label: sink.id.clone(), task, place: Place::Input }).collect()
}
