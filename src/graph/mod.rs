//! A flow as a drawing: Mermaid for Markdown, SVG for pages, DOT for Graphviz. Settings are not shown: they may hold
//! secrets.
//!
//! * [`Graph`] is what is drawn: boxes and edges with their labels.
//! * `layout` puts boxes into columns from left to right so that few edges cross; the SVG is drawn from it.

mod dot;
mod layout;
mod mermaid;
mod svg;

#[cfg(test)]
mod tests;

use aqueduct_engine::plan::Plan;
use aqueduct_model::PluginKind;

pub(crate) use dot::dot;
pub(crate) use mermaid::mermaid;
pub(crate) use svg::svg;

/// What is drawn of a flow.
pub(crate) struct Graph {
    /// The flow's name.
    name: String,
    /// In topological order.
    boxes: Vec<Task>,
    edges: Vec<Edge>,
}

/// A task.
struct Task {
    id: String,
    plugin: &'static str,
    kind: PluginKind,
}

/// An edge; tasks are indices into [`Graph::boxes`].
struct Edge {
    from: usize,
    to: usize,
    /// The output port where the task has several, and the tables that the reader is limited to; may be empty.
    label: String,
}

impl Graph {
    pub(crate) fn of(plan: &Plan) -> Self {
        let boxes = plan
            .tasks
            .iter()
            .map(|task| Task { id: task.id.clone(), plugin: task.entry.name, kind: task.kind() })
            .collect();
        let mut edges = Vec::new();
        for (to, task) in plan.tasks.iter().enumerate() {
            for edge in &task.inputs {
                let ports = &plan.tasks[edge.task].properties.outputs;
                let port = ports.get(edge.port).filter(|_| ports.len() > 1).cloned();
                let tables = (!task.tables.is_empty()).then(|| format!("only {}", task.tables.join(", ")));
                let label = port.into_iter().chain(tables).collect::<Vec<_>>().join(" · ");
                edges.push(Edge { from: edge.task, to, label });
            }
        }
        Self { name: plan.flow.clone(), boxes, edges }
    }
}
