//! The way as text, task by task in the order of the flow.

use aqueduct_engine::plan::{Plan, PlannedTask};
use aqueduct_model::{Batch, Op, PluginKind};

use super::log::{Event, TraceLog};
use crate::testing::cells;

/// Longer settings are cut.
const SETTINGS_CHARS_MAX: usize = 400;

/// What happened to the row at every task; `None` where it was not found.
pub(crate) fn show(plan: &Plan, log: &TraceLog) -> Option<String> {
    let events = log.take();
    if events.is_empty() {
        return None;
    }
    let mut text = String::new();
    for task in &plan.tasks {
        let own: Vec<&Event> = events.iter().filter(|event| task_of(event) == task.id).collect();
        text.push_str(&format!("{} ({})\n", task.id, task.entry.name));
        if own.is_empty() {
            text.push_str("    it did not come here\n");
        }
        for (index, event) in own.iter().enumerate() {
            let next = own.get(index + 1);
            text.push_str(&show_event(task, event, next.copied()));
        }
        text.push('\n');
    }
    Some(text)
}

fn task_of(event: &Event) -> &str {
    match event {
        Event::Read { task, .. }
        | Event::Received { task, .. }
        | Event::Gave { task, .. }
        | Event::Refused { task, .. }
        | Event::Wrote { task, .. }
        | Event::Flushed { task, .. } => task,
    }
}

fn show_event(task: &PlannedTask, event: &Event, next: Option<&Event>) -> String {
    match event {
        Event::Read { batch, position, .. } => {
            let json = position.as_ref().filter(|position| !position.0.is_empty()).map(serde_json::to_string);
            let behind = json.and_then(Result::ok).map(|json| format!("; the source then stood at {json}"));
            format!("    read from {}{}\n{}", batch.relation().name(), behind.unwrap_or_default(), rows(batch))
        }
        Event::Received { batch, .. } => {
            let mut text = format!("    in  {}\n{}", batch.relation().name(), rows(batch));
            if !matches!(next, Some(Event::Gave { later: false, .. } | Event::Refused { .. })) {
                text.push_str(&nothing_came(task));
            }
            text
        }
        Event::Gave { port, batch, later, .. } => {
            let port = task.properties.outputs.get(*port).filter(|_| task.properties.outputs.len() > 1);
            let port = port.map(|port| format!(" on {port}")).unwrap_or_default();
            let later = if *later { " (later, found by its key)" } else { "" };
            format!("    out{port} {}{later}\n{}", batch.relation().name(), rows(batch))
        }
        Event::Refused { row, .. } => format!("    refused: {}\n", row.reasons.join("; ")),
        Event::Wrote { batch, number, .. } => {
            format!("    written to {} with batch {number}\n{}", batch.relation().name(), rows(batch))
        }
        Event::Flushed { epoch, .. } => format!("    committed with epoch {epoch}\n"),
    }
}

/// Why nothing came out: what the task is told to do, as its file says it.
fn nothing_came(task: &PlannedTask) -> String {
    let word = match (task.kind(), task.properties.stateful) {
        (PluginKind::Operator, true) => "nothing came out yet: the task keeps it, or it changed nothing",
        _ => "nothing came out: the row was left out",
    };
    let condition = task.config.get("where").and_then(|condition| condition.as_str());
    let settings = condition.map_or_else(|| task.config.to_string(), |condition| format!("where: {condition}"));
    let settings: String = settings.chars().take(SETTINGS_CHARS_MAX).collect();
    format!("    {word} ({settings})\n")
}

/// The rows of a batch, a line each, with what happens to them.
fn rows(batch: &Batch) -> String {
    let columns: Vec<Vec<Option<String>>> = batch.rows().columns().iter().map(cells).collect();
    let fields = batch.relation().columns().fields();
    let mut text = String::new();
    for (row, op) in (0..batch.num_rows()).map(|row| (row, batch.op(row))) {
        let op = match op {
            Op::Insert => "insert",
            Op::UpdateBefore => "before",
            Op::UpdateAfter => "after",
            Op::Delete => "delete",
        };
        let cell = |(i, field): (usize, &std::sync::Arc<arrow::datatypes::Field>)| {
            let is_sent = batch.present(i).is_none_or(|present| present.value(row));
            let value = if is_sent { columns[i][row].as_deref().unwrap_or("NULL") } else { "(not sent)" };
            format!("{}={value}", field.name())
        };
        let cells: Vec<String> = fields.iter().enumerate().map(cell).collect();
        text.push_str(&format!("        {op:<6} {}\n", cells.join("  ")));
    }
    text
}
