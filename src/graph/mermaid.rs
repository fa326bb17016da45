//! Mermaid: what Markdown renderers draw.

use std::fmt::Write;

use aqueduct_model::PluginKind;

use super::Graph;

/// The graph as a Mermaid flow chart.
pub(crate) fn mermaid(graph: &Graph) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (index, task) in graph.boxes.iter().enumerate() {
        let (open, close, class) = match task.kind {
            PluginKind::Source => ("([", "])", "source"),
            PluginKind::Operator => ("[", "]", "operator"),
            PluginKind::Sink => ("[(", ")]", "sink"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    t{index}{open}\"{}<br/>{}\"{close}:::{class}", task.id, task.plugin);
    }
    for edge in &graph.edges {
        let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.label)) };
        let _ = writeln!(text, "    t{} -->{label} t{}", edge.from, edge.to);
    }
    text.push_str("    classDef source fill:#e6f4ea,stroke:#2e7d32,color:#1b1b1b\n");
    text.push_str("    classDef operator fill:#e8f0fe,stroke:#1a56c4,color:#1b1b1b\n");
    text.push_str("    classDef sink fill:#fff3e0,stroke:#c25e00,color:#1b1b1b\n");
    text
}

/// Patterns of tables may hold what Mermaid takes for Markdown or for the end of the text.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('*', "#42;").replace('<', "#lt;").replace('>', "#gt;")
}
