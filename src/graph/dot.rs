//! DOT: the language of Graphviz.

use std::fmt::Write;

use aqueduct_model::PluginKind;

use super::Graph;

/// The graph in DOT.
pub(crate) fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph \"{}\" {{\n", escaped(&graph.name));
    text.push_str("    rankdir=LR;\n");
    text.push_str("    node [fontname=\"sans-serif\" style=filled];\n");
    text.push_str("    edge [fontname=\"sans-serif\" fontsize=10];\n");
    for (index, task) in graph.boxes.iter().enumerate() {
        let look = match task.kind {
            PluginKind::Source => "shape=oval fillcolor=\"#e6f4ea\" color=\"#2e7d32\"",
            PluginKind::Operator => "shape=box fillcolor=\"#e8f0fe\" color=\"#1a56c4\"",
            PluginKind::Sink => "shape=cylinder fillcolor=\"#fff3e0\" color=\"#c25e00\"",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    t{index} [label=\"{}\\n{}\" {look}];", escaped(&task.id), escaped(task.plugin));
    }
    for edge in &graph.edges {
        let label =
            if edge.label.is_empty() { String::new() } else { format!(" [label=\"{}\"]", escaped(&edge.label)) };
        let _ = writeln!(text, "    t{} -> t{}{label};", edge.from, edge.to);
    }
    text.push_str("}\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
