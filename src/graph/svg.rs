//! SVG: one element per line, no script, no outside font, so that it can be read, compared and shown anywhere.

use std::fmt::Write;

use aqueduct_model::PluginKind;

use super::layout::{BOX_HEIGHT, Layout, Place, layout};
use super::{Graph, Task};

/// How far an edge runs level before it bends, and where its label stands before its end.
const LEVEL: f64 = 18.0;
/// The height of the ellipse at both ends of a sink's cylinder.
const LID: f64 = 6.0;

const STYLE: &str = "  <style>
    .box { stroke-width: 1.4 }
    .source { fill: #e6f4ea; stroke: #2e7d32 }
    .operator { fill: #e8f0fe; stroke: #1a56c4 }
    .sink { fill: #fff3e0; stroke: #c25e00 }
    .id { font: 600 13px sans-serif; fill: #1b1b1b; text-anchor: middle }
    .plugin { font: 11px sans-serif; fill: #555; text-anchor: middle }
    .edge { fill: none; stroke: #777; stroke-width: 1.3 }
    .label { font: 10.5px sans-serif; fill: #444; text-anchor: end; paint-order: stroke; stroke: #fff; stroke-width: 4px }
  </style>
  <defs>
    <marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">
      <path d=\"M0,0 L8,4 L0,8 z\" fill=\"#777\"/>
    </marker>
  </defs>
";

/// The graph as a drawing.
pub(crate) fn svg(graph: &Graph) -> String {
    let drawing = layout(graph);
    let (width, height) = (drawing.width, drawing.height);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n"
    );
    let _ = writeln!(text, "  <title>{}</title>", escaped(&graph.name));
    text.push_str(STYLE);
    let _ = writeln!(text, "  <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>");
    for index in 0..graph.edges.len() {
        edge(&mut text, graph, &drawing, index);
    }
    for (task, place) in graph.boxes.iter().zip(&drawing.boxes) {
        task_box(&mut text, task, *place);
    }
    text.push_str("</svg>\n");
    text
}

/// A line from box to box through the places that it passes, level at every one of them. Writing to a String cannot fail.
fn edge(text: &mut String, graph: &Graph, drawing: &Layout, index: usize) {
    let edge = &graph.edges[index];
    let (from, to) = (drawing.boxes[edge.from], drawing.boxes[edge.to]);
    let (mut x, mut y) = (from.x + from.width, from.y);
    let mut path = format!("M{x},{y}");
    let passes = drawing.passes[index].iter().map(|place| (place.x, place.y));
    for (next_x, next_y) in passes.chain([(to.x, to.y)]) {
        let middle = ((x + next_x) / 2.0).round();
        if next_y == y {
            let _ = write!(path, " H{next_x}");
        } else {
            let _ = write!(path, " C{middle},{y} {middle},{next_y} {next_x},{next_y}");
        }
        (x, y) = (next_x, next_y);
    }
    let _ = writeln!(text, "  <path class=\"edge\" d=\"{path}\" marker-end=\"url(#head)\"/>");
    if !edge.label.is_empty() {
        let (x, y) = (to.x - LEVEL, to.y + label_shift(graph, drawing, index));
        let _ = writeln!(text, "  <text class=\"label\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(&edge.label));
    }
}

/// A label stands on the outer side of its edge; several that end in one box stand under each other.
fn label_shift(graph: &Graph, drawing: &Layout, index: usize) -> f64 {
    const LINE: f64 = 13.0;
    const ABOVE: f64 = -5.0;
    let to = graph.edges[index].to;
    let labelled = |edge: &usize| graph.edges[*edge].to == to && !graph.edges[*edge].label.is_empty();
    let mut ends: Vec<usize> = (0..graph.edges.len()).filter(labelled).collect();
    let start = |edge: &usize| drawing.boxes[graph.edges[*edge].from].y;
    ends.sort_by(|a, b| start(a).total_cmp(&start(b)));
    let place = ends.iter().position(|&edge| edge == index).unwrap_or(0);
    ABOVE - (ends.len() - 1 - place) as f64 * LINE
}

fn task_box(text: &mut String, task: &Task, place: Place) {
    let Place { x, y, width } = place;
    let top = y - BOX_HEIGHT / 2.0;
    let _ = match task.kind {
        PluginKind::Source => writeln!(
            text,
            "  <rect class=\"box source\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"{}\"/>",
            BOX_HEIGHT / 2.0
        ),
        PluginKind::Operator => writeln!(
            text,
            "  <rect class=\"box operator\" x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"4\"/>"
        ),
        PluginKind::Sink => {
            let (right, bottom, radius) = (x + width, y + BOX_HEIGHT / 2.0, width / 2.0);
            let lid = format!("A{radius},{LID}");
            writeln!(
                text,
                "  <path class=\"box sink\" d=\"M{x},{} {lid} 0 0 1 {right},{0} V{} {lid} 0 0 1 {x},{1} z M{x},{0} {lid} 0 0 0 \
                 {right},{0}\"/>",
                top + LID,
                bottom - LID
            )
        }
    };
    let middle = x + width / 2.0;
    let _ = writeln!(text, "  <text class=\"id\" x=\"{middle}\" y=\"{}\">{}</text>", y - 1.0, escaped(&task.id));
    let _ =
        writeln!(text, "  <text class=\"plugin\" x=\"{middle}\" y=\"{}\">{}</text>", y + 15.0, escaped(task.plugin));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
