//! A plan as text for people. Settings are not shown: they may hold secrets.

use std::fmt::Write;

use aqueduct_model::{HumanDuration, PluginKind, Replay};

use super::delivery::{self, promises};
use crate::plan::{Plan, PlannedEdge, PlannedTask};

/// The plan as a table: one line per task, inputs first; then what each sink is promised, and why not more.
pub fn render(plan: &Plan) -> String {
    let rows: Vec<[String; 5]> = plan.tasks.iter().map(|task| row(plan, task)).collect();
    let heading = ["task", "plugin", "kind", "from", "notes"];
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = format!("flow {} · {}\n", plan.flow, delivery::name(plan.delivery));
    let checkpoint = plan.checkpoint;
    let interval = HumanDuration(checkpoint.interval);
    let store = format!("{:?}", checkpoint.store).to_lowercase();
    line(&mut text, &format!("checkpoint every {interval} in {store}, state in {}\n", plan.state_dir.display()));
    for cells in std::iter::once(heading.map(str::to_owned)).chain(rows) {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        line(&mut text, &padded.collect::<Vec<_>>().join("  "));
    }
    text.push('\n');
    for promise in promises(plan) {
        let (source, sink) = (&plan.tasks[promise.source].id, &plan.tasks[promise.sink].id);
        let class = delivery::name(promise.delivery);
        let why = if class == "exactly_once" {
            String::new()
        } else {
            format!(" ({}: {})", plan.tasks[promise.limited_by].id, promise.reason)
        };
        line(&mut text, &format!("{source} → {sink}: {class}{why}"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", line.trim_end_matches(' '));
}

/// The name of an output that is not the main one.
fn port_name(plan: &Plan, edge: PlannedEdge) -> Option<&str> {
    let outputs = &plan.tasks[edge.task].properties.outputs;
    outputs.get(edge.port).filter(|_| edge.port > 0).map(String::as_str)
}

fn row(plan: &Plan, task: &PlannedTask) -> [String; 5] {
    let input = |edge: &PlannedEdge| {
        let port = port_name(plan, *edge).map(|port| format!(".{port}")).unwrap_or_default();
        format!("{}{port}", plan.tasks[edge.task].id)
    };
    let from = task.inputs.iter().map(input).collect::<Vec<_>>().join(", ");
    let kind = format!("{:?}", task.kind()).to_lowercase();
    [task.id.clone(), task.entry.name.to_owned(), kind, from, notes(task).join(", ")]
}

fn notes(task: &PlannedTask) -> Vec<String> {
    let properties = &task.properties;
    let mut notes = Vec::new();
    match task.kind() {
        PluginKind::Source => {
            notes.push(if properties.unbounded { "never ends" } else { "ends by itself" }.to_owned());
            if properties.emits_changes {
                notes.push("changes".to_owned());
            }
            match properties.replay {
                Replay::Exact => {}
                Replay::Overlap => notes.push("may repeat rows".to_owned()),
                Replay::None => notes.push("cannot read again".to_owned()),
            }
        }
        PluginKind::Operator if properties.stateful => notes.push("keeps state".to_owned()),
        PluginKind::Operator => {}
        PluginKind::Sink => notes.push(delivery::name(properties.delivery).to_owned()),
    }
    if !task.tables.is_empty() {
        notes.push(format!("only {}", task.tables.join(" ")));
    }
    if let Some(timeout) = task.timeout {
        notes.push(format!("ends within {}", HumanDuration(timeout)));
    }
    notes
}
